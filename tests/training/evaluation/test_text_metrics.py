"""Metrics on texts whose answers are known."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from foundation.text_ngrams import words
from tests.examples import examples
from tests.training.conftest import SampleCorpus
from training.errors import CorpusError
from training.evaluation.copying import find_copies
from training.evaluation.diversity import distinct, distinct_small, self_bleu
from training.evaluation.genre_classifier import GenreClassifier
from training.evaluation.intervals import Resampler, auc
from training.evaluation.surface import check
from training.evaluation.two_sample import folds, tell_apart
from training.evaluation.words import WordTable, words_and_signs

sentences = st.lists(
    st.lists(st.sampled_from(["so", "warm", "bass", "and"]), max_size=8).map(" ".join), min_size=1, max_size=8
)


@pytest.mark.parametrize(
    ("text", "faults"),
    [
        ("It is warm.", set()),
        ("It is <unk>.", {"unk"}),
        ("UNK is warm!", {"unk"}),
        ("Dunk the UNKNOWN.", set()),
        ("The The the band.", {"repeats"}),
        ("He sang “loud” and (low).", set()),
        ("He sang “loud and low.", {"unbalanced", "broken"}),
        ('He sang "loud', {"unbalanced", "half", "broken"}),
        ("He sang", {"half", "broken"}),
        ("He sang )(.", {"unbalanced", "broken"}),
        ("", {"half", "broken"}),
    ],
)
def test_each_fault_is_counted_where_it_is_and_nowhere_else(text: str, faults: set[str]) -> None:
    found = check([text])
    assert {name for name, values in found.items() if values[0]} == faults


@examples(50)
@given(sentences, st.integers(1, 3))
def test_distinct_is_the_share_of_kinds_among_n_grams(texts: list[str], size: int) -> None:
    grams = [tuple(words(text)[i : i + size]) for text in texts for i in range(len(words(text)) - size + 1)]
    figure = distinct([WordTable().encode(texts)], size)
    assert figure.value == pytest.approx(len(set(grams)) / len(grams) if grams else 0)


def test_leaving_a_group_out_is_counting_without_it() -> None:
    texts = [f"{one} {other}" for one in "abcde" for other in "abcdef"]
    table = WordTable()
    whole = distinct([table.encode(texts)], 1)
    left_out = [
        distinct([table.encode([text for number, text in enumerate(texts) if number % 20 != group])], 1).value
        for group in range(20)
    ]
    spread = np.sqrt(19 / 20 * np.sum((np.array(left_out) - np.mean(left_out)) ** 2))
    assert whole.high - whole.value == pytest.approx(1.96 * spread)


def test_distinct_of_a_hundred_does_not_depend_on_how_many_hundreds_there_are() -> None:
    texts = [f"word{number % 100} and" for number in range(500)]
    table = WordTable()
    few, many = (distinct_small([table.encode(texts[:size])], 1, Resampler(replicates=20)) for size in (100, 500))
    assert few.value == many.value == pytest.approx(101 / 200)


def test_self_bleu_is_1_for_equal_texts_and_0_for_strangers() -> None:
    resampler = Resampler(replicates=20)
    same = ["so warm and so loud"] * 5
    strangers = ["one two three four", "five six seven eight", "nine ten eleven twelve"]
    assert self_bleu([same], resampler).value == pytest.approx(1)
    assert self_bleu([strangers], resampler).value == 0
    assert 0 < self_bleu([[*same, *strangers]], resampler).value < 1


@examples(50)
@given(sentences, sentences)
def test_copies_are_what_a_search_of_every_training_sentence_finds(train: list[str], texts: list[str]) -> None:
    table = WordTable()
    copies = find_copies(table.encode(train), table.encode(texts))
    known = {
        tuple(words(text)[i:j])
        for text in train
        for i in range(len(words(text)))
        for j in range(i + 1, len(words(text)) + 1)
    }
    for number, text in enumerate(map(words, texts)):
        parts = [tuple(text[i:j]) for i in range(len(text)) for j in range(i + 1, len(text) + 1)]
        found = [part for part in parts if part in known]
        assert copies.longest[number] == max(map(len, found), default=0)
        for size in (4, 8):
            assert copies.copied[size][number] == sum(len(part) == size for part in found)
            assert copies.total[size][number] == sum(len(part) == size for part in parts)
        assert bool(copies.exact[number]) == (text in [words(each) for each in train])


def _area(one: list[str], other: list[str], split: Callable[[str], list[str]] = words) -> float:
    table = WordTable(split=split)
    keys = [str(number) for number in range(len(one))]
    return auc(*tell_apart(table.encode(one), table.encode(other), sample_keys=keys, real_keys=keys))


def test_real_text_is_not_distinguishable_from_real_text(sample_corpus: SampleCorpus) -> None:
    texts = sample_corpus.corpus.part("train").texts
    half = np.random.default_rng(0).permutation(len(texts))[:1200]
    assert 0.42 < _area([texts[i] for i in half[:600]], [texts[i] for i in half[600:]]) < 0.58


def test_shuffled_words_are_distinguishable_and_lost_signs_only_where_signs_are_seen(
    sample_corpus: SampleCorpus,
) -> None:
    texts = sample_corpus.corpus.part("train").texts[:800]
    generator = np.random.default_rng(0)
    one, other = texts[::2], texts[1::2]
    assert _area([" ".join(generator.permutation(text.split())) for text in one], other) > 0.8
    bare = [" ".join(words(text)) for text in one]
    assert _area(bare, other) < 0.6
    assert _area(bare, other, words_and_signs) > 0.9


def test_sentences_of_a_post_are_in_one_fold() -> None:
    fold = folds([f"post {number % 40}" for number in range(400)])
    assert all(len(set(fold[number::40])) == 1 for number in range(40))
    assert set(fold.tolist()) == {0, 1, 2, 3, 4}


@pytest.fixture(scope="module")
def classifier(sample_corpus: SampleCorpus) -> GenreClassifier:
    return GenreClassifier.fit(sample_corpus.corpus.part("train"))


def test_genres_of_held_out_sentences_are_hit_more_often_than_by_chance(
    sample_corpus: SampleCorpus, classifier: GenreClassifier
) -> None:
    held_out = sample_corpus.corpus.part("test")
    hits, counted = classifier.hits(held_out.texts, held_out.genres)
    shuffled = [held_out.genres[i] for i in np.random.default_rng(0).permutation(len(held_out))]
    by_chance, counted_by_chance = classifier.hits(held_out.texts, shuffled)
    assert hits.sum() / counted.sum() > 1.3 * by_chance.sum() / counted_by_chance.sum()


def test_a_sentence_without_a_known_genre_does_not_count(classifier: GenreClassifier) -> None:
    hits, counted = classifier.hits(["warm drums", "cold"], [(), ("polka",)])
    assert counted.tolist() == [False, False]
    assert hits.tolist() == [0, 0]


def test_a_corpus_without_genres_says_so(sample_corpus: SampleCorpus) -> None:
    few = sample_corpus.corpus.part("test")
    few.genres[:] = [()] * len(few)
    with pytest.raises(CorpusError, match="only 0 genres"):
        GenreClassifier.fit(few)
