from __future__ import annotations

import json
import math
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from typer.testing import CliRunner

from benchmarks.cli import app_bench
from benchmarks.training.equal_time import (
    Budget,
    Trained,
    held_out_nats,
    spelling_model,
    train_and_score,
    unknown_words,
)
from benchmarks.training.structures import Choice, UntiedCvae, choices_of, original_decode
from benchmarks.training.vocabulary import (
    Comparison,
    Measured,
    SpeedPlan,
    _best,
    compare_vocabularies,
    vocabulary_table,
)
from tests.training.conftest import SampleCorpus
from training.cvae.scores import score_cvae
from training.cvae.vocabulary import word_vocabulary
from training.errors import CheckpointError, CorpusError, SettingError
from training.settings import CvaeSettings

pytestmark = pytest.mark.slow

SETTINGS = CvaeSettings(embedding_size=16, hidden_size=24, z_size=4, genre_size=4, batch_size=64, sampled_vocabulary=80)
BUDGET = Budget(settings=SETTINGS, seconds=1.0, held_out=60)
CHOICES = choices_of("subwords:300,words:200:8,original")


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("vocabulary")


@pytest.fixture(scope="module")
def comparison(sample_corpus: SampleCorpus, folder: Path) -> Comparison:
    plan = SpeedPlan(sequences=8, rounds=2)
    return compare_vocabularies(CHOICES, sample_corpus.corpus, BUDGET, plan, folder=folder)


@pytest.fixture
def original(sample_corpus: SampleCorpus, folder: Path, comparison: Comparison) -> Trained:
    del comparison  # has trained it
    return train_and_score(CHOICES[2], sample_corpus.corpus, BUDGET, folder=folder)


def row(comparison: Comparison, name: str) -> Measured:
    return next(each for each in comparison.rows if each.name == name)


# Choices


@pytest.mark.parametrize("text", ["subwords:8000", "words:15000:128", "original"])
def test_a_choice_is_named_as_it_is_written(text: str) -> None:
    assert Choice.parse(text).name == text


@pytest.mark.parametrize(
    "text", ["", "subwords", "letters:80", "words:x", "words:-5", "words:0", "words:80:0", "words:1:2:3", "words:²"]
)
def test_what_is_no_choice_is_refused_with_an_example(text: str) -> None:
    with pytest.raises(SettingError, match=r"choice"):
        Choice.parse(text)


@pytest.mark.parametrize("text", ["", " , ", "words:80,words:80"])
def test_a_comparison_needs_different_choices(text: str) -> None:
    with pytest.raises(SettingError, match="different choices"):
        choices_of(text)


def test_a_choice_changes_its_vocabulary_and_output_layer_alone() -> None:
    changed = Choice.parse("words:900:32").settings(SETTINGS)
    assert changed == replace(SETTINGS, vocabulary="words", max_vocabulary=900, embedding_size=32)
    assert Choice.parse("subwords:900").settings(SETTINGS).embedding_size == SETTINGS.embedding_size


# The original's structure


def test_the_originals_vocabulary_has_every_word_of_the_training_split(
    sample_corpus: SampleCorpus, original: Trained
) -> None:
    train = sample_corpus.corpus.part("train").texts
    assert unknown_words(train, original.vocabulary)[1] == []


@torch.no_grad()
def test_the_untied_layer_is_a_matrix_of_its_own_on_state_and_context(sample_corpus: SampleCorpus) -> None:
    model = UntiedCvae(sample_corpus.config(), encoder_size=8).eval()
    config = model.decoder.config
    assert model.output_weight.shape == (config.vocabulary_size, config.hidden_size + 6 + 4)
    batch = sample_corpus.valid.batch([0, 1])
    before, _ = model.token_log_probs(batch, torch.zeros(2, 6))
    model.output_matrix.zero_()
    flat, rows = model.token_log_probs(batch, torch.zeros(2, 6))
    assert not torch.allclose(before, flat)
    assert torch.allclose(flat, torch.full_like(flat, -math.log(config.vocabulary_size)), atol=1e-4)
    assert len(rows) == batch.num_tokens


@torch.no_grad()
def test_the_originals_decode_writes_by_the_untied_layer(original: Trained) -> None:
    decode = original_decode(original.model)
    favourite = 7
    decode.output.bias[favourite] += 1e4
    assert decode(torch.zeros(1, 4), 5).tolist() == [[favourite]] * 5
    decode.output.bias[favourite] -= 1e4


# Scores


def test_nats_are_those_of_the_trainings_own_score(sample_corpus: SampleCorpus) -> None:
    model = UntiedCvae(sample_corpus.config(), encoder_size=8)
    nats, unknown, kl = held_out_nats(model, sample_corpus.valid, batch_size=32)
    scores = score_cvae(model, sample_corpus.valid, batch_size=32)
    assert nats == pytest.approx(-scores.elbo * len(sample_corpus.valid), rel=1e-5)
    assert kl == pytest.approx(scores.kl * len(sample_corpus.valid), rel=1e-5)
    assert 0 < unknown < nats


def test_unknown_words_are_those_that_cannot_be_written() -> None:
    vocabulary = word_vocabulary(["warm hiss, warm hum"] * 3, min_count=1, size=100)
    count, unknown = unknown_words(["warm hum of drones, drones"], vocabulary)
    assert (count, sorted(unknown)) == (6, [" drones", " drones", " of"])


def test_spelling_is_learned_from_what_the_vocabulary_lacks_or_else_from_what_came_once() -> None:
    texts = ["warm hiss of hazy drones", "warm hiss of lazy drones"]
    most = word_vocabulary(texts, min_count=2, size=100)
    every = word_vocabulary(texts, min_count=1, size=100)
    expected = [spelling_model(texts, each).bits(" hazy") for each in (most, every)]
    assert expected[0] == expected[1] < spelling_model(texts, most).bits(" drones")


def test_unknown_words_are_charged_for(comparison: Comparison) -> None:
    result = row(comparison, "words:200:8").result
    assert result.unknown > 0.01
    assert result.spelling_bits > 5
    assert result.bits_per_character > result.known_bits_per_character + 0.01
    assert row(comparison, "subwords:300").result.unknown == 0


def test_a_corpus_without_held_out_sentences_is_refused(sample_corpus: SampleCorpus, tmp_path: Path) -> None:
    with pytest.raises(CorpusError, match="both splits"):
        train_and_score(CHOICES[0], sample_corpus.corpus.part("train"), BUDGET, folder=tmp_path)


# The comparison


def test_a_row_has_all_that_the_goal_asks_for(comparison: Comparison) -> None:
    assert [each.name for each in comparison.rows] == ["subwords:300", "words:200:8", "original"]
    for each in comparison.rows:
        assert 0 < each.result.bits_per_character < 20
        assert each.result.epochs > 0
        assert each.result.training_sentences_per_s > 0
        assert each.decode_b64 > 0
    first, second, untied = comparison.rows
    assert (first.embedding_size, second.embedding_size, untied.embedding_size) == (16, 8, 24)
    assert first.decode_b64 > 2 * first.decode_b1
    assert untied.decode_b64 == untied.decode_b1
    assert untied.output_share > second.output_share
    assert len(vocabulary_table(comparison).rows) == 3


def test_the_best_is_the_fastest_with_no_more_bits_than_the_original(comparison: Comparison) -> None:
    base = row(comparison, "original")

    def other(name: str, *, bits: float, speed: float) -> Measured:
        return replace(base, name=name, result=replace(base.result, bits_per_character=bits), decode_b64=speed)

    equal = base.result.bits_per_character
    slow, fast = other("a", bits=equal, speed=5.0), other("b", bits=equal - 0.1, speed=9.0)
    worse = other("c", bits=equal + 0.01, speed=99.0)
    assert _best([slow, fast, worse, base]) == "b"
    assert _best([worse, base]) is None
    assert _best([slow, fast]) is None


def test_what_was_trained_is_kept_and_another_time_is_another_training(
    sample_corpus: SampleCorpus, folder: Path, original: Trained
) -> None:
    again = train_and_score(CHOICES[2], sample_corpus.corpus, BUDGET, folder=folder)
    assert again.result == original.result
    assert torch.equal(again.model.output_weight, original.model.output_weight)
    shorter = train_and_score(CHOICES[0], sample_corpus.corpus, replace(BUDGET, seconds=0.3), folder=folder)
    assert shorter.result.epochs < 10**6
    assert len(list(folder.glob("subwords-300-*"))) == 2


@pytest.mark.parametrize("name", ["checkpoint.pt", "result.json", "vocabulary.json"])
def test_a_damaged_file_is_named_with_the_way_out(sample_corpus: SampleCorpus, tmp_path: Path, name: str) -> None:
    budget = replace(BUDGET, seconds=0.1, held_out=10)
    train_and_score(CHOICES[1], sample_corpus.corpus, budget, folder=tmp_path)
    next(tmp_path.glob(f"*/{name}")).write_text("{")
    with pytest.raises(CheckpointError, match=rf"{name}.*remove"):
        train_and_score(CHOICES[1], sample_corpus.corpus, budget, folder=tmp_path)


def test_the_command_ends_with_its_line_and_writes_the_same_and_a_picture(
    sample_corpus: SampleCorpus, tmp_path: Path
) -> None:
    threads = torch.get_num_threads()
    arguments = ["vocabulary", str(sample_corpus.folder), "--quick", "--preset", "demo", "--minutes", "0.01"]
    arguments += ["--choices", "subwords:300,original", "--workspace", str(tmp_path)]
    arguments += ["--json", str(tmp_path / "v.json"), "--plot", str(tmp_path / "v.png")]
    done = CliRunner().invoke(app_bench, arguments)
    torch.set_num_threads(threads)
    assert done.exit_code == 0, done.output
    document = json.loads(done.output.strip().splitlines()[-1])
    assert document == json.loads((tmp_path / "v.json").read_text())
    assert document["name"] == "vocabulary"
    assert set(document["figures"]["choices"]) == {"subwords:300", "original"}
    assert (tmp_path / "v.png").read_bytes().startswith(b"\x89PNG")
