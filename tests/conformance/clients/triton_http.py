"""tritonclient.http against a served project. Argument: the HTTP address."""

import http.client
import json
import sys

import numpy as np
import tritonclient.http as triton_http

from conformance import ROWS, WHOLE_ROWS, check, equal, run_checks, values
from triton import COLUMNS, Road, declare, listed

address = sys.argv[1]
client = triton_http.InferenceServerClient(address, concurrency=4)
road = Road(triton_http, client, {"not found": "404", "invalid": "400"}, {"binary_data": False})
declare(road, address)


def send(method, path, body=b"", headers=None):
    """What no client library would send: status, headers, JSON."""
    connection = http.client.HTTPConnection(address, timeout=30)
    connection.request(method, path, body, headers or {})
    response = connection.getresponse()
    text = response.read()
    connection.close()
    return response.status, response.headers, json.loads(text) if text else None


def infer_body(**change):
    cells = lambda name: [row[name] for row in WHOLE_ROWS]
    inputs = [{"name": name, "datatype": kind, "shape": [3, 1], "data": cells(name)} for name, kind in COLUMNS.items()]
    return {"inputs": inputs} | change


@check
def health_answers_json_that_kserve_can_read():
    for path, keys in [("live", {"live": True}), ("ready", {"live": True, "ready": True})]:
        status, _, answer = send("GET", f"/v2/health/{path}")
        equal((status, answer | keys), (200, answer), path)
    equal(send("GET", "/v2/")[2], send("GET", "/v2")[2], "both spellings")
    _, _, ready = send("GET", "/v2/models/churn/ready")
    equal(ready["ready"], True)


@check
def nested_data_and_null_cells_are_read():
    plain, nested = infer_body(), infer_body()
    for tensor in nested["inputs"]:
        tensor["data"] = [[it] for it in tensor["data"]]
    status, headers, answer = send("POST", "/v2/models/churn/infer", json.dumps(plain))
    equal(status, 200, answer)
    equal(headers["content-type"], "application/json")
    assert "id" not in answer, "no id was sent"
    equal(send("POST", "/v2/models/churn/infer", json.dumps(nested))[2], answer)
    price = plain["inputs"][3]
    price["data"] = [None, None, None]
    status, _, answer = send("POST", "/v2/models/churn/infer", json.dumps(plain))
    equal(status, 200, answer)
    judged = values(address, "churn", rows=[row | {"price": None} for row in WHOLE_ROWS])
    output = next(it for it in answer["outputs"] if it["name"] == "churn_probability")
    equal(output["data"], judged)


@check
def a_version_in_the_path_is_that_version():
    status, _, answer = send("POST", "/v2/models/churn/versions/1/infer", json.dumps(infer_body(id="a")))
    equal((status, answer.get("model_version"), answer.get("id")), (200, "1", "a"))


@check
def bodies_that_are_wrong_are_refused_in_words():
    short = infer_body()
    short["inputs"][1]["data"] = [1, 2]
    negative = infer_body()
    negative["inputs"][1]["shape"] = [-3, 1]
    huge = infer_body()
    huge["inputs"][1]["shape"] = [2**62, 2**62]
    kind = infer_body()
    kind["inputs"][1]["datatype"] = "INT65"
    text = json.dumps(infer_body())
    cases = {
        "no JSON": b"{",
        "a list": b"[]",
        "nothing": b"",
        "no inputs": b"{}",
        "bytes that are no UTF-8": b"\xff\xfe",
        "NaN": text.replace("25.25", "NaN").encode(),
        "deep nesting": text.replace("25.25", "[" * 200 + "1" + "]" * 200).encode(),
        "very deep nesting": b"[" * 1_000_000,
        "fewer cells than the shape says": json.dumps(short).encode(),
        "a negative shape": json.dumps(negative).encode(),
        "a shape beyond all memory": json.dumps(huge).encode(),
        "an unknown datatype": json.dumps(kind).encode(),
    }
    for what, body in cases.items():
        status, headers, answer = send("POST", "/v2/models/churn/infer", body)
        equal(status, 400, f"{what}: {answer}")
        assert answer["error"], what
        equal(headers["content-type"], "application/json", what)


@check
def paths_and_methods_that_are_wrong_say_so():
    for method, path, expected in [("GET", "/v2/nope", 404), ("GET", "/v2/models/churn/infer", 405), ("DELETE", "/v2", 405)]:
        status, _, answer = send(method, path)
        equal(status, expected, f"{method} {path}: {answer}")
        assert answer["error"], path


def is_read(encoding):
    """Compression is no named extension: a server that does not read it says 415 or 501."""
    return send("POST", "/v2/models/churn/infer", b"x", {"content-encoding": encoding})[0] not in (415, 501)


ENCODINGS = [it for it in ["gzip", "deflate"] if is_read(it)]
print(f"compressed bodies: {', '.join(ENCODINGS) or 'not served'}")


@check
def an_encoding_that_is_not_read_is_refused():
    status, _, answer = send("POST", "/v2/models/churn/infer", b"x", {"content-encoding": "br"})
    assert status in (415, 501), (status, answer)
    assert answer["error"]


@check
def compressed_bodies_give_the_same_numbers():
    judged = values(address, "churn", rows=WHOLE_ROWS)
    for encoding in ENCODINGS:
        how = {"request_compression_algorithm": encoding, "response_compression_algorithm": encoding}
        equal(listed(road.infer("churn", road.columns(WHOLE_ROWS), **how), "churn_probability"), judged, encoding)


@check
def async_requests_all_come_back():
    pending = [client.async_infer("churn", road.columns([row]), request_id=str(at)) for at, row in enumerate(WHOLE_ROWS * 8)]
    judged = values(address, "churn", rows=WHOLE_ROWS) * 8
    for at, (request, expected) in enumerate(zip(pending, judged)):
        result = request.get_result()
        equal((result.get_response()["id"], listed(result, "churn_probability")), (str(at), [expected]))


if "binary_tensor_data" in road.extensions():

    @check
    def binary_tensors_give_the_same_bits_in_every_combination():
        judged = values(address, "churn", rows=ROWS)
        for squeeze in [None, *ENCODINGS]:
            for wanted in [None, False, True]:
                outputs = None if wanted is None else [triton_http.InferRequestedOutput("churn_probability", binary_data=wanted)]
                result = client.infer(
                    "churn", road.columns(ROWS, binary_data=True), outputs=outputs, request_id="7",
                    request_compression_algorithm=squeeze, response_compression_algorithm=squeeze,
                )
                equal(listed(result, "churn_probability"), judged, (squeeze, wanted))
                equal(result.get_response()["id"], "7")

    @check
    def bytes_that_are_no_text_are_refused_in_words():
        tensor = triton_http.InferInput("customer_id", [1, 1], "BYTES")
        tensor.set_data_from_numpy(np.array([[b"\xff\x00"]], dtype=np.object_), binary_data=True)
        road.refused("invalid", client.infer, "churn", [tensor])

    @check
    def sizes_of_binary_tensors_are_checked():
        for size in [16, 23, 25, 1 << 40, -1]:
            tensor = triton_http.InferInput("features", [1, 3], "FP64")
            tensor.set_data_from_numpy(np.ones([1, 3]), binary_data=True)
            tensor._parameters["binary_data_size"] = size
            road.refused("invalid", client.infer, "spend", [tensor])


run_checks()
