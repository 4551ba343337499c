"""Fixtures of a bot: a gateway on loopback, files of invented posts and artists, a store, the sandbox."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from bot.adapters.files.feed import FileFeed
from bot.adapters.gateway_client import GatewayClient
from bot.adapters.lookups.catalog import FileCatalog
from bot.adapters.sqlite.store import SqliteStore
from bot.sandbox.server import SandboxServer
from bot.services.genres import ChainResolver
from bot.services.service import Bot, ServiceOptions
from tests.bot.helpers import published
from tests.bot.helpers.loopback_gateway import LoopbackGateway

SOURCE_POSTS = [
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


@pytest.fixture
def gateway() -> Iterator[LoopbackGateway]:
    server = LoopbackGateway()
    server.start()
    yield server
    server.stop()


@pytest.fixture
def feed_path(tmp_path: Path) -> Path:
    return write_jsonl(tmp_path / "feed.jsonl", [dict(source_post) for source_post in SOURCE_POSTS])


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
    opened: list[GatewayClient] = []

    def make(*, timeout_s: float = 5.0, **options: float) -> Bot:
        commentary = GatewayClient(gateway.target, model="lcgan", timeout_s=timeout_s)
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
