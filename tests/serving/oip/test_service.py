"""The Open Inference Protocol on the gateway's port, called with its own messages."""

from __future__ import annotations

import asyncio
import subprocess
import sys
from pathlib import Path
from typing import Any

import grpc
import pytest
from google.protobuf import descriptor_pool

from foundation.version import project_version
from handlers.contract import CommentaryRequest, CommentaryResponse, ModelIdentity, Sample, Timings, encode_answer
from serving.oip import open_inference_pb2 as protocol
from serving.oip import open_inference_pb2_grpc
from serving.oip.answers import OUTPUTS
from serving.oip.requests import INPUTS
from serving.traffic.exposures import Recorder
from tests.serving.loopback_gateway import Bench, answer_well, bench, failure_of, route, until
from tests.serving.oip.asking import outputs_of, parameters_of, request

ROOT = Path(__file__).parents[3]


def stub_of(it: Bench) -> Any:
    return open_inference_pb2_grpc.GRPCInferenceServiceStub(it.channel)


async def two_samples(asked: CommentaryRequest) -> str:
    samples = tuple(
        Sample(text=f"text {number}", token_count=number, log_prob=-1.0, topics=(0.5, 0.5), seed=number)
        for number in range(asked.num_samples)
    )
    model = ModelIdentity(name="lcgan", version="0")
    return encode_answer(
        CommentaryResponse(
            samples=samples,
            model=model,
            genres_used=tuple(asked.genres),
            genres_unknown=(),
            timings=Timings(decode_ms=2),
            request_id=asked.request_id,
        )
    )


def test_samples_are_asked_for_as_with_generate() -> None:
    async def scene() -> None:
        async with bench(two_samples) as it:
            message = request({"genres": ["pop"]}, parameters={"num_samples": 2, "seed": 7}, request_id="r")
            answer = await stub_of(it).ModelInfer(message, timeout=5)
            assert outputs_of(answer)["text"] == ([2], ["text 0", "text 1"])
            assert (answer.model_name, answer.model_version, answer.id) == ("lcgan", "2", "r")
            assert parameters_of(answer)["archive_sha256"] == "2" * 64
            ((model, version, asked),) = it.backend.seen
            assert (model, version, asked.genres, asked.seed) == ("lcgan", "2", ("pop",), 7)

    asyncio.run(scene())


def test_the_model_version_pins_a_version_and_wanted_outputs_come_alone() -> None:
    async def scene() -> None:
        async with bench(two_samples) as it:
            answer = await stub_of(it).ModelInfer(request(version="1", outputs=["text"]), timeout=5)
            assert answer.model_version == "1"
            assert list(outputs_of(answer)) == ["text"]

    asyncio.run(scene())


def test_an_answer_is_exposed_once() -> None:
    class Keeping(Recorder):
        def __init__(self) -> None:
            super().__init__(None)
            self.keys: list[str] = []

        def record(self, *values: Any, **named: Any) -> str:
            self.keys.append(super().record(*values, **named))
            return self.keys[-1]

    async def scene() -> None:
        recorder = Keeping()
        async with bench(two_samples, recorder=recorder) as it:
            answer = await stub_of(it).ModelInfer(request(), timeout=5)
            assert recorder.keys == [parameters_of(answer)["exposure_id"]]

    asyncio.run(scene())


@pytest.mark.parametrize(
    ("message", "code", "field"),
    [
        (request({"prompt": ["x"]}), grpc.StatusCode.INVALID_ARGUMENT, "prompt"),
        (request(parameters={"num_samples": 65}), grpc.StatusCode.INVALID_ARGUMENT, "num_samples"),
        (request(parameters={"beams": 2}), grpc.StatusCode.INVALID_ARGUMENT, "beams"),
        (request(outputs=["logits"]), grpc.StatusCode.INVALID_ARGUMENT, "logits"),
        (request(model="gpt"), grpc.StatusCode.NOT_FOUND, None),
        (request(version="9"), grpc.StatusCode.NOT_FOUND, None),
    ],
)
def test_a_request_that_cannot_be_answered_names_what_is_at_fault(
    message: protocol.ModelInferRequest, code: grpc.StatusCode, field: str | None
) -> None:
    async def scene() -> None:
        async with bench() as it:
            found, details, metadata = await failure_of(stub_of(it).ModelInfer(message, timeout=5))
            assert (found, metadata.get("error-field")) == (code, field)
            assert field is None or details.startswith(f"{field}: ")
            assert it.backend.seen == []

    asyncio.run(scene())


def test_a_failure_of_the_worker_has_the_status_that_generate_gives() -> None:
    async def scene() -> None:
        async with bench() as it:
            it.backend.failure = (grpc.StatusCode.INTERNAL, "worker died")
            code, details, _ = await failure_of(stub_of(it).ModelInfer(request(), timeout=5))
            assert (code, details) == (await failure_of(it.generate()))[:2]

    asyncio.run(scene())


def test_the_server_is_live_and_ready_and_describes_itself() -> None:
    async def scene() -> None:
        async with bench() as it:
            stub = stub_of(it)
            assert (await stub.ServerLive(protocol.ServerLiveRequest())).live
            assert (await stub.ServerReady(protocol.ServerReadyRequest())).ready
            metadata = await stub.ServerMetadata(protocol.ServerMetadataRequest())
            assert (metadata.name, metadata.version) == ("deephypebot", project_version())
            it.connection.inference = None  # TorchServe is down
            assert (await stub.ServerLive(protocol.ServerLiveRequest())).live
            assert not (await stub.ServerReady(protocol.ServerReadyRequest())).ready

    asyncio.run(scene())


def test_a_model_is_ready_while_a_worker_of_it_answers() -> None:
    async def scene() -> None:
        async with bench() as it:

            async def ready(name: str, version: str = "") -> bool:
                message = protocol.ModelReadyRequest(name=name, version=version)
                return bool((await stub_of(it).ModelReady(message)).ready)

            assert await ready("lcgan")
            assert await ready("")
            assert await ready("lcgan", "1")
            assert not await ready("lcgan", "9")
            assert not await ready("cvae")  # it has no version
            assert not await ready("gpt")
            away = route("3")
            away.answers = False
            it.table.add(away)
            assert not await ready("lcgan", "3")

    asyncio.run(scene())


def test_a_models_metadata_lists_its_live_versions_and_tensors() -> None:
    async def scene() -> None:
        async with bench() as it:
            stub = stub_of(it)
            metadata = await stub.ModelMetadata(protocol.ModelMetadataRequest(name="lcgan"))
            assert (metadata.name, list(metadata.versions)) == ("lcgan", ["1", "2"])
            assert tuple(each.name for each in metadata.inputs) == INPUTS
            assert tuple(each.name for each in metadata.outputs) == OUTPUTS
            shapes = {each.name: (each.datatype, list(each.shape)) for each in (*metadata.inputs, *metadata.outputs)}
            assert shapes["genres"] == ("BYTES", [-1])
            assert shapes["artist"] == ("BYTES", [1])
            assert shapes["topics"] == ("FP64", [-1, -1])
            assert shapes["seed"] == ("INT64", [-1])
            metadata = await stub.ModelMetadata(protocol.ModelMetadataRequest(name="lcgan", version="1"))
            assert list(metadata.versions) == ["1"]

    asyncio.run(scene())


@pytest.mark.parametrize(
    ("name", "version", "reason"),
    [
        ("gpt", "", "model 'gpt' is not served here; the served models are lcgan, cvae"),
        ("lcgan", "9", "lcgan has no live version '9'; live: 1, 2"),
        ("cvae", "1", "cvae has no live version '1'; live: none"),
    ],
)
def test_metadata_of_what_is_not_live_is_not_found(name: str, version: str, reason: str) -> None:
    async def scene() -> None:
        async with bench() as it:
            message = protocol.ModelMetadataRequest(name=name, version=version)
            code, details, _ = await failure_of(stub_of(it).ModelMetadata(message))
            assert (code, details) == (grpc.StatusCode.NOT_FOUND, reason)

    asyncio.run(scene())


def test_a_gateway_that_drains_is_live_and_not_ready_and_refuses_requests() -> None:
    async def scene() -> None:
        gate = asyncio.Event()

        async def answer(asked: CommentaryRequest) -> str:
            await gate.wait()
            return await answer_well(asked)

        async with bench(answer) as it:
            stub = stub_of(it)
            owed = asyncio.ensure_future(stub.ModelInfer(request(), timeout=5))
            await until(lambda: it.backend.seen)
            stopping = asyncio.create_task(it.gateway.stop())
            await asyncio.sleep(0.05)
            assert (await stub.ServerLive(protocol.ServerLiveRequest())).live
            assert not (await stub.ServerReady(protocol.ServerReadyRequest())).ready
            assert not (await stub.ModelReady(protocol.ModelReadyRequest(name="lcgan"))).ready
            code, _, _ = await failure_of(stub.ModelInfer(request(), timeout=5))
            assert code is grpc.StatusCode.UNAVAILABLE
            gate.set()
            assert (await owed).model_version == "2"
            await asyncio.wait_for(stopping, 20)

    asyncio.run(scene())


def test_health_probes_find_the_service_and_its_models() -> None:
    async def scene() -> None:
        async with bench() as it:
            for service in ("inference.GRPCInferenceService", "inference.GRPCInferenceService/lcgan"):
                assert await it.health(service) == "SERVING"
            assert await it.health("inference.GRPCInferenceService/cvae") == "NOT_SERVING"

    asyncio.run(scene())


def test_the_messages_are_in_a_pool_of_their_own() -> None:
    assert protocol.DESCRIPTOR.pool is not descriptor_pool.Default()
    with pytest.raises(KeyError):
        descriptor_pool.Default().FindMessageTypeByName("inference.ServerLiveRequest")


def test_a_package_with_the_same_messages_may_be_imported_too() -> None:
    """In a process of its own, another file registers `inference.*` in the default pool, as stock clients do."""
    program = (
        "from google.protobuf import descriptor_pool, descriptor_pb2\n"
        "from serving.oip import open_inference_pb2 as ours\n"
        "other = descriptor_pb2.FileDescriptorProto.FromString(ours.DESCRIPTOR.serialized_pb)\n"
        "other.name = 'grpc_service.proto'\n"
        "descriptor_pool.Default().AddSerializedFile(other.SerializeToString())\n"
        "theirs = descriptor_pool.Default().FindMessageTypeByName('inference.ServerLiveRequest')\n"
        "assert theirs is not ours.ServerLiveRequest.DESCRIPTOR\n"
        "print(ours.ModelInferRequest(model_name='lcgan').SerializeToString())"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False, cwd=ROOT)
    assert done.stdout == "b'\\n\\x05lcgan'\n", done.stderr


def test_the_stubs_are_those_of_the_proto_put_into_a_pool_of_their_own(tmp_path: Path) -> None:
    proto = "serving/oip/open_inference.proto"
    compiler = [sys.executable, "-m", "grpc_tools.protoc", "-I.", f"--python_out={tmp_path}", proto]
    subprocess.run(compiler, check=True, cwd=ROOT)
    written = tmp_path / "serving/oip/open_inference_pb2.py"
    script = [sys.executable, str(ROOT / "scripts/private_pool.py"), str(written)]
    for _ in range(2):  # the second time it changes nothing
        subprocess.run(script, check=True)
        assert written.read_text() == Path(protocol.__file__).read_text(), "run `make protos`"
    written.write_text("")
    assert subprocess.run(script, check=False, capture_output=True).returncode == 1
