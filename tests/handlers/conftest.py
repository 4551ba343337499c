from __future__ import annotations

from collections.abc import Iterator

import pytest
import torch

from handlers.model.bundle import Bundle
from tests.handlers.tiny_bundles import tiny_bundle


@pytest.fixture(autouse=True, scope="package")
def _one_thread() -> Iterator[None]:
    """Tiny products lose more by waiting for a second thread than they gain by it."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


@pytest.fixture(scope="session")
def bundle() -> Bundle:
    """A model that decodes z as it comes from the prior."""
    return tiny_bundle()


@pytest.fixture(scope="session")
def moving_bundle() -> Bundle:
    """A model whose generator moves z."""
    return tiny_bundle(seed=1, generator=True)
