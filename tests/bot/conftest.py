"""A gateway on loopback that speaks the protocol, and files of invented tweets and artists."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import grpc
import pytest

from bot.adapters.files.feed import FileFeed
from bot.adapters.gateway_client import Gateway
from bot.adapters.lookups.catalog import FileCatalog
from bot.adapters.sqlite.store import SqliteStore
from bot.sandbox.server import SandboxServer
from bot.services.genres import ChainResolver
from bot.services.service import Bot, ServiceOptions
from serving.v1 import commentary_pb2, commentary_pb2_grpc
from tests.bot.helpers import published

TWEETS = [
    {"id": "101", "text": "Listen to Ona Vell’s “Slow Lamp” [ft. Tor Brisk] https://example.org/a", "author": "radio"},
    {"id": "102", "text": "What a grey morning."},
    {
        "id": "103",
        "text": "Three for the road:\n1. “Tin Sea” by Tor Brisk\n2. “Moss” by @onavell\n3. “Rye” by Nobody Known",
    },
    {
        "id": "104",
        "text": "Now playing: The Mica Dunes - Salt Clock (Tor Brisk Remix)",
        "created_at": "2026-01-04T10:00:00Z",
    },
]
ARTISTS = [
    {"artist": "Ona Vell", "genres": ["dream pop", "slowcore"]},
    {"artist": "Tor Brisk", "genres": ["techno"]},
    {"artist": "Mica Dunes", "genres": ["surf rock", "indie rock"]},
]


def write_jsonl(path: Path, rows: list[dict[str, object]]) -> Path:
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    return path


class LoopbackGateway(commentary_pb2_grpc.CommentaryServicer):
    """Answers with sentences made of the request, so that the same request brings the same text.

    `fault` may abort a call or wait; it is called with each request first.
    """

    def __init__(self) -> None:
        self.requests: list[commentary_pb2.GenerateRequest] = []
        self.fault: Callable[[commentary_pb2.GenerateRequest, grpc.ServicerContext], None] | None = None
        self.released = threading.Event()
        self.port = 0
        self._server: grpc.Server | None = None

    @property
    def target(self) -> str:
        return f"127.0.0.1:{self.port}"

    def start(self) -> None:
        self._server = grpc.server(ThreadPoolExecutor(8))
        commentary_pb2_grpc.add_CommentaryServicer_to_server(self, self._server)
        health: grpc.RpcMethodHandler[bytes, bytes] = grpc.unary_unary_rpc_method_handler(
            lambda _request, _context: b"\x08\x01"
        )  # SERVING, without a codec
        self._server.add_generic_rpc_handlers(
            [grpc.method_handlers_generic_handler("grpc.health.v1.Health", {"Check": health})]
        )
        # The port of the first start is kept, so that a client finds a server that comes back.
        self.port = self._server.add_insecure_port(f"127.0.0.1:{self.port}")
        self._server.start()

    def stop(self) -> None:
        self.released.set()
        if self._server is not None:
            self._server.stop(grace=None).wait()
            self._server = None

    def Generate(  # noqa: N802 -- the protocol's name
        self, request: commentary_pb2.GenerateRequest, context: grpc.ServicerContext
    ) -> commentary_pb2.GenerateResponse:
        self.requests.append(request)
        if self.fault is not None:
            self.fault(request, context)
        return commentary_pb2.GenerateResponse(
            samples=[
                commentary_pb2.Sample(
                    text=f"{request.title} by {request.artist}, take {number}, {(request.seed + number) % 1000}",
                    token_count=7,
                    log_prob=-7.5,
                    topics=[0.25, 0.75],
                    seed=(request.seed + number) % 2**63,
                )
                for number in range(1, request.num_samples + 1)
            ],
            model=commentary_pb2.ModelVersion(name=request.model, version="3", archive_sha256="ab" * 32),
            genres_used=[genre for genre in request.genres if genre != "slowcore"],
            genres_unknown=[genre for genre in request.genres if genre == "slowcore"],
        )

    def Describe(  # noqa: N802 -- the protocol's name
        self, request: commentary_pb2.DescribeRequest, context: grpc.ServicerContext
    ) -> commentary_pb2.DescribeResponse:
        del request, context
        live = commentary_pb2.LiveVersion(
            version="3",
            aliases=["champion"],
            topics=["0 guitar/drums/bass", "1 lyrics/story/love"],
            desired_topic="0 guitar/drums/bass",
            num_genres=3,
        )
        return commentary_pb2.DescribeResponse(
            models=[commentary_pb2.LiveModel(name="lcgan", champion="3", versions=[live])]
        )


@pytest.fixture
def gateway() -> Iterator[LoopbackGateway]:
    server = LoopbackGateway()
    server.start()
    yield server
    server.stop()


@pytest.fixture
def feed_path(tmp_path: Path) -> Path:
    return write_jsonl(tmp_path / "feed.jsonl", [dict(source_post) for source_post in TWEETS])


@pytest.fixture
def catalog_path(tmp_path: Path) -> Path:
    return write_jsonl(tmp_path / "artists.jsonl", [dict(artist) for artist in ARTISTS])


@pytest.fixture
def database(tmp_path: Path) -> Path:
    return tmp_path / "workspace" / "bot.db"


@pytest.fixture
def store(database: Path) -> Iterator[SqliteStore]:
    with SqliteStore(database) as opened:
        yield opened


@pytest.fixture
def make_bot(
    gateway: LoopbackGateway, store: SqliteStore, feed_path: Path, catalog_path: Path
) -> Iterator[Callable[..., Bot]]:
    """Bots on the fixtures' files and gateway; keyword arguments go to `ServiceOptions`."""
    opened: list[Gateway] = []

    def make(*, timeout_s: float = 5.0, **options: float) -> Bot:
        commentary = Gateway(gateway.target, model="lcgan", timeout_s=timeout_s)
        opened.append(commentary)
        return Bot(
            sources=(FileFeed(feed_path),),
            resolver=ChainResolver(table=FileCatalog(catalog_path)),
            commentary=commentary,
            store=store,
            options=ServiceOptions(**options),  # type: ignore[arg-type] # a test names the right ones
        )

    yield make
    for commentary in opened:
        commentary.close()


@pytest.fixture
def sandbox() -> Iterator[SandboxServer]:
    """Stand-ins without posts; `sandbox.control` makes them go wrong."""
    with SandboxServer(record=True, enforce_limits=False) as server:
        yield server
        exchanges = server.control.exchanges()
    if published.FOLDER:
        published.check(exchanges)
