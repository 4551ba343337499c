from __future__ import annotations

from collections import Counter

import pytest

from handlers.model.lexicon import Lexicon
from handlers.model.vocabulary import Vocabulary
from training.cvae.vocabulary import subword_vocabulary
from training.packaging.lexicon import allowed_numbers, allowed_words, learn_lexicon

TWICE = (
    'The Xylox band\'s "glitchy" hiss (again), a lo-fi R&B tune from the 90s.',
    "Xylox plays glitchy 1,000 notes; the band's lo-fi R&B hiss of the 90s",
)
TEXTS = [*TWICE, "A guitra and a guitar in 1951.", "Xylox 1,000", "1,000 Zyzzx notes", "Glitchy 90s band!", "H"]


@pytest.fixture(scope="module")
def vocabulary() -> Vocabulary:
    return subword_vocabulary(TEXTS, size=120)


@pytest.fixture(scope="module")
def lexicon(vocabulary: Vocabulary) -> Lexicon:
    return learn_lexicon(TEXTS, vocabulary)


@pytest.mark.parametrize(
    "text",
    [
        "The band's guitar in 1951.",
        "Glitchy notes",
        'The "Glitchy" hiss',
        "Xylox's notes",
        "a lo-fi band from the 90s",
        "the R&B band",
        "the notes in 1,000 bands",
        "again, and again",
        "(a tune)",
    ],
)
def test_what_the_sentences_confirm_may_be_written(text: str, vocabulary: Vocabulary, lexicon: Lexicon) -> None:
    assert lexicon.accepts(vocabulary.encode(text))


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("a guitra", "a misspelling"),
        ("the Zyzzx band", "a name of one sentence"),
        ("a Hiss", "a capital that makes a name of a word"),
        ("Xyloxand", "two words in one"),
        ("a lo-glitchy band", "a pair of words that the corpus lacks"),
        ("in 1949", "a year before the years, in no sentence"),
        ("from the 90notes", "a word after a number that never follows one"),
        ("again.the", "a word after a full stop that never follows one"),
    ],
)
def test_what_they_do_not_may_not(text: str, why: str, vocabulary: Vocabulary, lexicon: Lexicon) -> None:
    assert not lexicon.accepts(vocabulary.encode(text)), why


def test_sentences_whose_words_are_all_allowed_are_reachable(vocabulary: Vocabulary, lexicon: Lexicon) -> None:
    assert [lexicon.accepts(vocabulary.encode(text)) for text in TEXTS] == [True, True, False, True, False, True, False]


def test_the_same_sentences_in_any_order_give_the_same_lexicon(vocabulary: Vocabulary, lexicon: Lexicon) -> None:
    other = learn_lexicon(reversed(TEXTS), vocabulary)
    assert all((values == other.tensors()[name]).all() for name, values in lexicon.tensors().items())


def test_a_known_word_needs_one_sentence_and_an_unknown_one_two() -> None:
    assert {"guitar", "guitars"} <= allowed_words(Counter({"guitar": 1}))
    assert "guitra" not in allowed_words(Counter({"guitra": 1}))
    assert "guitra" in allowed_words(Counter({"guitra": 2}))


def test_a_number_needs_three_sentences_unless_it_is_a_year() -> None:
    assert {"808", "1977", "2026"} <= allowed_numbers(Counter({"808": 3}))
    assert not {"909", "1949", "2027"} & allowed_numbers(Counter({"909": 2, "1949": 1}))


def test_no_sentence_gives_a_lexicon_of_signs_and_years(vocabulary: Vocabulary) -> None:
    empty = learn_lexicon([], vocabulary)
    assert empty.accepts(vocabulary.encode("1951!"))
    assert not empty.accepts(vocabulary.encode("the"))
