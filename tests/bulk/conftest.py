"""A tiny model as a bundle, one thread as in the processes of a run, and the engine of this process."""

from __future__ import annotations

from collections.abc import Generator, Iterable, Iterator
from pathlib import Path

import pytest
import torch

from bulk.models import Model
from foundation.parallel.port import Engine, P, Prepare, R
from handlers.commentary import Commentator
from handlers.model.bundle import Bundle, bundle_sha256
from tests.handlers.tiny_bundles import GENRES, tiny_bundle


class Here(Engine):
    """Engine of this process, for tests of what an engine's caller does."""

    def __init__(self) -> None:
        self.numbers: list[int] = []
        """Numbers of the tasks that were done."""

    def run(self, prepare: Prepare[P, R], tasks: Iterable[tuple[int, P]]) -> Generator[tuple[int, R], None, None]:
        done = prepare()
        for number, payload in tasks:
            self.numbers.append(number)
            yield number, done(payload)


@pytest.fixture(autouse=True, scope="package")
def _one_thread() -> Iterator[None]:
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


@pytest.fixture(scope="session")
def bundle_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A model; the embedding of its last genre is so large that no decode with it comes to a finite end."""
    bundle = tiny_bundle(seed=5, generator=True)
    with torch.no_grad():
        bundle.decoder.genre_embedding.weight[len(GENRES)] = 3e38
        bundle.decoder.projection.weight.mul_(1e3)
    folder = tmp_path_factory.mktemp("bundle")
    bundle.save(folder, model_card="# card\n")
    return folder


@pytest.fixture
def model(bundle_folder: Path) -> Model:
    return Model(name="lcgan", version="1", sha256=bundle_sha256(bundle_folder), folder=bundle_folder)


@pytest.fixture(scope="session")
def commentator(bundle_folder: Path) -> Commentator:
    return Commentator(Bundle.load(bundle_folder))


@pytest.fixture
def here() -> Here:
    return Here()
