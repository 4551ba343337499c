from __future__ import annotations

import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from handlers.model.vocabulary import SPECIALS, UNK_ID, Vocabulary
from tests.training.conftest import SampleCorpus
from training.cvae.vocabulary import learn_vocabulary, subword_vocabulary, word_vocabulary
from training.errors import CorpusError
from training.settings import CvaeSettings

PLACEHOLDER_FORMS = ("<artist>", " <artist>", "<title>", " <title>")


def _placeholders(vocabulary: Vocabulary) -> list[str]:
    return [vocabulary.tokens[number].strip() for forms in vocabulary.placeholder_ids() for number in forms]


def test_placeholders_are_kept_in_a_vocabulary_of_text_without_them() -> None:
    words = word_vocabulary(["warm hiss"], min_count=5, size=1)
    assert words.tokens == (*SPECIALS, *PLACEHOLDER_FORMS)
    assert _placeholders(words) == _placeholders(subword_vocabulary(["warm hiss"], size=40))
    assert _placeholders(words) == ["<artist>", "<artist>", "<title>", "<title>"]


@given(st.lists(st.sampled_from([" warm", " cold", " dim", " loud", " slow"]), max_size=30), st.randoms())
def test_the_order_of_sentences_does_not_change_the_words(words: list[str], order: random.Random) -> None:
    shuffled = list(words)
    order.shuffle(shuffled)
    assert word_vocabulary(shuffled, min_count=1, size=10) == word_vocabulary(words, min_count=1, size=10)


def test_the_order_of_sentences_does_not_change_the_pieces(sample_corpus: SampleCorpus) -> None:
    texts = list(sample_corpus.corpus.texts)
    learned = subword_vocabulary(texts, size=400)
    random.Random(1).shuffle(texts)
    assert subword_vocabulary(texts, size=400) == learned


def test_the_most_frequent_words_are_kept_and_equals_go_by_name() -> None:
    vocabulary = word_vocabulary(["x b a", "x b a", "x c"], min_count=1, size=len(SPECIALS) + 4 + 3)
    assert vocabulary.tokens[-3:] == ("x", " a", " b")


def test_a_word_below_the_least_count_is_unknown() -> None:
    vocabulary = word_vocabulary(["x b", "x c"], min_count=2, size=100)
    assert vocabulary.encode("x b") == [vocabulary.tokens.index("x"), UNK_ID]


def test_subwords_write_every_sentence_of_a_corpus_with_few_tokens(sample_corpus: SampleCorpus) -> None:
    texts = sample_corpus.corpus.texts
    vocabulary = subword_vocabulary(sample_corpus.corpus.part("train").texts, size=500)
    assert len(vocabulary) <= 500
    encoded = [vocabulary.encode(text) for text in texts]
    assert sum(UNK_ID in ids for ids in encoded) == 0
    assert [vocabulary.decode(ids) for ids in encoded] == texts
    assert sum(map(len, encoded)) < 0.5 * sum(map(len, texts))


def test_a_word_that_was_never_seen_is_spelled() -> None:
    vocabulary = subword_vocabulary(["warm hiss", "a cold hum"], size=60)
    assert UNK_ID not in vocabulary.encode("humid hiss")
    assert vocabulary.decode(vocabulary.encode("humid warm")) == "humid warm"


def test_no_piece_reaches_over_the_end_of_a_word(sample_corpus: SampleCorpus) -> None:
    vocabulary = subword_vocabulary(sample_corpus.corpus.texts, size=500)
    learned = vocabulary.tokens[len(SPECIALS) + len(PLACEHOLDER_FORMS) :]
    assert all(" " not in piece[1:] for piece in learned)
    assert not any(set(piece) & set(".,!?") and len(piece.strip()) > 1 for piece in learned)


def test_a_character_that_hardly_ever_comes_is_left_to_the_unknown_mark() -> None:
    vocabulary = subword_vocabulary(["warm hiss"] * 200 + ["warm hiß"], size=60)
    assert vocabulary.encode("warm hiß").count(UNK_ID) == 1
    assert "ß" not in "".join(vocabulary.tokens)


def test_a_size_that_does_not_hold_the_alphabet_is_refused_with_the_size_that_would() -> None:
    with pytest.raises(CorpusError, match=r"a vocabulary of 12 tokens.*cvae\.max_vocabulary to \d+"):
        subword_vocabulary(["warm hiss", "cold hum"], size=12)


def test_the_settings_choose_the_kind(sample_corpus: SampleCorpus) -> None:
    texts = sample_corpus.corpus.texts
    words = learn_vocabulary(texts, CvaeSettings(vocabulary="words", max_vocabulary=300, min_count=1))
    pieces = learn_vocabulary(texts, CvaeSettings(max_vocabulary=300))
    assert words == word_vocabulary(texts, min_count=1, size=300)
    assert pieces == subword_vocabulary(texts, size=300)
    with pytest.raises(ValueError, match="subwords or words"):
        CvaeSettings(vocabulary="letters")
