"""The tracking API through MLflow's own client: every call that a person who tracks experiments makes, and its refusals.

Run by tests/conformance.rs. Argument: the address of a server that has no runs.
"""

import math
import sys
import time

import mlflow
from mlflow import MlflowClient
from mlflow.data.http_dataset_source import HTTPDatasetSource
from mlflow.data.meta_dataset import MetaDataset
from mlflow.entities import (
    Dataset,
    DatasetInput,
    InputTag,
    LoggedModelOutput,
    Metric,
    Param,
    RunTag,
    ViewType,
)
from mlflow.exceptions import MlflowException

address = sys.argv[1]
mlflow.set_tracking_uri(address)
client = MlflowClient(tracking_uri=address, registry_uri=address)


def refused(code, says, call, *args, **kwargs):
    try:
        call(*args, **kwargs)
    except MlflowException as error:
        assert error.error_code == code, (error.error_code, code, str(error))
        assert says in str(error), (says, str(error))
    else:
        raise AssertionError(f"{call} was not refused")


INVALID = "INVALID_PARAMETER_VALUE"
ABSENT = "RESOURCE_DOES_NOT_EXIST"

# Experiments.
experiment = client.create_experiment("growth", tags={"team": "crm"})
client.rename_experiment(experiment, "growth 2")
client.set_experiment_tag(experiment, "owner", "ann")
found = client.get_experiment(experiment)
assert found.name == "growth 2" and found.tags == {"team": "crm", "owner": "ann"}, found
client.delete_experiment_tag(experiment, "owner")
refused(ABSENT, "No tag with name: owner", client.delete_experiment_tag, experiment, "owner")
client.delete_experiment(experiment)
assert client.get_experiment(experiment).lifecycle_stage == "deleted"
assert [it.name for it in client.search_experiments(view_type=ViewType.DELETED_ONLY)] == ["growth 2"]
refused(ABSENT, "No Experiment with id=", client.delete_experiment, experiment)
client.restore_experiment(experiment)
for i in range(5):
    client.create_experiment(f"page {i}")
names, token = [], None
while True:
    page = client.search_experiments(filter_string="name LIKE 'page%'", order_by=["name DESC"], max_results=2, page_token=token)
    names += [it.name for it in page]
    token = page.token
    if not token:
        break
assert names == [f"page {i}" for i in (4, 3, 2, 1, 0)], names
refused(INVALID, "Invalid attribute key 'colour'", client.search_experiments, filter_string="colour = 'red'")

# A batch, its limits, what may change.
run = client.create_run(experiment, run_name="batch")
id = run.info.run_id
now = int(time.time() * 1000)
metrics = [Metric("loss", 1 / (step + 1), now, step) for step in range(1000)]
for _ in range(2):
    client.log_batch(id, metrics=metrics[:900], params=[Param("depth", "6")], tags=[RunTag("a", "b")])
client.log_batch(id, metrics=metrics[900:])
odd = [Metric("nan", math.nan, now, 0), Metric("inf", math.inf, now, 0)]
client.log_batch(id, metrics=odd)
data = client.get_run(id).data
assert data.metrics["loss"] == 1 / 1000 and math.isnan(data.metrics["nan"]), data.metrics
assert data.metrics["inf"] == sys.float_info.max
assert [it.step for it in client.get_metric_history(id, "loss")] == list(range(1000))
refused(INVALID, "Changing param values is not allowed", client.log_batch, id, params=[Param("depth", "7")])
refused(INVALID, "Changing param values is not allowed", client.log_param, id, "depth", "7")
client.set_tag(id, "mlflow.runName", "renamed")
assert client.get_run(id).info.run_name == "renamed"
client.delete_tag(id, "a")
refused(ABSENT, "No tag with name: a in run", client.delete_tag, id, "a")
client.log_param(id, "long", "x" * 7000)
assert len(client.get_run(id).data.params["long"]) == 6000
client.delete_run(id)
refused(INVALID, "must be in the 'active' state", client.log_metric, id, "loss", 1.0)
client.restore_run(id)

# Runs as a notebook makes them, data sets, nested runs.
mlflow.set_experiment("growth 2")
with mlflow.start_run(run_name="parent") as parent:
    mlflow.log_params({"rate": 0.1, "depth": 6})
    mlflow.log_metrics({"auc": 0.7})
    data = MetaDataset(HTTPDatasetSource("http://localhost/a.csv"), name="orders", digest="d1")
    mlflow.log_input(data, context="training")
    for depth in range(3):
        with mlflow.start_run(nested=True, run_name=f"child {depth}"):
            mlflow.log_metric("auc", 0.8 + depth / 100)
            mlflow.set_tags({"depth": depth})
read = client.get_run(parent.info.run_id).inputs.dataset_inputs
assert [(it.dataset.name, it.dataset.digest) for it in read] == [("orders", "d1")], read
assert read[0].tags[0].key == "mlflow.data.context" and read[0].tags[0].value == "training"
dataset = Dataset("visits", "d2", "local", "{}")
client.log_inputs(id, [DatasetInput(dataset, [InputTag("mlflow.data.context", "eval")])])


def search(filter="", order_by=(), **kwargs):
    runs = mlflow.search_runs([experiment], filter, order_by=list(order_by), output_format="list", **kwargs)
    return [it.info.run_name for it in runs]


children = f"tags.mlflow.parentRunId = '{parent.info.run_id}'"
assert search(children, ["metrics.auc DESC"]) == ["child 2", "child 1", "child 0"]
assert search("datasets.name = 'orders'") == ["parent"]
assert search("datasets.context = 'eval' AND dataset.digest IN ('d2', 'd3')") == ["renamed"]
assert search("params.rate = '0.1' and metrics.auc < 0.75") == ["parent"]
assert search("params.rate IS NULL", ["attributes.start_time ASC"], max_results=2) == ["renamed", "child 0"]
assert search(f"run_id IN ('{id}', '{parent.info.run_id}')", ["attribute.run_name"]) == ["parent", "renamed"]
assert search(f"run_id NOT IN ('{id}') AND attributes.run_name LIKE 'child _'", ["tags.depth"])[0] == "child 0"
assert search("attributes.status = 'FINISHED' AND tags.`depth` ILIKE '%2'") == ["child 2"]
assert len(search("", max_results=100)) == 5
refused(INVALID, "Expected numeric value type for metric", client.search_runs, [experiment], "metrics.auc = '1'")
refused(INVALID, "Invalid entity type 'foo'", client.search_runs, [experiment], "foo.x = '1'")
refused(INVALID, "Only ['run_id'] attributes support", client.search_runs, [experiment], "status IN ('a')")
page = client.search_runs([experiment], max_results=2)
rest = client.search_runs([experiment], max_results=50, page_token=page.token)
assert len(page) == 2 and len(rest) == 3 and rest.token is None

# Logged models.
model = mlflow.initialize_logged_model(name="trees", params={f"p{i}": str(i) for i in range(250)}, tags={"team": "crm"})
assert str(model.status) == "PENDING" and model.artifact_location.startswith("mlflow-artifacts:/"), model
with mlflow.start_run(run_name="evaluation") as evaluation:
    mlflow.log_metric("auc", 0.9, model_id=model.model_id, dataset=data)
    mlflow.log_metrics({"loss": 0.1, "f1": 0.5}, step=3, model_id=model.model_id)
    client.log_outputs(evaluation.info.run_id, [LoggedModelOutput(model.model_id, 3)])
mlflow.finalize_logged_model(model.model_id, "READY")
mlflow.set_logged_model_tags(model.model_id, {"team": "growth", "mark": "c"})
mlflow.delete_logged_model_tag(model.model_id, "mark")
model = mlflow.get_logged_model(model.model_id)
assert str(model.status) == "READY" and len(model.params) == 250, model
assert model.tags["team"] == "growth" and "mark" not in model.tags, model.tags
measured = {it.key: it for it in model.metrics}
assert sorted(measured) == ["auc", "f1", "loss"] and measured["auc"].dataset_name == "orders", measured
assert measured["auc"].run_id == evaluation.info.run_id and measured["f1"].step == 3
assert client.get_run(evaluation.info.run_id).data.metrics["auc"] == 0.9
assert client.get_run(evaluation.info.run_id).outputs.model_outputs[0].model_id == model.model_id
# By the client: the function for it looks into a table of frames, which not every Python has.
external = client.create_logged_model(experiment, name="forest", model_type="agent")
mlflow.log_model_params({"k": "v"}, model_id=external.model_id)


def models(filter=None, **kwargs):
    found = mlflow.search_logged_models([experiment], filter, output_format="list", **kwargs)
    return [it.name for it in found]


assert sorted(models()) == ["forest", "trees"]
assert models("metrics.auc >= 0.9 AND tags.team = 'growth'") == ["trees"]
assert models("metrics.auc > 0.5", datasets=[{"dataset_name": "orders"}]) == ["trees"]
assert models("metrics.auc > 0.5", datasets=[{"dataset_name": "visits"}]) == []
assert models("params.k = 'v' AND model_type = 'agent'") == ["forest"]
by_auc = [{"field_name": "metrics.auc", "ascending": False}]
assert models(order_by=by_auc) == ["trees", "forest"]
page = client.search_logged_models([experiment], order_by=by_auc, max_results=1)
rest = client.search_logged_models([experiment], order_by=by_auc, max_results=1, page_token=page.token)
assert [it.name for it in page + rest] == ["trees", "forest"]
refused(INVALID, "not match the requested", client.search_logged_models, [experiment], max_results=1, page_token=page.token)
refused(INVALID, "Invalid entity type", client.search_logged_models, [experiment], "foo.x = '1'")
refused(INVALID, "Invalid model name", mlflow.initialize_logged_model, name="a/b")
client.delete_logged_model(external.model_id)
refused(ABSENT, "not found", client.get_logged_model, external.model_id)
assert models() == ["trees"]
print("all as expected with mlflow", mlflow.__version__)
