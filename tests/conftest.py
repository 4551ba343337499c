"""Rules that hold for every test: property tests, groups of parallel runs, the environment."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import settings

from tests.examples import examples

settings.register_profile("project", examples(100))
settings.load_profile("project")

GROUPS = {
    "tests/integration": "demo",  # one demo for all
    "tests/serving": "serving",  # one registry with archives, TorchServe on every core
    "tests/bot/studio": "studio",
    "tests/handlers/decoding/gpu": "gpu",  # Triton compiles each kernel once in a process
    "tests/training/evaluation": "evaluation",  # one trained model for all
}
"""Folders whose tests share what is dear to make, so that one process of a parallel run has them all."""


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Give each file or folder of `GROUPS` to one process, and begin with what takes longest."""
    root = Path(__file__).parents[1]
    for item in items:
        if item.get_closest_marker("xdist_group") is None:
            place = item.path.relative_to(root).as_posix()
            group = next((name for folder, name in GROUPS.items() if place.startswith(f"{folder}/")), place)
            item.add_marker(pytest.mark.xdist_group(group))
    dear = {_group(item) for item in items if item.get_closest_marker("integration")}
    slow = {_group(item) for item in items if item.get_closest_marker("slow")}
    items.sort(key=lambda item: (_group(item) not in dear, _group(item) not in slow))


def _group(item: pytest.Item) -> str:
    marker = item.get_closest_marker("xdist_group")
    return str(marker.args[0]) if marker is not None else ""


@pytest.fixture(autouse=True)
def _environment_outlives_no_test() -> Iterator[None]:
    """MLflow writes its address into the environment for its children; the next test must not meet it there."""
    before = dict(os.environ)
    yield
    os.environ.clear()
    os.environ.update(before)
