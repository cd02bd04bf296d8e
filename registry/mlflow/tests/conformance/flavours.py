"""Models of MLflow's own flavours: logged, registered, aliased, loaded again. Run by tests/conformance.rs.

Argument: the server's address. Needs logged models (MLflow 3) and the packages of requirements.txt.
"""

import sys

import mlflow
from mlflow import MlflowClient

try:
    import mlflow.pyfunc
    import mlflow.sklearn
    import numpy as np
    import pandas as pd
    from sklearn.linear_model import LogisticRegression
except ImportError as error:
    print("skipped: this Python has no flavours:", error)
    sys.exit(0)

address = sys.argv[1]
mlflow.set_tracking_uri(address)
client = MlflowClient(tracking_uri=address, registry_uri=address)
mlflow.set_experiment("flavours")


class Doubled(mlflow.pyfunc.PythonModel):
    def predict(self, context, model_input: pd.DataFrame, params=None):
        return model_input["x"] * 2


# a Python model: logged and registered in one call
with mlflow.start_run() as run:
    info = mlflow.pyfunc.log_model(
        name="doubled", python_model=Doubled(), registered_model_name="doubled", pip_requirements=[]
    )
version = client.search_model_versions("name = 'doubled'")[0]
assert (int(version.version), version.run_id) == (1, run.info.run_id), version
assert version.source == f"models:/{info.model_id}", version
client.set_registered_model_alias("doubled", "champion", "1")
frame = pd.DataFrame({"x": [1.0, 2.5]})
for uri in ["models:/doubled@champion", "models:/doubled/1", "models:/doubled/latest", info.model_uri]:
    got = mlflow.pyfunc.load_model(uri).predict(frame)
    assert list(got) == [2.0, 5.0], (uri, got)
logged = client.get_logged_model(info.model_id)
assert "doubled" in logged.tags.get("mlflow.modelVersions", ""), logged.tags

# a model of scikit-learn, registered afterwards
rows = np.random.default_rng(7).normal(size=(200, 3))
fitted = LogisticRegression().fit(rows, rows[:, 0] + rows[:, 1] > 0)
with mlflow.start_run() as run:
    info = mlflow.sklearn.log_model(fitted, name="churn", pip_requirements=[])
registered = mlflow.register_model(info.model_uri, "churn", tags={"by": "notebook"})
assert int(registered.version) == 1 and registered.tags["by"] == "notebook", registered
again = mlflow.register_model(f"runs:/{run.info.run_id}/churn", "churn")
assert int(again.version) == 2 and again.run_id == run.info.run_id, again
back = mlflow.sklearn.load_model("models:/churn/2")
assert np.array_equal(back.predict_proba(rows), fitted.predict_proba(rows))

# the copy of a version loads like its original
copied = client.copy_model_version("models:/churn/1", "churn production")
back = mlflow.sklearn.load_model(f"models:/churn production/{copied.version}")
assert np.array_equal(back.predict_proba(rows), fitted.predict_proba(rows))

# files logged with a run, as before MLflow 3
with mlflow.start_run() as run:
    mlflow.log_text("weights", "plain/weights.txt")
client.create_registered_model("plain")
registered = client.create_model_version("plain", f"runs:/{run.info.run_id}/plain", run.info.run_id)
folder = mlflow.artifacts.download_artifacts(f"models:/plain/{registered.version}")
assert open(f"{folder}/weights.txt").read() == "weights"
print("flavours are as expected with mlflow", mlflow.__version__)
