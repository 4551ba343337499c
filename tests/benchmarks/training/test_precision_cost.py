from __future__ import annotations

import json
import math
from pathlib import Path

import pytest
import torch
from typer.testing import CliRunner

from benchmarks.cli import app_bench
from benchmarks.training.decode import plain_bundle
from benchmarks.training.precision_cost import bits_per_character
from handlers.decoding.matmul import precisions
from tests.training.conftest import SampleCorpus
from training.cvae.model import Cvae
from training.errors import SettingError
from training.packaging.export import save_bundle

pytestmark = pytest.mark.slow


@pytest.fixture
def model(sample_corpus: SampleCorpus, tmp_path: Path) -> Cvae:
    """An untrained CVAE; its bundle lies in the folder."""
    torch.manual_seed(0)
    cvae = Cvae(sample_corpus.config(), mu_scale=0.6).eval()
    bundle = plain_bundle(cvae.decoder, sample_corpus.vocabulary, sample_corpus.corpus.genre_table)
    save_bundle(bundle, tmp_path, figures={}, samples=[], encoder=(cvae, 0.6))
    return cvae


def test_every_precision_scores_known_sentences_as_the_model_does(
    sample_corpus: SampleCorpus, model: Cvae, tmp_path: Path
) -> None:
    found = bits_per_character(tmp_path, sample_corpus.corpus, num_sentences=100)
    assert list(found) == [each.value for each in precisions()]
    valid = sample_corpus.valid
    first = range(100)
    batch = valid.batch(list(first))
    log_probs, _ = model.token_log_probs(batch, model.encode(batch).mu)
    characters = sum(len(text) for text in sample_corpus.corpus.part("valid").texts[:100])
    expected = -float(log_probs.double().sum()) / math.log(2) / characters
    assert found["fp32"] == pytest.approx(expected, rel=1e-5)
    for bits in found.values():
        assert bits == pytest.approx(expected, rel=1e-2)


@pytest.mark.usefixtures("model")
def test_the_command_prints_the_bits_of_each_precision(sample_corpus: SampleCorpus, tmp_path: Path) -> None:
    arguments = ["decode", str(tmp_path), "--corpus", str(sample_corpus.folder), "--quick", "--sequences", "8"]
    done = CliRunner().invoke(app_bench, arguments)
    assert done.exit_code == 0, done.output
    bits = json.loads(done.output.strip().splitlines()[-1])["figures"]["bits_per_character"]
    assert set(bits) == {each.value for each in precisions()}


def test_a_corpus_without_a_bundle_is_refused(sample_corpus: SampleCorpus) -> None:
    done = CliRunner().invoke(app_bench, ["decode", "--quick", "--corpus", str(sample_corpus.folder)])
    assert isinstance(done.exception, SettingError)
    assert "give the bundle as well" in str(done.exception)
