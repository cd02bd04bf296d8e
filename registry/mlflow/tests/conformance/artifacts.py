"""Files up and down through MLflow's own client. Run by tests/conformance.rs.

Argument: the server's address. The server has model `published` with version 1, the file `model.bin` of bytes 0 to 255.
"""

import hashlib
import os
import sys
import tempfile
from pathlib import Path

import mlflow
import requests
from mlflow import MlflowClient
from mlflow.exceptions import MlflowException

address = sys.argv[1]
mlflow.set_tracking_uri(address)
client = MlflowClient(tracking_uri=address, registry_uri=address)
work = Path(tempfile.mkdtemp())


def listed(run_id, path=None):
    return [(it.path, it.is_dir, it.file_size) for it in client.list_artifacts(run_id, path)]


def digest(path):
    return hashlib.sha256(Path(path).read_bytes()).hexdigest()


run_id = client.create_run("0").info.run_id

# files and folders
(work / "folder" / "inner").mkdir(parents=True)
(work / "folder" / "a.txt").write_text("hello")
(work / "folder" / "inner" / "b c.json").write_text("{}")
(work / "folder" / "ünïcode.md").write_text("# é")
(work / "folder" / "empty").write_bytes(b"")
client.log_artifact(run_id, str(work / "folder" / "a.txt"))
client.log_artifact(run_id, str(work / "folder" / "a.txt"), "nested/deeper")
client.log_artifacts(run_id, str(work / "folder"), "all")
client.log_text(run_id, "text", "notes/readme.txt")
client.log_dict(run_id, {"a": 1}, "data.json")
assert listed(run_id) == [
    ("a.txt", False, 5), ("all", True, None), ("data.json", False, 12), ("nested", True, None), ("notes", True, None),
], listed(run_id)
assert sorted(listed(run_id, "all")) == sorted([
    ("all/a.txt", False, 5), ("all/empty", False, 0), ("all/inner", True, None), ("all/ünïcode.md", False, 4),
]), listed(run_id, "all")
assert listed(run_id, "a.txt") == [], "a file has nothing in it"
assert listed(run_id, "nope") == []
there = Path(client.download_artifacts(run_id, "all", str(work)))
for path in (work / "folder").rglob("*"):
    if path.is_file():
        assert (there / path.relative_to(work / "folder")).read_bytes() == path.read_bytes(), path
assert mlflow.artifacts.load_text(f"runs:/{run_id}/notes/readme.txt") == "text"
assert mlflow.artifacts.load_dict(f"mlflow-artifacts:/0/{run_id}/artifacts/data.json") == {"a": 1}

# a large file, streamed both ways; a client that asks for parts does without
large = work / "large.bin"
with open(large, "wb") as file:
    block = os.urandom(1 << 20)
    for at in range(200):
        file.write(at.to_bytes(8, "little") + block)
client.log_artifact(run_id, str(large))
os.environ.update(
    MLFLOW_ENABLE_PROXY_MULTIPART_UPLOAD="true",
    MLFLOW_MULTIPART_UPLOAD_MINIMUM_FILE_SIZE="5242880",
    MLFLOW_ENABLE_PROXY_MULTIPART_DOWNLOAD="true",
)
client.log_artifact(run_id, str(large), "again")
for path in ["large.bin", "again/large.bin"]:
    (work / "back").mkdir(exist_ok=True)
    back = client.download_artifacts(run_id, path, str(work / "back"))
    assert digest(back) == digest(large), path

# a path that leads elsewhere
base = f"{address}/api/2.0/mlflow-artifacts/artifacts"
for path in ["%2e%2e/%2e%2e/etc/passwd", "..%2Fx", "%252e%252e/x", "%2Fetc/passwd", "a%5C..%5Cb", "a%23b"]:
    for method in ["GET", "PUT", "DELETE"]:
        answer = requests.request(method, f"{base}/{path}", data=b"x" if method == "PUT" else None, timeout=30)
        assert answer.status_code == 400, (method, path, answer.status_code, answer.text)
        assert answer.json()["error_code"] == "INVALID_PARAMETER_VALUE", answer.text
assert requests.get(f"{base}/0/{run_id}/artifacts/all", timeout=30).status_code == 400, "a folder is no file"
assert requests.get(f"{base}/0/{run_id}/artifacts/nope", timeout=30).status_code == 404

# what was deleted is gone
from mlflow.store.artifact.artifact_repository_registry import get_artifact_repository  # noqa: E402

repository = get_artifact_repository(f"mlflow-artifacts:/0/{run_id}/artifacts")
repository.delete_artifacts("again")
assert listed(run_id, "again") == []
try:
    client.download_artifacts(run_id, "again/large.bin")
except (MlflowException, OSError, requests.HTTPError):
    pass
else:
    raise AssertionError("a deleted file came down")

# a version that Foretell published
folder = Path(mlflow.artifacts.download_artifacts("models:/published/1", dst_path=str(work / "published")))
assert (folder / "model.bin").read_bytes() == bytes(range(256)), list(folder.iterdir())
answer = requests.put(f"{base}/foretell/models/published/1/model.bin", data=b"x", timeout=30)
assert answer.status_code == 403, answer.text
print("artifacts are as expected with mlflow", mlflow.__version__)
