"""gRPC health and reflection: a client that knows no schema finds one, calls by it, and gets the judge's number.

Arguments: the HTTP address (the judge), the gRPC address.
"""

import struct
import sys

import grpc
from google.protobuf.descriptor_pool import DescriptorPool
from google.protobuf.message_factory import GetMessageClass
from grpc_health.v1 import health_pb2, health_pb2_grpc
from grpc_reflection.v1alpha import reflection_pb2, reflection_pb2_grpc
from grpc_reflection.v1alpha.proto_reflection_descriptor_database import ProtoReflectionDescriptorDatabase

from conformance import CUSTOMERS, check, equal, run_checks, values

address, grpc_address = sys.argv[1:]
channel = grpc.insecure_channel(grpc_address)
database = ProtoReflectionDescriptorDatabase(channel)
pool = DescriptorPool(database)
NATIVE = "foretell.v1.PredictionService"
OPEN = "inference.GRPCInferenceService"


def health(service):
    return health_pb2_grpc.HealthStub(channel).Check(health_pb2.HealthCheckRequest(service=service), timeout=10)


def call(service, method, fill):
    """Calls a method that is known by reflection alone."""
    found = pool.FindServiceByName(service).FindMethodByName(method)
    request, answer = GetMessageClass(found.input_type), GetMessageClass(found.output_type)
    invoke = channel.unary_unary(
        f"/{service}/{method}", request_serializer=request.SerializeToString, response_deserializer=answer.FromString
    )
    message = request()
    fill(message)
    return invoke(message, timeout=10)


@check
def the_server_and_its_services_are_serving():
    for service in ["", OPEN, NATIVE]:
        equal(health(service).status, health_pb2.HealthCheckResponse.SERVING, service)


@check
def the_health_of_an_unknown_service_is_not_found():
    try:
        health("no.such.Service")
    except grpc.RpcError as error:
        equal(error.code(), grpc.StatusCode.NOT_FOUND)
    else:
        raise AssertionError("was not refused")


@check
def a_watch_of_health_tells_the_state_at_once():
    watch = health_pb2_grpc.HealthStub(channel).Watch(health_pb2.HealthCheckRequest(service=""), timeout=10)
    equal(next(watch).status, health_pb2.HealthCheckResponse.SERVING)
    watch.cancel()


@check
def reflection_lists_every_service():
    listed = set(database.get_services())
    for service in [OPEN, NATIVE, "grpc.health.v1.Health"]:
        assert service in listed, (service, listed)


@check
def reflection_is_there_in_its_final_version_too():
    """v1 differs from v1alpha in its name alone."""
    request = reflection_pb2.ServerReflectionRequest(list_services="")
    stream = channel.stream_stream(
        "/grpc.reflection.v1.ServerReflection/ServerReflectionInfo",
        request_serializer=reflection_pb2.ServerReflectionRequest.SerializeToString,
        response_deserializer=reflection_pb2.ServerReflectionResponse.FromString,
    )
    answer = next(stream(iter([request]), timeout=10))
    assert OPEN in {it.name for it in answer.list_services_response.service}


def file_of(symbol):
    """The answer about one symbol: an error code, or a descriptor. A status in place of the answer's own code is as good."""
    request = reflection_pb2.ServerReflectionRequest(file_containing_symbol=symbol)
    try:
        answer = next(reflection_pb2_grpc.ServerReflectionStub(channel).ServerReflectionInfo(iter([request]), timeout=10))
    except grpc.RpcError as error:
        return error.code().value[0], b""
    return answer.error_response.error_code, b"".join(answer.file_descriptor_response.file_descriptor_proto)


@check
def an_unknown_symbol_is_not_found_and_a_known_one_is():
    equal(file_of("no.such.Thing"), (grpc.StatusCode.NOT_FOUND.value[0], b""))
    code, descriptor = file_of(OPEN)
    equal(code, 0)
    assert b"ModelInferRequest" in descriptor


@check
def a_client_without_a_schema_reads_model_metadata():
    def fill(message):
        message.name = "churn"

    answer = call(OPEN, "ModelMetadata", fill)
    equal((answer.name, list(answer.versions)), ("churn", ["1"]))


@check
def a_client_without_a_schema_infers_the_judges_numbers():
    def fill(message):
        message.model_name = "churn"
        tensor = message.inputs.add(name="customer_id", datatype="BYTES", shape=[len(CUSTOMERS), 1])
        tensor.contents.bytes_contents.extend(it.encode() for it in CUSTOMERS)

    answer = call(OPEN, "ModelInfer", fill)
    raw = dict(zip([it.name for it in answer.outputs], answer.raw_output_contents))["churn_probability"]
    judged = values(address, "churn", entities=[{"customer_id": it} for it in CUSTOMERS])
    equal(list(struct.unpack(f"<{len(CUSTOMERS)}d", raw)), judged)


run_checks()
