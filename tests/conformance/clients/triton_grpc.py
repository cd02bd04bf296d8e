"""tritonclient.grpc against a served project. Arguments: the HTTP address (the judge), the gRPC address."""

import queue
import sys

import grpc
import tritonclient.grpc as triton_grpc
from tritonclient.grpc import service_pb2
from tritonclient.utils import InferenceServerException

from conformance import ROWS, WHOLE_ROWS, check, equal, run_checks, values
from triton import Road, declare, listed

address, grpc_address = sys.argv[1:]
client = triton_grpc.InferenceServerClient(grpc_address)
statuses = {"not found": "StatusCode.NOT_FOUND", "invalid": "StatusCode.INVALID_ARGUMENT"}
road = Road(triton_grpc, client, statuses, {})
declare(road, address)


@check
def a_blank_cell_travels_as_not_a_number():
    result = road.infer("churn", road.columns(ROWS))
    equal(listed(result, "churn_probability"), values(address, "churn", rows=ROWS))


@check
def outputs_are_raw_however_the_inputs_came():
    tensor = service_pb2.ModelInferRequest.InferInputTensor(name="customer_id", datatype="BYTES", shape=[1, 1])
    tensor.contents.bytes_contents.append(b"C7")
    answer = client._client_stub.ModelInfer(service_pb2.ModelInferRequest(model_name="churn", id="9", inputs=[tensor]))
    equal(len(answer.raw_output_contents), len(answer.outputs), "typed contents cannot be read by this client")
    result = triton_grpc.InferResult(answer)
    equal(listed(result, "churn_probability"), values(address, "churn", entities=[{"customer_id": "C7"}]))
    equal(answer.id, "9")


@check
def raw_and_typed_contents_together_are_refused():
    tensor = service_pb2.ModelInferRequest.InferInputTensor(name="customer_id", datatype="BYTES", shape=[1, 1])
    tensor.contents.bytes_contents.append(b"C7")
    request = service_pb2.ModelInferRequest(model_name="churn", inputs=[tensor], raw_input_contents=[b"\x02\0\0\0C7"])
    refused_by_stub("INVALID_ARGUMENT", request)


@check
def contents_that_do_not_fit_are_refused():
    dense = lambda shape, raw: service_pb2.ModelInferRequest(
        model_name="spend",
        inputs=[service_pb2.ModelInferRequest.InferInputTensor(name="features", datatype="FP64", shape=shape)],
        raw_input_contents=raw,
    )
    for shape, raw in [([1, 3], [bytes(23)]), ([1, 3], []), ([1, 3], [bytes(24)] * 2), ([-1, 3], [bytes(24)]), ([2**62, 4], [bytes(24)])]:
        refused_by_stub("INVALID_ARGUMENT", dense(shape, raw))
    text = service_pb2.ModelInferRequest.InferInputTensor(name="customer_id", datatype="BYTES", shape=[1, 1])
    for raw in [b"\xff\xff\xff\xffC7", b"\x02\0\0\0C", b"\x02\0"]:
        refused_by_stub("INVALID_ARGUMENT", service_pb2.ModelInferRequest(model_name="churn", inputs=[text], raw_input_contents=[raw]))


def many(n):
    """Rows of `spend` as one dense tensor, and the first 60 as the judge takes them."""
    cells = [[float(at % 60 + 1), float(at % 4), 20.25] for at in range(n)]
    few = [{"months": int(months), "complaints": int(complaints), "price": price} for months, complaints, price in cells[:60]]
    return road.tensor("features", "FP64", cells, [n, 3]), few


@check
def a_deadline_that_has_passed_is_an_exceeded_deadline():
    features, _ = many(200_000)
    try:
        client.infer("spend", [features], client_timeout=0.001)
    except InferenceServerException as error:
        equal(error.status(), "StatusCode.DEADLINE_EXCEEDED")
    else:
        raise AssertionError("a millisecond was enough for 200,000 rows")
    road.infer("churn", road.keys(["C7"]))


@check
def async_requests_all_come_back():
    answers = queue.Queue()
    judged = values(address, "churn", rows=WHOLE_ROWS) * 8
    for at, row in enumerate(WHOLE_ROWS * 8):
        callback = lambda result, error, at=at: answers.put((at, result, error))
        client.async_infer("churn", road.columns([row]), callback, request_id=str(at))
    for _ in judged:
        at, result, error = answers.get(timeout=30)
        assert error is None, error
        equal((result.get_response().id, listed(result, "churn_probability")), (str(at), [judged[at]]))


@check
def a_batch_beyond_four_mebibytes_is_answered():
    features, few = many(200_000)
    got = listed(road.infer("spend", [features]), "spend")
    equal((len(got), got[:60]), (200_000, values(address, "spend", rows=few)))


def streams():
    """Streaming is no named extension: a server without it says UNIMPLEMENTED, even to a stream of nothing."""
    try:
        list(client._client_stub.ModelStreamInfer(iter([])))
    except grpc.RpcError as error:
        return error.code() != grpc.StatusCode.UNIMPLEMENTED
    return True


if streams():

    @check
    def a_stream_keeps_order_and_survives_an_invalid_request():
        answers = queue.Queue()
        client.start_stream(lambda result, error: answers.put((result, error)))
        try:
            for model, customer in [("churn", "C7"), ("nope", "C7"), ("churn", "C1")]:
                client.async_stream_infer(model, road.keys([customer]), request_id=customer)
            (first, _), (_, refused), (last, _) = (answers.get(timeout=30) for _ in range(3))
        finally:
            client.stop_stream()
        assert refused is not None, "the unknown model is refused"
        judged = values(address, "churn", entities=[{"customer_id": "C7"}, {"customer_id": "C1"}])
        equal([listed(it, "churn_probability")[0] for it in (first, last)], judged)
        equal([it.get_response().id for it in (first, last)], ["C7", "C1"])

else:
    print("not served: ModelStreamInfer")


def refused_by_stub(code, request):
    try:
        client._client_stub.ModelInfer(request)
    except grpc.RpcError as error:
        equal(error.code().name, code, error.details())
        assert error.details()
    else:
        raise AssertionError(f"was not refused: {code} expected")


run_checks()
