"""Every call of MLflow's model registry, and what it answers when something is wrong. Run by tests/conformance.rs.

Argument: the server's address. The server is empty.
"""

import sys
import tempfile
import time
from pathlib import Path

import mlflow
from mlflow import MlflowClient
from mlflow.exceptions import MlflowException

address = sys.argv[1]
mlflow.set_tracking_uri(address)
client = MlflowClient(tracking_uri=address, registry_uri=address)

INVALID, ABSENT, EXISTS = "INVALID_PARAMETER_VALUE", "RESOURCE_DOES_NOT_EXIST", "RESOURCE_ALREADY_EXISTS"


def refused(code, status, call, *args, says="", **kwargs):
    try:
        call(*args, **kwargs)
    except MlflowException as error:
        assert error.error_code == code, (error.error_code, code, str(error))
        assert error.get_http_status_code() == status, (error.get_http_status_code(), status)
        assert says in str(error), str(error)
    else:
        raise AssertionError(f"{call} was not refused")


def names(found):
    return [it.name for it in found]


def numbers(found):
    return [int(it.version) for it in found]


# models: made, read, described, renamed, deleted
made = client.create_registered_model("churn", tags={"team": "crm"}, description="who leaves")
assert (made.name, made.tags, made.description) == ("churn", {"team": "crm"}, "who leaves"), made
assert made.creation_timestamp == made.last_updated_timestamp > 1_600_000_000_000, made
refused(EXISTS, 400, client.create_registered_model, "churn", says="Registered Model (name=churn) already exists.")
for name in ["", " ", "a/b", "a:b", "..", "../x", ".", "x" * 257]:
    refused(INVALID, 400, client.create_registered_model, name)
refused(ABSENT, 404, client.get_registered_model, "nope", says="nope")
time.sleep(0.005)
described = client.update_registered_model("churn", "who leaves next")
assert described.description == "who leaves next"
assert described.last_updated_timestamp > made.last_updated_timestamp
refused(ABSENT, 404, client.update_registered_model, "nope", "x")
client.create_registered_model("ltv")
refused(EXISTS, 400, client.rename_registered_model, "churn", "ltv")
refused(INVALID, 400, client.rename_registered_model, "churn", "a/b")
client.rename_registered_model("ltv", "value")
assert client.get_registered_model("value").name == "value"
refused(ABSENT, 404, client.get_registered_model, "ltv")
client.delete_registered_model("value")
refused(ABSENT, 404, client.delete_registered_model, "value")

# versions: made from several places, numbered once and for all
run = client.create_run("0")
root = run.info.artifact_uri
assert root == f"mlflow-artifacts:/0/{run.info.run_id}/artifacts", root
with tempfile.TemporaryDirectory() as folder:
    (Path(folder) / "MLmodel").write_text("flavors: {}\n")
    (Path(folder) / "weights.bin").write_bytes(bytes(range(256)) * 1000)
    client.log_artifacts(run.info.run_id, folder, "model")
first = client.create_model_version(
    "churn", f"{root}/model", run.info.run_id, tags={"a": "1"}, run_link="http://ui", description="first"
)
assert (int(first.version), first.status, first.current_stage) == (1, "READY", "None"), first
assert (first.run_id, first.run_link, first.description, first.tags) == (
    run.info.run_id, "http://ui", "first", {"a": "1"},
), first
assert first.source == f"{root}/model"
second = client.create_model_version("churn", "s3://bucket/churn/2")
assert int(second.version) == 2 and not second.run_id
assert client.get_registered_model("churn").last_updated_timestamp == second.creation_timestamp
assert client.get_model_version_download_uri("churn", "1") == f"{root}/model"
assert client.get_model_version_download_uri("churn", "2") == "s3://bucket/churn/2"
for source, run_id in [
    ("/etc/passwd", None),
    ("file:///etc/passwd", run.info.run_id),
    (f"{root}/../../../secret", run.info.run_id),
    (f"{root}/%2e%2e/secret", run.info.run_id),
    (f"{root}/model", None),
    ("mlflow-artifacts:/0/other/artifacts", run.info.run_id),
    ("s3://bucket/a/../b", None),
    ("", None),
]:
    refused(INVALID, 400, client.create_model_version, "churn", source, run_id)
refused(ABSENT, 404, client.create_model_version, "nope", "s3://bucket/x")
refused(ABSENT, 404, client.get_model_version, "churn", "9", says="Model Version (name=churn, version=9) not found")
refused(ABSENT, 404, client.get_model_version, "churn", "0")
refused(INVALID, 400, client.get_model_version, "churn", "abc", says="must be an integer, got 'abc'")
assert client.update_model_version("churn", "1", "the first").description == "the first"

# tags
client.set_registered_model_tag("churn", "odd key/with.all-of:it", "x'y\"z")
assert client.get_registered_model("churn").tags["odd key/with.all-of:it"] == "x'y\"z"
client.delete_registered_model_tag("churn", "odd key/with.all-of:it")
client.delete_registered_model_tag("churn", "odd key/with.all-of:it")
assert client.get_registered_model("churn").tags == {"team": "crm"}
client.set_model_version_tag("churn", "1", "reviewed", "yes")
client.set_model_version_tag("churn", "1", "a", "2")
assert client.get_model_version("churn", "1").tags == {"a": "2", "reviewed": "yes"}
client.delete_model_version_tag("churn", "1", "a")
assert client.get_model_version("churn", "1").tags == {"reviewed": "yes"}
refused(INVALID, 400, client.set_model_version_tag, "churn", "1", "a=b", "x")
refused(INVALID, 400, client.set_registered_model_tag, "churn", "k", "v" * 100_001)
refused(ABSENT, 404, client.set_model_version_tag, "churn", "9", "k", "v")

# aliases
client.set_registered_model_alias("churn", "champion", "1")
client.set_registered_model_alias("churn", "shadow", "1")
assert sorted(client.get_model_version_by_alias("churn", "champion").aliases) == ["champion", "shadow"]
client.set_registered_model_alias("churn", "champion", "2")
aliases = client.get_registered_model("churn").aliases
assert {it: int(version) for it, version in aliases.items()} == {"champion": 2, "shadow": 1}, aliases
assert int(client.get_model_version_by_alias("churn", "latest").version) == 2
for alias in ["latest", "LATEST", "v1", "V22", "a b", "a/b", "", "x" * 256]:
    refused(INVALID, 400, client.set_registered_model_alias, "churn", alias, "1")
refused(ABSENT, 404, client.set_registered_model_alias, "churn", "a", "9")
refused(INVALID, 400, client.get_model_version_by_alias, "churn", "nope", says="Registered model alias nope not found.")
client.delete_registered_model_alias("churn", "shadow")
client.delete_registered_model_alias("churn", "shadow")
found = {int(it.version): list(it.aliases) for it in client.search_model_versions("name = 'churn'")}
assert found == {1: [], 2: ["champion"]}, found

# stages, as far as clients still send them
third = client.create_model_version("churn", "s3://bucket/churn/3")
assert client.transition_model_version_stage("churn", "1", "staging").current_stage == "Staging"
client.transition_model_version_stage("churn", "2", "Production")
moved = client.transition_model_version_stage("churn", "3", "Production", archive_existing_versions=True)
assert moved.current_stage == "Production"
assert client.get_model_version("churn", "2").current_stage == "Archived"
latest = {it.current_stage: int(it.version) for it in client.get_latest_versions("churn")}
assert latest == {"Staging": 1, "Archived": 2, "Production": 3}, latest
assert numbers(client.get_latest_versions("churn", ["Production"])) == [3]
refused(INVALID, 400, client.transition_model_version_stage, "churn", "1", "nope", says="Invalid Model Version stage")
refused(INVALID, 400, client.get_latest_versions, "churn", ["nope"])

# copies
copied = client.copy_model_version("models:/churn@champion", "production churn")
assert (copied.name, int(copied.version), copied.source) == ("production churn", 1, "models:/churn/2"), copied
assert client.get_model_version_download_uri("production churn", "1") == "s3://bucket/churn/2"
copied = client.copy_model_version("models:/churn/1", "production churn")
assert copied.run_id == run.info.run_id and int(copied.version) == 2, copied
refused(  # the client wraps what the server said
    "INTERNAL_ERROR", 500, client.copy_model_version, "models:/churn/9", "production churn", says=ABSENT
)

# deleting a version takes its aliases along; its number is used up
client.delete_model_version("churn", "2")
refused(ABSENT, 404, client.get_model_version, "churn", "2")
refused(ABSENT, 404, client.delete_model_version, "churn", "2")
refused(INVALID, 400, client.get_model_version_by_alias, "churn", "champion")
assert sorted(numbers(client.search_model_versions("name = 'churn'"))) == [1, 3]
assert int(client.create_model_version("churn", "s3://bucket/churn/4").version) == 4

# searching models
for at in range(25):
    client.create_registered_model(f"many {at:02}", tags={"parity": "even" if at % 2 == 0 else "odd"})
expected = [f"many {at:02}" for at in range(25)]
for filter_string, found in [
    ("name LIKE 'many%'", expected),
    ("name ILIKE 'MANY 0%'", expected[:10]),
    ("name LIKE 'MANY%'", []),
    ("name LIKE 'many _5'", ["many 05", "many 15"]),
    ("name = 'many 07'", ["many 07"]),
    ("name != 'churn' AND name LIKE 'c%'", []),
    ("tags.parity = 'odd' and name LIKE 'many 0%'", expected[1:10:2]),
    ("tag.`parity` != 'odd'", expected[0::2]),
    ('tags."parity" ILIKE \'EV%\'', expected[0::2]),
    ("tags.parity = 'odd' AND tags.parity = 'even'", []),
]:
    got = names(client.search_registered_models(filter_string, max_results=100))
    assert got == found, (filter_string, got)
got, token = [], None
while True:
    page = client.search_registered_models("name LIKE 'many%'", 7, ["name DESC"], token)
    assert len(page) <= 7
    got, token = got + names(page), page.token
    if not token:
        break
assert got == expected[::-1], got
newest = client.search_registered_models(order_by=["last_updated_timestamp DESC", "name ASC"], max_results=1)
assert names(newest)[0].startswith("many"), newest
for filter_string in ["name = many", "name >= 'a'", "foo = 'x'", "name = 'a' OR name = 'b'", "tags.a IN ('x')", "name"]:
    refused(INVALID, 400, client.search_registered_models, filter_string)
refused(INVALID, 400, client.search_registered_models, order_by=["flavour"])
refused(INVALID, 400, client.search_registered_models, max_results=1001)
refused(INVALID, 400, client.search_registered_models, page_token="garbage", says="Invalid page token")

# searching versions
client.create_registered_model("big")
for at in range(1, 31):
    client.create_model_version("big", f"s3://bucket/big/{at}", tags={"third": str(at % 3)})
for filter_string, found in [
    ("name = 'big'", list(range(30, 0, -1))),
    ("name = 'big' AND version_number > 27", [30, 29, 28]),
    ("name = 'big' AND version_number <= 2", [2, 1]),
    ("name IN ('big', 'nope') AND tags.third = '0' AND version_number < 7", [6, 3]),
    ("name = 'big' AND source_path = 's3://bucket/big/9'", [9]),
    ("name = 'big' AND source_path LIKE '%/2_'", list(range(29, 19, -1))),
    (f"run_id = '{run.info.run_id}' AND name = 'churn'", [1]),
    (f"run_id IN ('x', '{run.info.run_id}') AND name = 'churn'", [1]),
    ("name = 'nope'", []),
]:
    got = numbers(client.search_model_versions(filter_string, order_by=["version_number DESC"]))
    assert got == found, (filter_string, got)
assert numbers(client.search_model_versions("name = 'big'"))[0] == 30, "the newest change first"
got, token = [], None
while True:
    page = client.search_model_versions("name = 'big'", 11, ["version_number ASC"], token)
    got, token = got + numbers(page), page.token
    if not token:
        break
assert got == list(range(1, 31)), got
for filter_string in ["version_number = '1'", "version_number > 1.5", "name > 1", "aliases = 'x'"]:
    refused(INVALID, 400, client.search_model_versions, filter_string)
refused(INVALID, 400, client.search_model_versions, max_results=200_001)

# a prompt lies beside the models and is not one
if hasattr(client, "register_prompt"):
    prompt = client.register_prompt("greeting", "Hello {{name}}", commit_message="first", tags={"lang": "en"})
    assert prompt.version == 1 and prompt.template == "Hello {{name}}", prompt
    assert "greeting" not in names(client.search_registered_models(max_results=1000))
    assert [it.name for it in client.search_prompts()] == ["greeting"]
    assert client.load_prompt("prompts:/greeting/1").format(name="Ann") == "Hello Ann"
    refused(EXISTS, 400, client.create_registered_model, "greeting")
print("the registry is as expected with mlflow", mlflow.__version__)
