"""Fixtures of the bot's benchmarks: a gateway on loopback and a place for a database."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.bot.helpers.loopback_gateway import LoopbackGateway


@pytest.fixture
def gateway() -> Iterator[LoopbackGateway]:
    server = LoopbackGateway()
    server.start()
    yield server
    server.stop()


@pytest.fixture
def database(tmp_path: Path) -> Path:
    return tmp_path / "workspace" / "bot.db"
