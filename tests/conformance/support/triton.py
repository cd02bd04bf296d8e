"""Checks that hold for Triton's HTTP and gRPC clients alike; a `Road` is one of them.

Extensions that the server does not name are not asked for; what it names must work.
"""

import math

import numpy as np
from tritonclient.utils import InferenceServerException

from conformance import CUSTOMERS, ROWS, WHOLE_ROWS, check, equal, predictions, steps, values

COLUMNS = {"plan": "BYTES", "months": "INT64", "complaints": "INT64", "price": "FP64", "paperless": "BOOL"}
NUMBERS = ["months", "complaints", "price"]
DTYPES = {"BYTES": np.object_, "INT64": np.int64, "INT32": np.int32, "FP64": np.float64, "FP32": np.float32, "BOOL": np.bool_}


class Road:
    """One of the two clients, with what differs between them.

    `module` is tritonclient.http or .grpc; `statuses` says how it spells a status; `json` are arguments that ask for plain
    JSON tensors where the client would send binary ones.
    """

    def __init__(self, module, client, statuses, json):
        self.module, self.client, self.statuses, self.json = module, client, statuses, json

    def tensor(self, name, datatype, cells, shape=None, **how):
        """An input tensor of shape [n, 1] unless told otherwise."""
        array = np.array(cells, dtype=DTYPES[datatype]).reshape(shape or [len(cells), 1])
        tensor = self.module.InferInput(name, list(array.shape), datatype)
        tensor.set_data_from_numpy(array, **(how or self.json))
        return tensor

    def columns(self, rows, columns=None, **how):
        """One tensor per column; a missing number is NaN."""
        cells = lambda name: [math.nan if row[name] is None else row[name] for row in rows]
        return [self.tensor(name, kind, cells(name), **how) for name, kind in (columns or COLUMNS).items()]

    def keys(self, customers, **how):
        return [self.tensor("customer_id", "BYTES", customers, **how)]

    def outputs(self, names):
        return [self.module.InferRequestedOutput(name, **self.json) for name in names]

    def infer(self, model, inputs, outputs=None, **more):
        """With no outputs named, the client asks for all, and over HTTP for binary ones: a plain answer must do as well."""
        return self.client.infer(model, inputs, outputs=outputs and self.outputs(outputs), **more)

    def extensions(self):
        return list(field(self.client.get_server_metadata(), "extensions"))

    def refused(self, status, call, *arguments, **more):
        try:
            call(*arguments, **more)
        except InferenceServerException as error:
            equal(error.status(), self.statuses[status], f"status of `{error.message()}`")
            assert error.message(), "an error says what is wrong"
        else:
            raise AssertionError(f"was not refused: {status} expected")


def field(message, name):
    """Of a JSON object or of a message."""
    return message[name] if isinstance(message, dict) else getattr(message, name)


def listed(result, name):
    """An output as Python values, row by row; an absent one is a failure."""
    array = result.as_numpy(name)
    assert array is not None, f"no output `{name}`"
    equal(array.shape[1:], (1,), f"shape of {name}")
    return [it.decode() if isinstance(it, bytes) else it for it in array[:, 0].tolist()]


def declare(road, http):
    """Declares the checks; `http` is where the judge is."""
    client = road.client

    @check
    def server_and_models_are_live_and_ready():
        assert client.is_server_live() and client.is_server_ready()
        for model in ["churn", "spend", "demand"]:
            assert client.is_model_ready(model), model
        assert client.is_model_ready("churn", "1")

    @check
    def an_unknown_model_or_version_is_not_ready_and_nothing_raises():
        for model, version in [("nope", ""), ("churn", "99"), ("a b/ü", "")]:
            equal(client.is_model_ready(model, version), False, f"{model} {version}")

    @check
    def server_metadata_names_the_server_and_its_extensions():
        metadata = client.get_server_metadata()
        assert field(metadata, "name") and field(metadata, "version")
        assert all(isinstance(it, str) for it in field(metadata, "extensions"))

    @check
    def model_metadata_has_the_named_columns_with_a_free_batch():
        metadata = client.get_model_metadata("churn")
        equal(field(metadata, "name"), "churn")
        equal(list(field(metadata, "versions")), ["1"])
        assert field(metadata, "platform")
        inputs, outputs = (tensors(metadata, side) for side in ("inputs", "outputs"))
        for name, datatype in COLUMNS.items():
            equal(inputs.get(name), (datatype, [-1, 1]), name)
        equal(outputs["churn_probability"], ("FP64", [-1, 1]))
        equal(outputs["risk_level"], ("BYTES", [-1, 1]))
        forecast = tensors(client.get_model_metadata("demand", "1"), "outputs")
        for name in ["value", "lower", "upper"]:
            equal(forecast[name][0], "FP64", name)
            equal(forecast[name][1][0], -1, name)

    @check
    def named_columns_give_the_numbers_of_the_native_api():
        judged = predictions(http, "churn", rows=WHOLE_ROWS)
        result = road.infer("churn", road.columns(WHOLE_ROWS), request_id="7")
        equal(listed(result, "churn_probability"), [it["value"] for it in judged])
        equal(listed(result, "risk_level"), [it["decision"]["level"] for it in judged])
        answer = result.get_response()
        equal([field(answer, it) for it in ("id", "model_name", "model_version")], ["7", "churn", "1"])

    @check
    def one_row_alone_gives_what_it_gave_in_a_batch():
        judged = values(http, "churn", rows=WHOLE_ROWS)
        alone = [listed(road.infer("churn", road.columns([row])), "churn_probability")[0] for row in WHOLE_ROWS]
        equal(alone, judged)

    @check
    def a_derived_column_may_come_along():
        rows = [row | {"price_per_month": row["price"] / 7} for row in WHOLE_ROWS]
        result = road.infer("churn", road.columns(rows, COLUMNS | {"price_per_month": "FP64"}))
        equal(listed(result, "churn_probability"), values(http, "churn", rows=rows))

    @check
    def whole_numbers_may_come_in_other_widths():
        judged = values(http, "spend", rows=[{it: row[it] for it in NUMBERS} for row in WHOLE_ROWS])
        for kinds in [("INT32", "INT32", "FP32"), ("FP64", "FP32", "FP64"), ("INT64", "INT64", "FP32")]:
            result = road.infer("spend", road.columns(WHOLE_ROWS, dict(zip(NUMBERS, kinds))))
            equal(listed(result, "spend"), judged, kinds)

    @check
    def an_entity_key_gives_the_numbers_of_the_native_api():
        judged = values(http, "churn", entities=[{"customer_id": it} for it in CUSTOMERS])
        result = road.infer("churn", road.keys(CUSTOMERS), ["churn_probability"])
        equal(listed(result, "churn_probability"), judged)
        assert result.as_numpy("risk_level") is None, "only what was asked for is answered"

    @check
    def a_dense_tensor_does_where_all_columns_are_numbers():
        judged = predictions(http, "spend", rows=[{it: row[it] for it in NUMBERS} for row in WHOLE_ROWS])
        cells = [[row[it] for it in NUMBERS] for row in WHOLE_ROWS]
        for datatype in ["FP64", "FP32"]:
            result = road.infer("spend", [road.tensor("features", datatype, cells, [len(cells), len(NUMBERS)])])
            for name, of in [("spend", "value"), ("spend_lower", "lower"), ("spend_upper", "upper")]:
                equal(listed(result, name), [it[of] for it in judged], f"{datatype} {name}")

    @check
    def a_forecast_answers_one_row_of_steps_per_series():
        stores = ["S1", "S0"]
        result = road.infer("demand", [road.tensor("store", "BYTES", stores)])
        for name in ["value", "lower", "upper"]:
            judged = steps(http, "demand", name, series=[{"store": it} for it in stores])
            array = result.as_numpy(name)
            equal(array.shape, (2, 14), name)
            equal(array.tolist(), judged, name)

    @check
    def an_empty_batch_gives_an_empty_answer():
        result = road.infer("churn", road.columns([]))
        equal(result.as_numpy("churn_probability").shape, (0, 1))

    @check
    def errors_have_their_status_and_say_why():
        plan, *others = road.columns(WHOLE_ROWS)
        months = road.tensor("months", "INT64", [3])
        not_found = [("nope", {}), ("churn", {"model_version": "99"})]
        for model, more in not_found:
            road.refused("not found", road.infer, model, road.columns(WHOLE_ROWS), **more)
        wrong = {
            "a missing column": others,
            "an unknown column": [plan, *others, road.tensor("colour", "BYTES", ["red"] * 3)],
            "a column sent twice": [plan, plan, *others],
            "columns of unlike length": [plan, months, *others[1:]],
            "a wide column": [plan, road.tensor("months", "INT64", [[1, 2]] * 3, [3, 2]), *others[1:]],
            "dense features of a mixed model": [road.tensor("features", "FP64", [[1.0] * 5], [1, 5])],
        }
        for what, inputs in wrong.items():
            named(what, road.refused, "invalid", road.infer, "churn", inputs)
        named("too few features", road.refused, "invalid", road.infer, "spend", [road.tensor("features", "FP64", [[1.0, 2.0]], [1, 2])])
        named("an unknown output", road.refused, "invalid", road.infer, "churn", road.columns(WHOLE_ROWS), ["nope"])
        road.refused("not found", client.get_model_metadata, "nope")

    @check
    def a_row_that_cannot_be_scored_fails_alone():
        customers = ["C7", "NOBODY", "C1"]
        known = values(http, "churn", entities=[{"customer_id": it} for it in ("C7", "C1")])
        plan, _, *others = road.columns(WHOLE_ROWS)
        months = road.tensor("months", "BYTES", ["3", "many", "1"])
        rows = values(http, "churn", rows=[WHOLE_ROWS[0], WHOLE_ROWS[2]])
        cases = [(road.keys(customers), "not_found", known), ([plan, months, *others], "invalid", rows)]
        for inputs, status, judged in cases:
            result = road.infer("churn", inputs)
            equal(listed(result, "status"), ["ok", status, "ok"])
            first, missing, last = listed(result, "churn_probability")
            assert math.isnan(missing), missing
            equal([first, last], judged)

    @check
    def parameters_of_the_request_are_allowed():
        result = road.infer("churn", road.columns(WHOLE_ROWS), parameters={"trace": "a", "tries": 2, "retry": True})
        equal(listed(result, "churn_probability"), values(http, "churn", rows=WHOLE_ROWS))

    declare_extensions(road, http)


def declare_extensions(road, http):
    client, extensions = road.client, road.extensions()
    wanted = ["binary_tensor_data", "model_repository", "statistics", "model_configuration", "parameters", "schedule_policy"]
    print(f"extensions: {', '.join(extensions) or 'none'}; not served: {', '.join(it for it in wanted if it not in extensions)}")

    if "model_repository" in extensions:

        @check
        def the_repository_lists_ready_models():
            index = client.get_model_repository_index()
            rows = index if isinstance(index, list) else index.models
            ready = {field(it, "name") for it in rows if field(it, "state") == "READY"}
            equal(ready, {"churn", "spend", "demand"})

    if "statistics" in extensions:

        @check
        def statistics_count_rows_and_requests():
            of = lambda: field(client.get_inference_statistics("churn"), "model_stats")[0]
            before = of()
            road.infer("churn", road.columns(WHOLE_ROWS))
            after = of()
            success = lambda it: field(field(field(it, "inference_stats"), "success"), "count")
            equal(field(after, "inference_count") - field(before, "inference_count"), len(WHOLE_ROWS))
            equal(success(after) - success(before), 1)

    if "model_configuration" in extensions:

        @check
        def the_configuration_names_the_model():
            config = client.get_model_config("churn")
            equal(field(config if isinstance(config, dict) else config.config, "name"), "churn")

    if "schedule_policy" in extensions:

        @check
        def priority_and_timeout_are_taken():
            road.infer("churn", road.columns(WHOLE_ROWS), priority=1, timeout=10_000_000)


def tensors(metadata, side):
    """Name to (datatype, shape)."""
    return {field(it, "name"): (field(it, "datatype"), [int(n) for n in field(it, "shape")]) for it in field(metadata, side)}


def named(what, call, *arguments, **more):
    try:
        call(*arguments, **more)
    except AssertionError as error:
        raise AssertionError(f"{what}: {error}") from error
