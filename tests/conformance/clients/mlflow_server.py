"""MLflow's own client against `foretell serve` on a project with one trained model. Argument: the HTTP address."""

import sys

from mlflow import MlflowClient
from mlflow.exceptions import MlflowException

from conformance import check, equal, run_checks

address = f"http://{sys.argv[1]}"
client = MlflowClient(tracking_uri=address, registry_uri=address)


def champion():
    return client.get_model_version_by_alias("churn", "champion")


@check
def the_trained_model_is_registered():
    equal([it.name for it in client.search_registered_models()], ["churn"])
    aliases = client.get_registered_model("churn").aliases
    equal({name: int(version) for name, version in aliases.items()}, {"champion": 1, "challenger": 1})


@check
def the_champion_is_the_version_that_training_made():
    version = champion()
    equal((version.name, int(version.version), version.status), ("churn", 1, "READY"))
    equal({int(it.version) for it in client.search_model_versions("name = 'churn'")}, {1})
    assert client.get_model_version_download_uri("churn", "1")


@check
def training_wrote_a_run_with_its_metrics():
    experiment = client.get_experiment_by_name("churn")
    assert experiment is not None, [it.name for it in client.search_experiments()]
    runs = client.search_runs([experiment.experiment_id], "metrics.roc_auc > 0.5 and attributes.status = 'FINISHED'")
    assert runs, "a finished run with its test metric"
    assert client.search_runs([experiment.experiment_id], "metrics.roc_auc > 1.0") == []
    history = client.get_metric_history(runs[0].info.run_id, "roc_auc")
    equal(history[-1].value, runs[0].data.metrics["roc_auc"])
    assert runs[0].data.params, "a run says what it was trained with"


@check
def the_winning_run_names_the_version():
    experiment = client.get_experiment_by_name("churn").experiment_id
    runs = client.search_runs([experiment], "tags.foretell.version = '1'")
    equal([it.data.tags["foretell.winner"] for it in runs], ["true"])
    equal(champion().run_id, runs[0].info.run_id)


@check
def what_is_not_there_is_refused_as_mlflow_does():
    for call, code in [
        (lambda: client.get_registered_model("nope"), "RESOURCE_DOES_NOT_EXIST"),
        (lambda: client.get_model_version("churn", "99"), "RESOURCE_DOES_NOT_EXIST"),
        (lambda: client.get_model_version_by_alias("churn", "nope"), "INVALID_PARAMETER_VALUE"),
    ]:
        try:
            call()
        except MlflowException as error:
            equal(error.error_code, code)
        else:
            raise AssertionError(f"was not refused: {code} expected")


@check
def an_alias_that_mlflow_moves_is_moved():
    client.set_registered_model_alias("churn", "shadow", "1")
    equal(int(client.get_model_version_by_alias("churn", "shadow").version), 1)
    client.delete_registered_model_alias("churn", "shadow")
    equal(set(client.get_registered_model("churn").aliases), {"champion", "challenger"})


run_checks()
