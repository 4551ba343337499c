"""What holds for every test."""

from __future__ import annotations

import os
from collections.abc import Iterator

import pytest


@pytest.fixture(autouse=True)
def _environment_outlives_no_test() -> Iterator[None]:
    """MLflow writes its address into the environment for its children; the next test must not meet it there."""
    before = dict(os.environ)
    yield
    os.environ.clear()
    os.environ.update(before)
