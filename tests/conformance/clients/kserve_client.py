"""KServe's REST and gRPC clients against a served project. Arguments: the HTTP and the gRPC address."""

import asyncio
import logging
import sys

import grpc
import httpx
import numpy as np
from kserve import InferenceGRPCClient, InferenceRESTClient, InferInput, InferRequest
from kserve.inference_client import RESTConfig

from conformance import CUSTOMERS, WHOLE_ROWS, check, equal, run_checks, values

address, grpc_address = sys.argv[1:]
base = f"http://{address}"
COLUMNS = {"plan": "BYTES", "months": "INT64", "complaints": "INT64", "price": "FP64", "paperless": "BOOL"}
DTYPES = {"BYTES": np.object_, "INT64": np.int64, "FP64": np.float64, "BOOL": np.bool_}
# It logs every refusal that a check asks for, with a trace.
logging.disable(logging.CRITICAL)


def tensor(name, datatype, cells, binary):
    array = np.array(cells, dtype=DTYPES[datatype]).reshape(len(cells), 1)
    tensor = InferInput(name, list(array.shape), datatype)
    tensor.set_data_from_numpy(array, binary_data=binary)
    return tensor


def by_columns(binary):
    cells = lambda name: [row[name] for row in WHOLE_ROWS]
    inputs = [tensor(name, kind, cells(name), binary) for name, kind in COLUMNS.items()]
    return InferRequest(model_name="churn", infer_inputs=inputs, request_id="7")


def by_key(keys, binary, model="churn"):
    return InferRequest(model_name=model, infer_inputs=[tensor("customer_id", "BYTES", keys, binary)], request_id="8")


def output(answer, name):
    return answer.get_output_by_name(name).as_numpy()[:, 0].tolist()


def rest(call):
    async def calls():
        async with InferenceRESTClient(RESTConfig(protocol="v2", timeout=30)) as client:
            return await call(client)

    return asyncio.run(calls())


def over_grpc(call):
    async def calls():
        async with InferenceGRPCClient(grpc_address, retries=0, timeout=30) as client:
            return await call(client)

    return asyncio.run(calls())


def binary_or_not():
    with httpx.Client() as client:
        extensions = client.get(f"{base}/v2").json()["extensions"]
    return [False, True] if "binary_tensor_data" in extensions else [False]


@check
def rest_server_and_models_are_live_and_ready():
    assert rest(lambda it: it.is_server_live(base)) is True
    assert rest(lambda it: it.is_server_ready(base)) is True
    assert rest(lambda it: it.is_model_ready(base, "churn")) is True
    assert rest(lambda it: it.is_model_ready(base, "nope")) is False


@check
def rest_named_columns_give_the_numbers_of_the_native_api():
    judged = values(address, "churn", rows=WHOLE_ROWS)
    for binary in binary_or_not():
        answer = rest(lambda it: it.infer(base, by_columns(binary), model_name="churn"))
        # Over REST this client does not read the version.
        equal((answer.id, answer.model_name), ("7", "churn"), f"binary {binary}")
        equal(output(answer, "churn_probability"), judged, f"binary {binary}")


@check
def rest_an_entity_key_gives_the_numbers_of_the_native_api():
    judged = values(address, "churn", entities=[{"customer_id": it} for it in CUSTOMERS])
    for binary in binary_or_not():
        answer = rest(lambda it: it.infer(base, by_key(CUSTOMERS, binary), model_name="churn"))
        equal(output(answer, "churn_probability"), judged, f"binary {binary}")


@check
def rest_errors_carry_the_servers_words():
    for model, request, status in [("nope", by_key(["C7"], False, "nope"), 404), ("spend", by_columns(False), 400)]:
        try:
            rest(lambda it: it.infer(base, request, model_name=model))
        except httpx.HTTPStatusError as error:
            equal(error.response.status_code, status, str(error))
            assert error.response.json()["error"] in str(error), str(error)
        else:
            raise AssertionError(f"{model} was not refused")


@check
def grpc_server_and_models_are_live_and_ready():
    assert over_grpc(lambda it: it.is_server_live()) is True
    assert over_grpc(lambda it: it.is_server_ready()) is True
    assert over_grpc(lambda it: it.is_model_ready("churn")) is True


@check
def grpc_named_columns_and_keys_give_the_numbers_of_the_native_api():
    for binary in [False, True]:
        answer = over_grpc(lambda it: it.infer(by_columns(binary)))
        equal((answer.id, answer.model_name, answer.model_version), ("7", "churn", "1"), f"binary {binary}")
        equal(output(answer, "churn_probability"), values(address, "churn", rows=WHOLE_ROWS), f"binary {binary}")
        answer = over_grpc(lambda it: it.infer(by_key(CUSTOMERS, binary)))
        judged = values(address, "churn", entities=[{"customer_id": it} for it in CUSTOMERS])
        equal(output(answer, "churn_probability"), judged, f"binary {binary}")


@check
def grpc_an_unknown_model_is_not_found():
    try:
        over_grpc(lambda it: it.infer(by_key(["C7"], True, "nope")))
    except grpc.RpcError as error:
        equal(error.code(), grpc.StatusCode.NOT_FOUND)
        assert "nope" in error.details(), error.details()
    else:
        raise AssertionError("was not refused")


run_checks()
