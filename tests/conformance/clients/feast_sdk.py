"""Feast's SDK against a Foretell server, changed in one line of its configuration: `path` of the remote online store.

Arguments: the server's address, the served project, a folder for Feast's own repository.
"""

import os
import random
import sys
import time
from datetime import datetime, timedelta, timezone
from pathlib import Path

import pandas as pd
import requests

os.environ["FEAST_USAGE"] = "False"
import feast.errors
from feast import Entity, FeatureService, FeatureStore, FeatureView, Field, FileSource, PushSource, RepoConfig, ValueType
from feast.protos.feast.serving.ServingService_pb2 import FieldStatus
from feast.protos.feast.types.EntityKey_pb2 import EntityKey
from feast.protos.feast.types.Value_pb2 import Value
from feast.types import Bool, Float64, Int64, String

from conformance import check, equal, run_checks
from feast_project import BIG, CUSTOMERS, STOCK, accounts, spend_of, visits_of, write

ADDRESS, PROJECT, REPOSITORY = sys.argv[1], Path(sys.argv[2]), Path(sys.argv[3])
URL = f"http://{ADDRESS}"
DATA = PROJECT / "data"
# When the project was made.
NOW = datetime.fromisoformat((PROJECT / "now").read_text())


def definitions():
    """What a team that used Feast before has: the same views, and the push source that feeds one of them."""
    customer = Entity(name="customer", join_keys=["customer_id"], value_type=ValueType.STRING)
    store = Entity(name="store", join_keys=["store"], value_type=ValueType.STRING)
    item = Entity(name="item", join_keys=["item"], value_type=ValueType.INT64)
    seen = FileSource(name="seen", path=str(DATA / "accounts/first.parquet"), timestamp_field="seen_at", created_timestamp_column="loaded_at")
    profile = FeatureView(
        name="profile",
        entities=[customer],
        ttl=timedelta(0),
        schema=[Field(name="customer_id", dtype=String), Field(name="plan", dtype=String), Field(name="spend", dtype=Float64), Field(name="visits", dtype=Int64), Field(name="active", dtype=Bool)],
        source=PushSource(name="accounts_push", batch_source=seen),
    )
    counted = FileSource(name="counted", path=str(DATA / "stocks.parquet"), timestamp_field="counted_at")
    stock = FeatureView(
        name="stock",
        entities=[store, item],
        ttl=timedelta(0),
        schema=[Field(name="store", dtype=String), Field(name="item", dtype=Int64), Field(name="units", dtype=Int64), Field(name="price", dtype=Float64)],
        source=counted,
    )
    return [customer, store, item, profile, stock, FeatureService(name="checkout", features=[profile])]


def connect():
    REPOSITORY.mkdir(parents=True, exist_ok=True)
    config = RepoConfig(
        project="shop",
        provider="local",
        registry=str(REPOSITORY / "registry.db"),
        online_store={"type": "remote", "path": URL},
        offline_store={"type": "file"},
        entity_key_serialization_version=3,
        repo_path=REPOSITORY,
    )
    store = FeatureStore(config=config)
    store.apply(definitions())
    return store


STORE = connect()


def ask(features, rows, **more):
    return STORE.get_online_features(features=features, entity_rows=rows, **more)


def customers(*ids):
    return [{"customer_id": f"C{it}"} for it in ids]


def column(response, name):
    """Values, statuses and protobuf kinds of one column."""
    at = list(response.proto.metadata.feature_names.val).index(name)
    vector = response.proto.results[at]
    statuses = [FieldStatus.Name(it) for it in vector.statuses]
    return response.to_dict()[name], statuses, [it.WhichOneof("val") for it in vector.values]


def raises(kind, call):
    try:
        call()
    except Exception as error:
        assert type(error) is kind, f"expected {kind.__name__}, got {type(error).__name__}: {error}"
        return str(error)
    raise AssertionError(f"{kind.__name__} was not raised")


def new_row(name, spend, when, plan="plus", visits=1):
    seen = pd.Timestamp(when)
    return {"customer_id": name, "plan": plan, "spend": spend, "visits": visits, "active": True, "seen_at": seen, "loaded_at": seen}


@check
def features_by_reference_come_in_the_order_asked_for():
    names = ["visits", "plan", "active", "spend"]
    response = ask([f"profile:{it}" for it in names], customers(2, 0, 1))
    equal(list(response.proto.metadata.feature_names.val), ["customer_id", *names])
    answer = response.to_dict()
    equal(answer["customer_id"], ["C2", "C0", "C1"])
    equal(answer["visits"], [visits_of(2), BIG, visits_of(1)], "whole numbers are exact")
    equal(answer["spend"], [spend_of(2), spend_of(0), spend_of(1)])
    equal(answer["plan"], ["prémium", "basic", "plus"])
    equal(answer["active"], [True, True, False])


@check
def a_column_has_one_type_whatever_its_values():
    response = ask(["profile:spend", "profile:visits", "profile:active", "profile:plan"], customers(1, 2, 4))
    for name, kind in [("spend", "double_val"), ("visits", "int64_val"), ("active", "bool_val"), ("plan", "string_val")]:
        equal(column(response, name)[2], [kind] * 3, name)
    frame = response.to_df()
    equal([str(frame[it].dtype) for it in ["spend", "visits", "active"]], ["float64", "int64", "bool"])


@check
def a_feature_service_gives_what_it_lists():
    rows = [{"customer_id": "C2", "store": "1", "item": 11, "cart_value": 4.0}, {"customer_id": "C4", "store": "11", "item": 1, "cart_value": 0.5}]
    response = ask(STORE.get_feature_service("checkout"), rows)
    names = ["customer_id", "store", "item", "plan", "spend", "active", "units", "dollar", "spend_and_cart"]
    equal(list(response.proto.metadata.feature_names.val), names)
    answer = response.to_dict()
    equal(answer["units"], [7, 8])
    equal(answer["dollar"], [1.25, 1.25], "a global view is the same for all")
    equal(answer["spend_and_cart"], [spend_of(2) + 4.0, spend_of(4) + 0.5])


@check
def composite_keys_are_whole_and_strings_are_cast():
    rows = [{"store": store, "item": str(item)} for store, item, _ in STOCK] + [{"store": "x", "item": "1"}]
    units, statuses, _ = column(ask(["stock:units", "stock:price"], rows), "units")
    equal(units, [it[2] for it in STOCK] + [None])
    equal(statuses, ["PRESENT"] * len(STOCK) + ["NOT_FOUND"])


@check
def on_demand_features_take_what_only_the_caller_knows():
    rows = [{"customer_id": "C2", "cart_value": 3}, {"customer_id": "C16", "cart_value": 1.5}, {"customer_id": "C6", "cart_value": None}]
    response = ask(["customer:spend_and_cart", "spend_per_visit", "profile:spend"], rows)
    names = ["customer_id", "spend_and_cart", "spend_per_visit", "spend"]
    equal(list(response.proto.metadata.feature_names.val), names, "request values do not come back")
    equal(column(response, "spend_and_cart")[:2], ([spend_of(2) + 3, None, None], ["PRESENT", "NULL_VALUE", "NULL_VALUE"]))
    equal(column(response, "spend_per_visit")[0], [spend_of(2) / visits_of(2), None, spend_of(6) / visits_of(6)])


@check
def statuses_are_told_apart():
    response = ask(["profile:plan", "moods:mood"], customers(0, 1, 3) + [{"customer_id": "nobody"}])
    equal(column(response, "plan")[:2], (["basic", "plus", None, None], ["PRESENT", "PRESENT", "NULL_VALUE", "NOT_FOUND"]))
    moods = (["glad", "sad", None, None], ["PRESENT", "OUTSIDE_MAX_AGE", "NOT_FOUND", "NOT_FOUND"])
    equal(column(response, "mood")[:2], moods)


@check
def rows_belong_to_their_entities_shuffled_and_repeated():
    chance = random.Random(7)
    ids = [chance.randrange(CUSTOMERS) for _ in range(1000)]
    answer = ask(["profile:spend", "profile:visits"], customers(*ids)).to_dict()
    equal(answer["customer_id"], [f"C{it}" for it in ids])
    equal(answer["visits"], [visits_of(it) for it in ids])
    equal(answer["spend"], [None if it % 11 == 5 else spend_of(it) for it in ids])


@check
def full_names_and_versions_of_views_are_told():
    response = ask(["profile:plan", "stock:units"], [{"customer_id": "C0", "store": "1", "item": 1}], full_feature_names=True, include_feature_view_version_metadata=True)
    equal(list(response.proto.metadata.feature_names.val), ["customer_id", "store", "item", "profile__plan", "stock__units"])
    equal([it.name for it in response.proto.metadata.feature_view_metadata], ["profile", "stock"])
    equal(ask(["profile@v2:plan"], customers(0)).to_dict()["plan"], ["basic"], "a pinned version reads the current one")


@check
def the_wire_has_columns_statuses_and_times():
    body = {"entities": {"customer_id": ["C0", "nobody"]}, "features": ["profile:spend"]}
    response = requests.post(f"{URL}/get-online-features", json=body)
    seen = (NOW - timedelta(days=2)).strftime("%Y-%m-%dT%H:%M:%SZ")
    spend = {"values": [0.0, None], "statuses": ["PRESENT", "NOT_FOUND"], "event_timestamps": [seen, "1970-01-01T00:00:00Z"]}
    equal(response.json()["results"][1], spend)
    assert '"values":[0.0,null]' in response.text, "a float is written as one"
    equal(requests.get(f"{URL}/health").status_code, 200)


@check
def the_low_level_read_finds_values_and_their_time():
    # One key column: of composite keys this call of the SDK sends the first alone, whatever the server.
    view = STORE.get_feature_view("profile")
    keys = [EntityKey(join_keys=["customer_id"], entity_values=[Value(string_val=it)]) for it in ["C8", "nobody"]]
    found, missing = STORE._get_provider().online_read(STORE.config, view, keys, ["visits", "spend"])
    equal((found[1]["visits"].int64_val, found[1]["spend"].double_val), (visits_of(8), spend_of(8)))
    equal(found[0].replace(tzinfo=timezone.utc), NOW - timedelta(days=2))
    equal(missing[1]["visits"].WhichOneof("val"), None)


@check
def rows_written_are_read_and_late_ones_are_kept_out():
    hour = timedelta(hours=1)
    for spend, when, expected in [(5.0, NOW - 3 * hour, 5.0), (4.0, NOW - 4 * hour, 5.0), (6.0, NOW - 2 * hour, 6.0)]:
        STORE.write_to_online_store("profile", pd.DataFrame([new_row("W1", spend, when)]))
        equal(ask(["profile:spend"], [{"customer_id": "W1"}]).to_dict()["spend"], [expected], str(when))


@check
def pushed_rows_are_read_at_once():
    STORE.push("accounts_push", pd.DataFrame([new_row("P1", 7.5, NOW - timedelta(hours=1), visits=BIG), new_row("P2", None, NOW, plan=None)]))
    response = ask(["profile:spend", "profile:visits", "profile:plan"], [{"customer_id": "P2"}, {"customer_id": "P1"}])
    equal(column(response, "spend")[:2], ([None, 7.5], ["NULL_VALUE", "PRESENT"]))
    equal(column(response, "visits")[0], [1, BIG])
    equal(column(response, "plan")[0], [None, "plus"])


@check
def rows_pushed_over_http_reach_the_store_and_the_source():
    when = (NOW - timedelta(minutes=5)).isoformat()
    row = {"customer_id": ["H1"], "plan": ["plus"], "spend": [3], "visits": [2], "active": [True], "seen_at": [when], "loaded_at": [when]}
    for to in ["online", "offline", "online_and_offline"]:
        response = requests.post(f"{URL}/push", json={"push_source_name": "accounts", "df": row, "to": to})
        equal((response.status_code, response.content), (200, b""), response.text)
    equal(ask(["profile:spend"], [{"customer_id": "H1"}]).to_dict()["spend"], [3.0])
    files = [it.name for it in (DATA / "accounts").iterdir()]
    equal(sorted(it.startswith("pushed-") for it in files), [False, True], f"the same rows are one file: {files}")


@check
def materializing_picks_up_new_files():
    write(DATA / "accounts/second.parquet", accounts([1000, 1001], NOW - timedelta(minutes=30)))
    equal(ask(["profile:visits"], customers(1000)).to_dict()["visits"], [None])
    STORE.materialize_incremental(end_date=datetime.now(timezone.utc), feature_views=["profile"])
    equal(ask(["profile:visits"], customers(1000, 1001)).to_dict()["visits"], [visits_of(1000), visits_of(1001)])
    spends = ask(["profile:spend"], [{"customer_id": it} for it in ["W1", "P1", "C2"]]).to_dict()["spend"]
    equal(spends, [6.0, 7.5, spend_of(2)], "what was pushed later stays")


@check
def materializing_between_two_times_works_and_in_the_background_too():
    write(DATA / "accounts/third.parquet", accounts([2000], NOW - timedelta(minutes=20)))
    STORE.materialize(start_date=NOW - timedelta(hours=1), end_date=NOW, feature_views=["profile"])
    equal(ask(["profile:visits"], customers(2000)).to_dict()["visits"], [visits_of(2000)])
    write(DATA / "accounts/fourth.parquet", accounts([2001], NOW - timedelta(minutes=10)))
    STORE.materialize_incremental(end_date=NOW, feature_views=["profile"], run_async=True)
    for _ in range(100):
        if ask(["profile:visits"], customers(2001)).to_dict()["visits"] == [visits_of(2001)]:
            break
        time.sleep(0.1)
    else:
        raise AssertionError("what was accepted was not done within 10 s")
    said = raises(RuntimeError, lambda: STORE.materialize_incremental(end_date=NOW + timedelta(days=1)))
    assert "is in the future" in said, said


@check
def mistakes_raise_feasts_own_exceptions():
    row = customers(0)
    errors = feast.errors
    cases = [
        (errors.FeatureViewNotFoundException, lambda: ask(["profil:plan"], row), "did you mean `profile`?"),
        (errors.FeatureServiceNotFoundException, lambda: ask(FeatureService(name="chekout", features=[]), row), "did you mean `checkout`?"),
        (errors.SpecifiedFeaturesNotPresentError, lambda: ask(["profile:plam"], row), "did you mean `plan`?"),
        (errors.RequestDataNotFoundInEntityRowsException, lambda: ask(["spend_and_cart"], row), "cart_value"),
        (errors.FeastError, lambda: ask(["stock:units"], [{"store": "1"}]), "missing column `item`"),
        (errors.FeastError, lambda: ask(["stock:units"], [{"store": "1", "item": "many"}]), "many"),
    ]
    for kind, call, expected in cases:
        said = raises(kind, call)
        assert expected in said, f"expected `{expected}` in `{said}`"


@check
def two_features_of_one_name_are_refused_in_feasts_words():
    said = raises(feast.errors.FeatureNameCollisionError, lambda: ask(["profile:plan", "profile2:plan"], customers(0)))
    assert said.startswith("Duplicate features named plan found."), said


@check
def a_body_without_entities_is_refused_as_the_framework_does():
    response = requests.post(f"{URL}/get-online-features", json={"features": ["profile:plan"]})
    equal((response.status_code, response.json()["detail"][0]["loc"]), (422, ["body", "entities"]))


run_checks()
