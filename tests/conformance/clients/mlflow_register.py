"""Registers model `notebook` from the files of a run, as a data scientist does. Argument: the HTTP address."""

import sys
import tempfile
from pathlib import Path

import mlflow
from mlflow import MlflowClient

from conformance import check, equal, run_checks

address = f"http://{sys.argv[1]}"
mlflow.set_tracking_uri(address)
client = MlflowClient(tracking_uri=address, registry_uri=address)


@check
def a_run_logs_its_files_and_becomes_a_version():
    mlflow.set_experiment("notebooks")
    with mlflow.start_run(run_name="by hand") as run:
        mlflow.log_params({"depth": 3})
        mlflow.log_metric("roc_auc", 0.81)
        with tempfile.TemporaryDirectory() as folder:
            (Path(folder) / "MLmodel").write_text("flavors: {}\n")
            (Path(folder) / "weights.bin").write_bytes(bytes(range(256)) * 4096)
            mlflow.log_artifacts(folder, "model")
    client.create_registered_model("notebook")
    source = f"{run.info.artifact_uri}/model"
    version = client.create_model_version("notebook", source, run.info.run_id, description="from a notebook")
    equal((int(version.version), version.run_id, version.status), (1, run.info.run_id, "READY"))


@check
def what_foretell_trained_comes_down_whole():
    folder = Path(mlflow.artifacts.download_artifacts("models:/churn@champion", dst_path=tempfile.mkdtemp()))
    files = {str(it.relative_to(folder)): it.stat().st_size for it in folder.rglob("*") if it.is_file()}
    assert files and all(files.values()), files
    version = client.get_model_version_by_alias("churn", "champion")
    assert version.source.startswith("foretell:/sha256:"), version


run_checks()
