from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from handlers.model.genres import GenreTable
from handlers.model.vocabulary import EOS_ID, PAD_ID
from tests.training.conftest import SampleCorpus
from training.cvae.batches import COARSER_GENRES, NO_GENRES, OWN_GENRES, Batch, EncodedSentences, PlainSentences
from training.cvae.vocabulary import word_vocabulary

WORDS = ("a", "b", "c", "d", "e")
VOCABULARY = word_vocabulary([*WORDS, *(f"x {word}" for word in WORDS)], min_count=1, size=100)
TABLE = GenreTable(labels=("pop", "rock", "folk"))
texts = st.lists(st.sampled_from(WORDS), max_size=9).map(" ".join)
rows = st.lists(
    st.tuples(texts, st.lists(st.sampled_from(TABLE.labels), max_size=3, unique=True)), min_size=1, max_size=30
)


def _encoded(pairs: list[tuple[str, list[str]]]) -> EncodedSentences:
    return EncodedSentences([text for text, _ in pairs], [genres for _, genres in pairs], VOCABULARY, TABLE)


def _genres(batch: Batch, column: int) -> list[int]:
    ends = [*batch.offsets_B.tolist()[1:], len(batch.genres_G)]
    return batch.genres_G[batch.offsets_B[column] : ends[column]].tolist()


@pytest.mark.slow
@given(rows, st.integers(1, 7), st.integers(0, 99))
def test_an_epoch_holds_every_sentence_once_in_batches_of_the_asked_size(
    pairs: list[tuple[str, list[str]]], size: int, seed: int
) -> None:
    batches = list(_encoded(pairs).bucketed(size, np.random.default_rng(seed)))
    assert sorted(np.concatenate(batches).tolist()) == list(range(len(pairs)))
    assert len(batches) == -(-len(pairs) // size)
    assert all(len(batch) <= size for batch in batches)


@pytest.mark.slow
@given(rows)
def test_a_batch_holds_each_sentence_with_its_end_mark_its_padding_and_its_own_genres(
    pairs: list[tuple[str, list[str]]],
) -> None:
    batch = _encoded(pairs).batch(range(len(pairs)))
    for column, (text, genres) in enumerate(pairs):
        tokens = batch.tokens_TB[:, column].tolist()
        length = int(batch.lengths_B[column])
        assert VOCABULARY.decode(tokens[: length - 1]) == text
        assert tokens[length - 1] == EOS_ID
        assert set(tokens[length:]) <= {PAD_ID}
        assert _genres(batch, column) == (TABLE.indices(genres) or [0])
    assert batch.tokens_TB.shape[0] == int(batch.lengths_B.max())
    assert batch.num_tokens == sum(len(text.split()) + 1 for text, _ in pairs)


@pytest.mark.slow
@given(rows, st.data())
def test_a_row_tells_all_its_genres_or_coarser_ones_or_none(
    pairs: list[tuple[str, list[str]]], data: st.DataObject
) -> None:
    details = st.sampled_from([NO_GENRES, COARSER_GENRES, OWN_GENRES])
    detail_B = np.array(data.draw(st.lists(details, min_size=len(pairs), max_size=len(pairs))))
    encoded = _encoded(pairs)
    batch = encoded.batch(range(len(pairs)), detail_B=detail_B)
    for column, detail in enumerate(detail_B):
        own = list(encoded.genres_of(column)) or [0]
        # None of these labels is a part of another one's name.
        assert _genres(batch, column) == ([0] if detail == NO_GENRES else own)


def test_coarser_genres_are_those_an_unknown_genre_comes_down_to_each_once() -> None:
    table = GenreTable(labels=("dream pop", "indie pop", "pop", "folk"))
    encoded = EncodedSentences(["a"], [["dream pop", "indie pop", "folk"]], VOCABULARY, table)
    batch = encoded.batch([0], detail_B=np.array([COARSER_GENRES]))
    assert batch.genres_G.tolist() == table.indices(["pop", "folk"])


@given(st.integers(2, 60), st.integers(3, 9))
def test_no_batch_holds_a_lone_sentence(count: int, size: int) -> None:
    batches = list(_encoded([("a", [])] * count).bucketed(size, np.random.default_rng(0)))
    assert min(map(len, batches)) >= 2
    assert len(batches) == -(-count // size)


def test_sentences_meet_other_neighbours_in_another_epoch_and_the_same_ones_with_the_same_seed() -> None:
    encoded = _encoded([("a b", [])] * 64)
    first, again, other = (
        [batch.tolist() for batch in encoded.bucketed(8, np.random.default_rng(seed))] for seed in (0, 0, 1)
    )
    assert first == again
    assert {frozenset(batch) for batch in first} != {frozenset(batch) for batch in other}


@pytest.mark.slow
def test_less_than_a_twentieth_of_the_sample_corpus_is_padding(sample_corpus: SampleCorpus) -> None:
    train = sample_corpus.train
    batches = [train.batch(indices) for indices in train.bucketed(64, np.random.default_rng(0))]
    assert sum(batch.num_tokens for batch in batches) == train.num_tokens
    assert train.num_tokens / sum(batch.tokens_TB.numel() for batch in batches) > 0.95


@pytest.mark.slow
def test_lengths_do_not_come_in_order(sample_corpus: SampleCorpus) -> None:
    train = sample_corpus.train
    means = [train.lengths_N[indices].mean() for indices in train.bucketed(64, np.random.default_rng(0))]
    assert abs(np.corrcoef(means, range(len(means)))[0, 1]) < 0.5


def test_no_sentences_make_no_batches() -> None:
    empty = _encoded([])
    assert (len(empty), empty.num_tokens) == (0, 0)
    assert list(empty.bucketed(4, np.random.default_rng(0))) == []


@pytest.mark.slow
@given(st.lists(st.lists(st.integers(4, 90), max_size=6), min_size=1, max_size=20))
def test_sentences_that_are_ids_already_come_as_they_are(sentences: list[list[int]]) -> None:
    plain = PlainSentences(sentences, num_characters=11)
    batch = plain.batch(range(len(sentences)))
    columns = [
        batch.tokens_TB[: int(length), column].tolist() for column, length in enumerate(batch.lengths_B.tolist())
    ]
    assert columns == [[*sentence, EOS_ID] for sentence in sentences]
    assert batch.genres_G.tolist() == [0] * len(sentences)
    assert plain.num_characters == 11
    counts_V = plain.token_counts(100)
    assert counts_V.sum() == plain.num_tokens == sum(map(len, sentences)) + len(sentences)
    assert counts_V[EOS_ID] == len(sentences)


def test_sentences_that_are_ids_already_may_have_genres() -> None:
    plain = PlainSentences([[5], [6, 7]], num_characters=5, genres=[[], [2, 1]])
    batch = plain.batch([1, 0])
    assert [_genres(batch, column) for column in (0, 1)] == [[2, 1], [0]]
