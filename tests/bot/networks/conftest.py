"""The stand-ins for the networks, whose every exchange is held against the published descriptions where those are."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from bot.sandbox.server import SandboxServer
from tests.bot.networks import published


@pytest.fixture
def sandbox() -> Iterator[SandboxServer]:
    """Stand-ins without posts; `sandbox.control` makes them go wrong."""
    with SandboxServer(record=True, enforce_limits=False) as server:
        yield server
        exchanges = server.control.exchanges()
    if published.FOLDER:
        published.check(exchanges)
