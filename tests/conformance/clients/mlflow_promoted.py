"""Model `notebook`, registered by Python, after `foretell models promote`. Argument: the HTTP address."""

import sys
import tempfile
from pathlib import Path

import mlflow
from mlflow import MlflowClient

from conformance import check, equal, post, run_checks

address = f"http://{sys.argv[1]}"
mlflow.set_tracking_uri(address)
client = MlflowClient(tracking_uri=address, registry_uri=address)


@check
def python_sees_the_promotion():
    version = client.get_model_version_by_alias("notebook", "champion")
    equal((int(version.version), version.aliases, version.description), (1, ["champion"], "from a notebook"))


@check
def its_files_outlive_the_run_that_logged_them():
    run_id = client.get_model_version("notebook", "1").run_id
    run = client.get_run(run_id)
    from mlflow.store.artifact.artifact_repository_registry import get_artifact_repository

    get_artifact_repository(run.info.artifact_uri).delete_artifacts("model")
    folder = Path(mlflow.artifacts.download_artifacts("models:/notebook@champion", dst_path=tempfile.mkdtemp()))
    equal((folder / "weights.bin").read_bytes(), bytes(range(256)) * 4096)


@check
def the_server_goes_on_answering_for_its_own_models():
    row = {"plan": "basic", "months": 3, "complaints": 2, "price": 25.25, "paperless": True}
    answer = post(sys.argv[1], "/v1/predict/churn", {"rows": [row]})
    equal(answer["predictions"][0]["status"], "ok")


run_checks()
