"""What holds for every test."""

from __future__ import annotations

import os
from collections.abc import Iterator

import pytest
from hypothesis import settings

# A deadline for each example fails on a machine that has other things to do, not on a fault.
settings.register_profile("no-deadline", deadline=None)
settings.load_profile("no-deadline")


@pytest.fixture(autouse=True)
def _environment_outlives_no_test() -> Iterator[None]:
    """MLflow writes its address into the environment for its children; the next test must not meet it there."""
    before = dict(os.environ)
    yield
    os.environ.clear()
    os.environ.update(before)
