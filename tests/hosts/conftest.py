from __future__ import annotations

import sys
from collections.abc import Callable

import pytest

from tests.training.conftest import SampleCorpus, make_sample_corpus


@pytest.fixture
def tell(capsys: pytest.CaptureFixture[str]) -> Callable[[str], None]:
    """Return what shows a line to who runs the tests."""

    def show(line: str) -> None:
        with capsys.disabled():
            sys.stdout.write(f"\n{line}\n")

    return show


@pytest.fixture(scope="session")
def sample_corpus(tmp_path_factory: pytest.TempPathFactory) -> SampleCorpus:
    return make_sample_corpus(tmp_path_factory.mktemp("sample_corpus"))
