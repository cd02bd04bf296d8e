"""MLflow's own client against our server: what a user of it does first. Run by tests/conformance.rs.

Argument: the server's address. The server has model `churn` with versions 1 and 2.
"""

import math
import sys

import mlflow
from mlflow import MlflowClient
from mlflow.exceptions import MlflowException

address = sys.argv[1]
mlflow.set_tracking_uri(address)
client = MlflowClient(tracking_uri=address, registry_uri=address)


def refused(code, call, *args, **kwargs):
    try:
        call(*args, **kwargs)
    except MlflowException as error:
        assert error.error_code == code, (error.error_code, code, str(error))
    else:
        raise AssertionError(f"{call} was not refused")


# experiments
assert client.get_experiment("0").name == "Default"
experiment = client.create_experiment("growth", tags={"team": "crm"})
assert client.get_experiment_by_name("growth").experiment_id == experiment
assert client.get_experiment_by_name("growth").tags == {"team": "crm"}
assert client.get_experiment_by_name("nope") is None
refused("RESOURCE_ALREADY_EXISTS", client.create_experiment, "growth")
refused("RESOURCE_DOES_NOT_EXIST", client.get_experiment, "77")
names = [it.name for it in client.search_experiments(filter_string="name LIKE 'grow%'")]
assert names == ["growth"], names

# the fluent interface, as a notebook uses it
mlflow.set_experiment("growth")
with mlflow.start_run(run_name="first") as active:
    mlflow.log_params({"depth": 6, "rate": 0.1})
    mlflow.log_metrics({"auc": 0.7, "odd": math.nan}, step=0)
    for step in range(1, 6):
        mlflow.log_metric("auc", 0.7 + step / 100, step=step)
    mlflow.set_tag("team", "crm")
run = client.get_run(active.info.run_id)
assert run.info.status == "FINISHED" and run.info.run_name == "first", run.info
assert run.data.params == {"depth": "6", "rate": "0.1"}
assert run.data.metrics["auc"] == 0.75 and math.isnan(run.data.metrics["odd"])
assert run.data.tags["team"] == "crm"
history = client.get_metric_history(run.info.run_id, "auc")
assert sorted(it.step for it in history) == [0, 1, 2, 3, 4, 5], history
refused("INVALID_PARAMETER_VALUE", client.log_param, run.info.run_id, "depth", 7)
refused("RESOURCE_DOES_NOT_EXIST", client.get_run, "0" * 32)

for auc in (0.5, 0.9):
    other = client.create_run(experiment, run_name=f"run {auc}")
    client.log_metric(other.info.run_id, "auc", auc)
    client.set_terminated(other.info.run_id, "FAILED")
found = client.search_runs([experiment], "metrics.auc > 0.6", order_by=["metrics.auc DESC"])
assert [it.info.run_name for it in found] == ["run 0.9", "first"], found
found = client.search_runs([experiment], "attributes.status = 'FAILED' and params.depth IS NULL", max_results=1)
assert len(found) == 1 and found.token
refused("INVALID_PARAMETER_VALUE", client.search_runs, [experiment], "metrics.auc ~ 3")

# models, versions, aliases
model = client.get_registered_model("churn")
assert [it.version for it in model.latest_versions] in (["2"], [2]), model
assert [it.name for it in client.search_registered_models("name LIKE 'ch%'")] == ["churn"]
versions = client.search_model_versions("name = 'churn'")
assert sorted(int(it.version) for it in versions) == [1, 2]
client.set_registered_model_alias("churn", "champion", "1")
assert int(client.get_model_version_by_alias("churn", "champion").version) == 1
assert client.get_registered_model("churn").aliases in ({"champion": "1"}, {"champion": 1})
client.delete_registered_model_alias("churn", "champion")
refused("INVALID_PARAMETER_VALUE", client.get_model_version_by_alias, "churn", "champion")
refused("RESOURCE_DOES_NOT_EXIST", client.get_registered_model, "nope")
refused("INVALID_PARAMETER_VALUE", client.set_registered_model_alias, "churn", "v1", "1")
assert client.get_model_version("churn", "1").current_stage == "None"
assert client.get_model_version_download_uri("churn", "1") == "mlflow-artifacts:/foretell/models/churn/1"
assert client.get_model_version("churn", "1").source.startswith("foretell:/sha256:")
print("all as expected with mlflow", mlflow.__version__)
