from __future__ import annotations

import pytest

from tests.training.conftest import SampleCorpus, make_sample_corpus


@pytest.fixture(scope="session")
def sample_corpus(tmp_path_factory: pytest.TempPathFactory) -> SampleCorpus:
    return make_sample_corpus(tmp_path_factory.mktemp("sample_corpus"))
