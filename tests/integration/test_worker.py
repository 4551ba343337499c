"""A worker of the reference model's size in the real TorchServe, and 32 clients who send good requests and bad ones.

The weights are random, and those of one genre so large that no decode with it comes to a finite end. What can be said
in the gateway's messages goes through a gateway in part, the rest straight to TorchServe.
"""

from __future__ import annotations

import asyncio
import contextlib
import functools
import random
import subprocess
import sys
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import grpc
import psutil
import pyarrow.parquet as pq
import pytest
import torch

from benchmarks.training.decode import random_bundle
from bulk.asking import seed_of
from foundation.hashes import file_sha256
from handlers.commentary import Commentator
from handlers.contract import CommentaryRequest, ContractError, SamplingParams, decode_answer
from handlers.decoding.compiled import loading
from handlers.model.bundle import Bundle
from serving.gateway.server import Gateway
from serving.gateway.settings import GatewaySettings
from serving.registry.archives import inspect_archive
from serving.torchserve.api import inference_pb2, inference_pb2_grpc
from serving.torchserve.inference import TorchServeInference
from serving.torchserve.keys import bearer
from serving.torchserve.management import DescribedVersion
from serving.torchserve.process import Instance, TorchServeSettings, start_instance, stop_instance
from serving.torchserve.registration import register_version
from serving.traffic.route import make_route
from serving.traffic.routes import RoutingTable
from serving.v1 import commentary_pb2, commentary_pb2_grpc
from serving.wire import ERROR_FIELD_METADATA
from serving.workers.cores import CoreShares
from serving.workers.descriptions import WorkerDescription
from tests.handlers.tiny_bundles import GENRES, TOPICS, tiny_bundle
from tests.integration.support import run, scrape
from training.packaging.archive import build_archive
from training.presets import preset

pytestmark = [pytest.mark.integration, pytest.mark.timeout(300)]

NUM_CLIENTS = 32
SONGS = tuple((f"song {number}", GENRES[number % 4]) for number in range(24))
"""Ids and genres of songs whose samples are asked of the gateway, and written without it."""
OF_SONGS = {"num_samples": 2, "best_of": 2, "max_tokens": 16, "topic": TOPICS[1]}
CURSED = GENRES[-1]
MODEL = {"model_name": "lcgan", "model_version": "7"}
STREAM = "/org.pytorch.serve.grpc.inference.InferenceAPIsService/StreamPredictions"

BAD: tuple[tuple[bytes, str], ...] = (
    (b"", ""),
    (b"{", ""),
    (b"\xff\xfe", ""),
    (b"[1, 2]", ""),
    (b"null", ""),
    (b"[" * 100_000, ""),
    (b"{}", "genres"),
    (b'{"genres": "techno"}', "genres"),
    (b'{"genres": [1]}', "genres"),
    (b'{"genres": [], "colour": "red"}', "colour"),
    (b'{"genres": [], "num_samples": "5"}', "num_samples"),
    (b'{"genres": [], "num_samples": true}', "num_samples"),
    (b'{"genres": [], "num_samples": 65}', "num_samples"),
    (b'{"genres": [], "num_samples": 64, "best_of": 17}', "best_of"),
    (b'{"genres": [], "temperature": NaN}', "temperature"),
    (b'{"genres": [], "top_p": 1.5}', "top_p"),
    (b'{"genres": [], "max_tokens": 1e9}', "max_tokens"),
    (b'{"genres": [], "max_tokens": 129}', "max_tokens"),
    (b'{"genres": [], "seed": -1}', "seed"),
    (b'{"genres": [], "artist": "NUL \\u0000"}', "artist"),
    (b'{"genres": [], "topic": "no such topic"}', "topic"),
)
BAD_MESSAGES: tuple[tuple[dict[str, Any], str], ...] = (
    ({"num_samples": 0}, "num_samples"),
    ({"temperature": -1.0}, "temperature"),
    ({"best_of": 17}, "best_of"),
    ({"title": "t" * 201}, "title"),
    ({"topic": "no such topic"}, "topic"),
)


@dataclass(kw_only=True)
class Met:
    """What the clients asked and were answered, and how the worker was before and after."""

    good: list[tuple[CommentaryRequest, tuple[str, ...]]] = field(default_factory=list)
    """Texts by request."""
    songs: dict[str, tuple[str, ...]] = field(default_factory=dict)
    """Texts by the id of a song."""
    faults: list[tuple[str, str, str, str]] = field(default_factory=list)
    """Code and field, expected and found."""
    at_the_worker: Counter[tuple[str, str]] = field(default_factory=Counter)
    """Requests that reached the worker, by code and field of the answer that they had to get."""
    before: DescribedVersion | None = None
    after: DescribedVersion | None = None
    described: WorkerDescription | None = None
    streamed: list[bytes] = field(default_factory=list)
    metrics: Mapping[str, Mapping[frozenset[tuple[str, str]], float]] = field(default_factory=dict)
    ready_cpu_s: float = 0.0
    memory: int = 0


@dataclass(frozen=True, kw_only=True)
class Place:
    bundle: Path
    store: Path
    logs: Path


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Place:
    root = tmp_path_factory.mktemp("worker")
    (root / "bundle").mkdir()
    sizes = preset("reference").cvae
    bundle = tiny_bundle(
        seed=3,
        generator=True,
        vocabulary=random_bundle(sizes).vocabulary,
        scale=1.0,
        sizes={
            "embedding_size": sizes.embedding_size,
            "hidden_size": sizes.hidden_size,
            "z_size": sizes.z_size,
            "genre_size": sizes.genre_size,
        },
    )
    with torch.no_grad():
        genres, projection = bundle.decoder.genre_embedding.weight, bundle.decoder.projection.weight
        genres.mul_(1e-3)
        projection[:, -sizes.genre_size :].mul_(1e3)
        genres[len(GENRES)] = 3e38  # finite, as weights must be; a thousand times that is not
    bundle.save(root / "bundle", model_card="# card\n")
    build_archive(root / "bundle", root / "store", version="7")
    return Place(bundle=root / "bundle", store=root / "store", logs=root / "logs")


@pytest.fixture(scope="module")
def met(place: Place) -> Met:
    return asyncio.run(_meet(place))


async def _meet(place: Place) -> Met:
    settings = TorchServeSettings(model_store=place.store, log_dir=place.logs)
    instance = await start_instance(settings)
    try:
        return await _use(instance, place)
    finally:
        await stop_instance(instance, settings)


async def _use(instance: Instance, place: Place) -> Met:
    met = Met()
    CoreShares(instance.threads_file, workers=1, cores=1).add("lcgan", "7")
    await register_version(instance, "lcgan_7.mar", model="lcgan", version="7", workers=1, timeout_s=120)
    (met.before,) = await instance.management.describe("lcgan")
    worker = psutil.Process(met.before.worker_pids[0])
    met.ready_cpu_s = sum(worker.cpu_times()[:2])
    async with (
        _gateway(instance, place) as gateway,
        TorchServeInference(instance.inference_target, key=instance.keys.inference) as stock,
    ):
        clients = (_client(number, instance, gateway, met) for number in range(NUM_CLIENTS))
        await asyncio.gather(*clients, _client_with_songs(gateway, met))
        met.metrics = await asyncio.to_thread(scrape, instance.metrics_url)
        met.memory = worker.memory_info().rss
        met.described = await instance.management.describe_worker("lcgan", "7")
        await _stream(stock, met)
    (met.after,) = await instance.management.describe("lcgan")
    return met


@contextlib.asynccontextmanager
async def _gateway(instance: Instance, place: Place) -> AsyncIterator[str]:
    archive = place.store / "lcgan_7.mar"
    table = RoutingTable(("lcgan",))
    info = inspect_archive(archive, model="lcgan", version="7", sha256=file_sha256(archive))
    table.add(make_route(info, workers=1))
    table.switch("lcgan", "7")
    async with TorchServeInference(instance.inference_target, key=instance.keys.inference) as inference:
        gateway = Gateway(GatewaySettings(port=0), table=table, inference=lambda: inference)
        try:
            yield await gateway.start()
        finally:
            await gateway.stop()


def _good_requests(number: int) -> list[CommentaryRequest]:
    """A client's own requests; nobody else sends the same."""
    draw = random.Random(number)
    return [
        CommentaryRequest(
            genres=tuple(draw.sample(GENRES[:-1], draw.randrange(3))),
            num_samples=draw.randint(1, 3),
            seed=1000 * number + index,
            sampling=SamplingParams(max_tokens=draw.randint(8, 24)),
            topic=draw.choice([None, *TOPICS]),
            best_of=draw.choice([1, 1, 2]),
            request_id=f"{number}/{index}",
        )
        for index in range(4)
    ]


Predictions = Callable[[inference_pb2.PredictionsRequest], Awaitable[inference_pb2.PredictionResponse]]
"""TorchServe's own call, with its key."""


async def _client(number: int, instance: Instance, gateway: str, met: Met) -> None:
    """Send four good requests and five bad ones, in an order of one's own, on connections of one's own."""
    draw = random.Random(100 + number)
    async with (
        grpc.aio.insecure_channel(instance.inference_target) as direct,
        grpc.aio.insecure_channel(gateway) as typed,
    ):
        stub: inference_pb2_grpc.InferenceAPIsServiceAsyncStub = inference_pb2_grpc.InferenceAPIsServiceStub(direct)
        shown = (("authorization", bearer(instance.keys.inference)),)
        torchserve: Predictions = functools.partial(stub.Predictions, timeout=60, metadata=shown)
        commentary: commentary_pb2_grpc.CommentaryAsyncStub = commentary_pb2_grpc.CommentaryStub(typed)
        calls = [
            _ask_torchserve(torchserve, request.to_json(), request, met)
            if index % 2
            else _ask_gateway(commentary, request, met)
            for index, request in enumerate(_good_requests(number))
        ]
        for payload, name in (BAD[number % len(BAD)], *draw.sample(BAD, 2)):
            calls.append(_refused_by_torchserve(torchserve, payload, ("INVALID_ARGUMENT", name), met))
        values, name = BAD_MESSAGES[number % len(BAD_MESSAGES)]
        calls.append(_refused_by_gateway(commentary, values, name, met))
        cursed = CommentaryRequest(genres=(CURSED,), num_samples=1, sampling=SamplingParams(max_tokens=8)).to_json()
        calls.append(_refused_by_torchserve(torchserve, cursed, ("INTERNAL", ""), met))
        draw.shuffle(calls)
        for call in calls:
            await call


async def _client_with_songs(gateway: str, met: Met) -> None:
    """Ask for samples of songs, with the seeds that `generate-many` gives them."""
    async with grpc.aio.insecure_channel(gateway) as channel:
        stub: commentary_pb2_grpc.CommentaryAsyncStub = commentary_pb2_grpc.CommentaryStub(channel)
        for name, genre in SONGS:
            song = {"genres": [genre], "artist": "Ona Vell", "title": name, "seed": seed_of(name)}
            await _ask_gateway(stub, CommentaryRequest.from_mapping({**song, **OF_SONGS}), met)
            met.songs[name] = met.good[-1][1]


async def _predict(predictions: Predictions, payload: bytes) -> bytes:
    answer = await predictions(inference_pb2.PredictionsRequest(**MODEL, input={"data": payload}))
    return bytes(answer.prediction)


async def _ask_torchserve(predictions: Predictions, payload: bytes, request: CommentaryRequest, met: Met) -> None:
    response = decode_answer(await _predict(predictions, payload))
    assert response.request_id == request.request_id
    met.good.append((request, tuple(sample.text for sample in response.samples)))
    met.at_the_worker["OK", ""] += 1


_ASKED = ("genres", "artist", "title", "num_samples", "seed", "best_of", "topic")


async def _ask_gateway(stub: commentary_pb2_grpc.CommentaryAsyncStub, request: CommentaryRequest, met: Met) -> None:
    values = {name: getattr(request, name) for name in _ASKED}
    values["max_tokens"] = request.sampling.max_tokens
    message = commentary_pb2.GenerateRequest(**{name: value for name, value in values.items() if value is not None})
    response = await stub.Generate(message, timeout=60)
    met.good.append((request, tuple(sample.text for sample in response.samples)))
    met.at_the_worker["OK", ""] += 1


async def _refused_by_torchserve(predictions: Predictions, payload: bytes, expected: tuple[str, str], met: Met) -> None:
    try:
        decode_answer(await _predict(predictions, payload))
    except ContractError as error:
        met.faults.append((*expected, error.code.value, error.field))
    else:
        met.faults.append((*expected, "OK", ""))
    met.at_the_worker[expected] += 1


async def _refused_by_gateway(
    stub: commentary_pb2_grpc.CommentaryAsyncStub, values: dict[str, Any], name: str, met: Met
) -> None:
    expected = ("INVALID_ARGUMENT", name)
    try:
        await stub.Generate(commentary_pb2.GenerateRequest(**values), timeout=60)
    except grpc.aio.AioRpcError as failure:
        trailing = dict(failure.trailing_metadata() or ())
        met.faults.append((*expected, failure.code().name, str(trailing.get(ERROR_FIELD_METADATA))))
    else:
        met.faults.append((*expected, "OK", ""))
    if name == "topic":  # which topics there are is known to the model alone
        met.at_the_worker[expected] += 1


async def _stream(inference: TorchServeInference, met: Met) -> None:
    """What no client of ours does: a streaming call on a handler that does not stream."""
    call = inference._channel.unary_stream(
        STREAM,
        request_serializer=inference_pb2.PredictionsRequest.SerializeToString,
        response_deserializer=inference_pb2.PredictionResponse.FromString,
    )
    request = CommentaryRequest(genres=(), num_samples=1, seed=1, sampling=SamplingParams(max_tokens=8))
    for payload in (request.to_json(), b"{", request.to_json()):
        message = inference_pb2.PredictionsRequest(**MODEL, input={"data": payload})
        met.streamed += [answer.prediction async for answer in call(message, timeout=30, metadata=inference._metadata)]
    await inference.generate(request, model="lcgan", version="7", timeout_s=30)


VERSION = frozenset({("model_name", "lcgan"), ("model_version", "7")})


@pytest.fixture(scope="module")
def in_process(place: Place) -> Iterator[Commentator]:
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield Commentator(Bundle.load(place.bundle))
    torch.set_num_threads(threads)


def test_every_good_request_is_answered_with_the_text_that_the_engine_gives_in_this_process(
    met: Met, in_process: Commentator
) -> None:
    assert len(met.good) == 4 * NUM_CLIENTS + len(SONGS)
    expected = in_process.answer([request for request, _ in met.good])
    for (request, texts), response in zip(met.good, expected, strict=True):
        assert texts == tuple(sample.text for sample in response.samples), request
    assert len({texts for _, texts in met.good}) > NUM_CLIENTS


def test_the_samples_that_are_written_without_a_server_are_those_of_the_gateway(
    met: Met, place: Place, tmp_path: Path
) -> None:
    songs, out = tmp_path / "songs.csv", tmp_path / "samples"
    rows = (f"{name},{genre},Ona Vell,{name}\n" for name, genre in SONGS)
    songs.write_text("id,genres,artist,title\n" + "".join(rows), encoding="utf-8")
    options = [f"--{name.replace('_', '-')}={value}" for name, value in OF_SONGS.items()]
    run("generate-many", str(songs), "--out", str(out), "--model", str(place.store / "lcgan_7.mar"), *options)
    written = pq.read_table(out / "part-000000.parquet").to_pylist()
    assert [row["id"] for row in written] == [name for name, _ in SONGS]
    for row in written:
        assert tuple(sample["text"] for sample in row["samples"]) == met.songs[row["id"]]


def test_every_bad_request_gets_its_code_and_the_name_of_its_field(met: Met) -> None:
    assert len(met.faults) == 5 * NUM_CLIENTS
    assert [fault for fault in met.faults if fault[:2] != fault[2:]] == []
    assert {fault[:2] for fault in met.faults} > {("INVALID_ARGUMENT", "colour"), ("INTERNAL", "")}


def test_the_worker_is_the_same_process_afterwards_streaming_calls_included(met: Met) -> None:
    assert met.before is not None
    assert met.after is not None
    assert met.before.num_ready == met.after.num_ready == 1
    assert met.before.worker_pids == met.after.worker_pids
    answers = [decode_answer(met.streamed[index]) for index in (0, -1)]
    assert answers[0].samples == answers[1].samples


def test_the_metrics_page_agrees_with_what_the_clients_counted(met: Met, in_process: Commentator) -> None:
    answered = in_process.answer_batch([request for request, _ in met.good])
    assert met.metrics["deephypebot_worker_requests_total"] == {VERSION: met.at_the_worker.total()}
    assert met.metrics["deephypebot_worker_sequences_total"] == {VERSION: answered.times.sequences}
    assert met.metrics["deephypebot_worker_tokens_total"] == {VERSION: answered.times.tokens}
    refused: Counter[frozenset[tuple[str, str]]] = Counter()
    for (code, name), count in met.at_the_worker.items():
        label = {"": "none", "colour": "unknown"}.get(name, name)
        if code != "OK":
            refused[VERSION | {("code", code), ("field", label)}] += count
    assert met.metrics["deephypebot_worker_errors_total"] == refused
    (built,) = met.metrics["deephypebot_worker_build_info"].items()
    assert built[0] > VERSION | {("archive", "lcgan_7.mar")}
    assert built[1] == 1


def test_requests_of_different_clients_were_decoded_together(met: Met) -> None:
    batches = met.metrics["deephypebot_worker_decode_seconds_count"][VERSION]
    assert 0 < batches < 4 * NUM_CLIENTS + len(SONGS)
    assert met.metrics["deephypebot_worker_decode_seconds_sum"][VERSION] > 0
    assert met.metrics["deephypebot_worker_batch_sequences"][VERSION] >= 1


def test_the_worker_says_what_it_is(met: Met) -> None:
    assert met.described is not None
    assert met.described.genres == GENRES
    assert met.described.lineage == {"corpus": "none"}
    assert (met.described.threads, met.described.slots) == (1, 128)
    assert met.described.precision in {"fp32", "int8", "fp16"}


@dataclass(frozen=True, kw_only=True)
class OnlyTorch:
    """A process that imported torch and did nothing else."""

    cpu_s: float
    memory: int


@pytest.fixture(scope="module", autouse=True)
def _compiled_before() -> None:
    """Compile the decode in another process: the first worker of a host would be measured while it does so itself."""
    if loading.is_available():
        program = "from handlers.decoding.engine import Engine; from tests.handlers import tiny_bundles as tiny"
        command = [sys.executable, "-c", f"{program}; Engine(tiny.tiny_bundle())"]
        subprocess.run(command, cwd=Path(__file__).parents[2], check=True)


@pytest.fixture(scope="module")
def only_torch() -> OnlyTorch:
    code = "import torch, time; print(time.process_time(), flush=True); input()"
    with subprocess.Popen(
        [sys.executable, "-c", code], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as child:
        assert child.stdout is not None
        cpu_s = float(child.stdout.readline())
        memory = psutil.Process(child.pid).memory_info().rss
        child.communicate("\n")
    return OnlyTorch(cpu_s=cpu_s, memory=memory)


def test_a_worker_of_the_reference_size_needs_at_most_300_mb_beyond_torch_or_330_with_numba(
    met: Met, only_torch: OnlyTorch
) -> None:
    # numba and what it loads are 115 MB more.
    assert (met.memory - only_torch.memory) / 2**20 < (330 if loading.is_available() else 300)


def test_a_worker_is_ready_and_warm_within_two_seconds_of_work_beyond_importing_torch(
    met: Met, only_torch: OnlyTorch
) -> None:
    # Processor time: on a machine that has other things to do, the clock says nothing.
    assert met.ready_cpu_s - only_torch.cpu_s < 2
