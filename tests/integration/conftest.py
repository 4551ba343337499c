"""One demo for all tests of this folder: what it made is what they use."""

from __future__ import annotations

import time
from dataclasses import dataclass

import pytest

from tests.integration.support import DEMO_TIMEOUT_S, Place, run


@dataclass(frozen=True, kw_only=True)
class DemoRun:
    """A demo that ended well."""

    place: Place
    output: str
    seconds: float


@pytest.fixture(scope="session")
def demo_run(tmp_path_factory: pytest.TempPathFactory) -> DemoRun:
    place = Place(root=tmp_path_factory.mktemp("demo"))
    place.write_posts(700)
    started = time.monotonic()
    output = run(*place.demo_arguments(), timeout=DEMO_TIMEOUT_S)
    return DemoRun(place=place, output=output, seconds=time.monotonic() - started)
