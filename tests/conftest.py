"""Rules that hold for every test: property tests, shares of parallel runs, the environment."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator
from typing import Any

import pytest
from hypothesis import settings
from xdist.scheduler import LoadScopeScheduling

from handlers.contract import COMPILED_VARIABLE
from tests.examples import draw_alike, examples
from tests.shares import share_of

# As the command and the Makefile have it, for those who call pytest themselves: torch's idle threads do not spin. Torch
# reads it when it is imported, which no plugin does before this file.
os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
# Numba compiles for 10 to 25 s before its code is kept. tests/handlers/decoding/compiled compares it with torch, and
# `make test-compiled` runs the decode's tests by it.
os.environ.setdefault(COMPILED_VARIABLE, "0")

settings.register_profile("project", examples(100))
settings.load_profile("project")


class GroupScheduling(LoadScopeScheduling):  # type: ignore[misc] # xdist has no types
    """Shares of a parallel run: a folder of `GROUPS`, or a file.

    Not xdist's own `--dist loadgroup`: its release 3.8 appends the group to the test's name in a way that pytest 9.2
    ignores, so that every test would go to whichever process is free.
    """

    def _split_scope(self, nodeid: str) -> str:
        """Return the share that a test belongs to."""
        return share_of(nodeid)


def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> GroupScheduling:
    """Give xdist the scheduling of this project."""
    return GroupScheduling(config, log)


def pytest_xdist_auto_num_workers() -> int:
    """One process more than cores: tests of servers mostly wait, for a JVM, a registry or a deadline."""
    return (os.cpu_count() or 1) + 1


def pytest_configure() -> None:
    """Draw the same examples in any order of tests, and hear Ctrl-C.

    Where a shell runs the tests in the background, programs that tests start would not hear it, either.
    """
    draw_alike()
    if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.default_int_handler)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Begin with the shares that take longest: a parallel run then ends at about the same time in every process."""
    with_servers = {share_of(item.nodeid) for item in items if item.get_closest_marker("integration")}
    slow = {share_of(item.nodeid) for item in items if item.get_closest_marker("slow")}
    items.sort(key=lambda item: (share_of(item.nodeid) not in with_servers, share_of(item.nodeid) not in slow))


@pytest.fixture(autouse=True)
def _environment_outlives_no_test() -> Iterator[None]:
    """MLflow writes its address into the environment for its children; the next test must not meet it there."""
    before = dict(os.environ)
    yield
    os.environ.clear()
    os.environ.update(before)
