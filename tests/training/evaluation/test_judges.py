from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from tests.training.conftest import SampleCorpus
from training.errors import CorpusError
from training.evaluation.judges import (
    Judges,
    fit_classifier_judge,
    fit_judges,
    judge_quality,
    read_labels,
)
from training.sample import Kind
from training.settings import SOUND_SEED_WORDS

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def judges(sample_corpus: SampleCorpus, tmp_path_factory: pytest.TempPathFactory) -> Judges:
    return fit_judges(sample_corpus.corpus, workspace=tmp_path_factory.mktemp("judges"))


def _held_out(sample_corpus: SampleCorpus) -> tuple[list[str], list[int]]:
    kinds = sample_corpus.world.kinds
    held_out = [*sample_corpus.corpus.part("valid").texts, *sample_corpus.corpus.part("test").texts]
    texts = [text for text in held_out if text in kinds]
    return texts, [int(kinds[text] is Kind.SOUND) for text in texts]


def test_both_judges_distinguish_held_out_sentences_about_sound(judges: Judges, sample_corpus: SampleCorpus) -> None:
    texts, labels = _held_out(sample_corpus)
    for judge in judges.all():
        quality = judge_quality(judge, texts, labels)
        assert quality.auc > 0.75, judge.name
        assert quality.accuracy > max(quality.label_share, 1 - quality.label_share), judge.name


def test_the_classifier_does_not_see_the_seed_words(judges: Judges) -> None:
    assert not set(SOUND_SEED_WORDS) & set(judges.classifier.vectorizer.get_feature_names_out())
    plain, named = judges.classifier.scores(["it is lovely", "it is lovely guitar drums"])
    assert plain == named


def test_the_classifier_calls_as_many_training_sentences_desired_as_hold_a_seed_word(
    judges: Judges, sample_corpus: SampleCorpus
) -> None:
    texts = sample_corpus.corpus.part("train").texts
    with_seed = np.mean([bool(set(SOUND_SEED_WORDS) & set(text.casefold().split())) for text in texts])
    # The share with a seed word, counted crudely here: punctuation hides some.
    assert judges.classifier.shares(texts).mean() == pytest.approx(with_seed, abs=0.1)


def test_judges_from_the_disk_score_as_the_fitted_ones(sample_corpus: SampleCorpus, tmp_path: Path) -> None:
    texts = sample_corpus.corpus.part("test").texts[:50]
    first = fit_judges(sample_corpus.corpus, workspace=tmp_path)
    (folder,) = tmp_path.iterdir()
    before = (folder / "judges.json").stat().st_mtime_ns
    again = fit_judges(sample_corpus.corpus, workspace=tmp_path)
    assert (folder / "judges.json").stat().st_mtime_ns == before
    for one, other in zip(first.all(), again.all(), strict=True):
        assert one.scores(texts).tolist() == other.scores(texts).tolist()
        assert one.shares(texts).tolist() == other.shares(texts).tolist()


def test_a_text_is_judged_alone_whatever_stands_beside_it(judges: Judges, sample_corpus: SampleCorpus) -> None:
    texts = sample_corpus.corpus.part("test").texts[:40]
    for judge in judges.all():
        assert judge.scores(texts)[:3] == pytest.approx(judge.scores(texts[:3]), abs=1e-6)
        assert len(judge.scores([])) == len(judge.shares([])) == 0


def test_too_few_sentences_with_a_seed_word_are_an_error_that_counts_them() -> None:
    with pytest.raises(CorpusError, match="got 1 of 31 with one; give more posts"):
        fit_classifier_judge(["it is good"] * 30 + ["a guitar"], seed_words=SOUND_SEED_WORDS)


def test_labels_by_hand_are_read_in_order(tmp_path: Path) -> None:
    path = tmp_path / "labels.jsonl"
    path.write_text('{"text": "wa\u2028rm", "label": 1}\n\n{"text": "late", "label": 0}\n', encoding="utf-8")
    assert read_labels(path) == (["wa\u2028rm", "late"], [1, 0])


@pytest.mark.parametrize(
    ("content", "said"),
    [
        ("nonsense\n", ":1 is not"),
        ('{"text": "a", "label": 1}\n{"text": "a"}\n', ":2 is not"),
        ('{"text": "a", "label": 2}\n', ":1 is not"),
        ('{"text": 3, "label": 1}\n', ":1 is not"),
        ('["text", "label"]\n', ":1 is not"),
        (json.dumps({"text": "a", "label": 1}), "not of both kinds"),
        ("", "0 labels"),
    ],
)
def test_a_file_without_valid_labels_is_an_error_that_names_the_line(tmp_path: Path, content: str, said: str) -> None:
    path = tmp_path / "labels.jsonl"
    path.write_text(content, encoding="utf-8")
    with pytest.raises(CorpusError, match=said):
        read_labels(path)


def test_a_judge_cannot_be_judged_by_labels_of_one_kind(judges: Judges) -> None:
    with pytest.raises(ValueError, match="both kinds"):
        judge_quality(judges.classifier, ["a", "b"], [1, 1])
