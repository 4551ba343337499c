from __future__ import annotations

import dataclasses
import random
from typing import Any

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from handlers.model.bundle import Bundle, BundleError
from handlers.model.lexicon import INSIDE, Context, Lexicon, context_after, joined
from handlers.model.vocabulary import EOS_ID, SPECIALS, Vocabulary, words
from tests.handlers.lexicons import NUMBERS, WORDS, lexicon_bundle, piece_lexicon, piece_vocabulary, strange_units

VOCABULARY = piece_vocabulary()
LEXICON = piece_lexicon(VOCABULARY)


def _accepts(text: str, lexicon: Lexicon = LEXICON) -> bool:
    return lexicon.accepts(VOCABULARY.encode(text))


@pytest.mark.parametrize(
    "text",
    [
        "band",
        "band bands bandage",
        "a lo-fi band",
        "lo- a lo-fi",
        "don't",
        "<artist>'s band",
        'a "band"',
        'a "Rossi" (Ross)',
        "90s",
        "1.5 10,000 1999.",
        "lo/lo",
        "bands' band",
        "<title>: a band!",
        "rock'n'roll",
        "band-1999",
        "band … —",
    ],
)
def test_a_sentence_of_allowed_words_is_accepted(text: str) -> None:
    assert _accepts(text)


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("bandx", "a letter that the vocabulary lacks"),
        ("bandss", "a word with more behind it"),
        ("ban", "the start of a word"),
        ("bandband", "two words without a space"),
        ("band-a", "a hyphen that joins two words"),
        ("band'a", "an apostrophe that joins two words"),
        ("band's", "a possessive that the lexicon lacks"),
        ("Diana'st", "a word after an ending"),
        ("199", "a number that the lexicon lacks"),
        ("901999", "two numbers without a space"),
        ("90.5", "a separator that joins two numbers"),
        ("90lo", "a word after a number that the corpus does not hold"),
        ("<artist>Ross", "a word after a placeholder"),
        ('"re-issue', "a word that would fall apart after an apostrophe"),
    ],
)
def test_what_only_looks_like_words_is_not(text: str, why: str) -> None:
    assert not _accepts(text), why


@pytest.mark.parametrize("behind", ["1999", "_", "band", "s"])
def test_an_ending_is_not_spelled_on(behind: str) -> None:
    assert words(f"<artist>'s{behind}")[1] == "'"
    assert not LEXICON.accepts([*VOCABULARY.encode("<artist>'s"), *VOCABULARY.encode(behind)])


def test_a_word_that_would_fall_apart_stands_after_a_space() -> None:
    assert _accepts("a re-issue")
    assert words("'re-issue")[:2] == ["'re", "-"]


def test_a_sentence_may_end_after_every_unit_and_nowhere_else() -> None:
    assert (LEXICON.entry_GV[:, EOS_ID] != INSIDE).all()
    assert LEXICON.accepts([])
    inside = VOCABULARY.encode("bandage")[:-1]
    assert not LEXICON.accepts(inside)


def test_special_tokens_start_nothing() -> None:
    special = [number for number in range(len(SPECIALS)) if number != EOS_ID]
    assert (LEXICON.entry_GV[:, special] == INSIDE).all()


units = st.sampled_from(
    [*WORDS, *NUMBERS, *'"()!/_$.,:-', "'", "’", "…", "'s", "<artist>", "<title>", "x", "bandx", "fi"]
)


@given(st.lists(st.tuples(units, st.booleans()), max_size=8))
def test_what_is_accepted_holds_only_words_of_the_lexicon(parts: list[tuple[str, bool]]) -> None:
    text = "".join(f"{' ' * space}{unit}" for unit, space in parts).strip()
    if _accepts(text):
        assert strange_units(text) == []


@given(st.lists(st.sampled_from(range(len(SPECIALS), len(VOCABULARY))), max_size=10))
def test_so_it_is_for_tokens_in_any_order(ids: list[int]) -> None:
    if LEXICON.accepts(ids):
        assert strange_units(VOCABULARY.decode(ids)) == []


@pytest.mark.slow
@given(st.integers(0, 2**32 - 1), st.integers(1, 12))
def test_every_way_through_the_automaton_holds_only_words_of_the_lexicon(seed: int, length: int) -> None:
    source, node = random.Random(seed), 0
    ids: list[int] = []
    while len(ids) < length or int(LEXICON.context_N[node]) == INSIDE:
        after = {
            token: found for token in range(4, len(VOCABULARY)) if (found := LEXICON._after(node, token)) != INSIDE
        }
        assert after, "no way on"
        token = source.choice(list(after))
        ids.append(token)
        node = after[token]
    assert strange_units(VOCABULARY.decode(ids)) == []


@pytest.mark.slow
@given(st.lists(st.tuples(st.sampled_from([*WORDS, *NUMBERS]), st.sampled_from(["", ",", ".", "!", " —"])), min_size=1))
def test_every_sentence_of_spaced_units_and_closing_signs_is_reachable(parts: list[tuple[str, str]]) -> None:
    text = " ".join(f"{word}{sign}" for word, sign in parts if word != "re-issue")
    assert _accepts(text)


def test_contexts_are_those_of_the_characters_before() -> None:
    found = [(context.name, unit) for context, unit in joined('U2\'s "lo-" 1.5, M.')]
    assert found == [
        ("OPENING", "U"),
        ("LETTER", "2"),
        ("DIGIT", "'s"),
        ("OPENING", ' "'),
        ("OPENING", "lo"),
        ("LETTER", "-"),
        ("MARK", '"'),
        ("OPENING", " 1.5"),
        ("DIGIT", ","),
        ("OPENING", " M"),
        ("LETTER", "."),
    ]
    assert context_after(Context.DIGIT, ".") is Context.SEPARATOR


def test_a_word_that_cannot_be_spelled_is_left_out() -> None:
    lexicon = Lexicon.compile(VOCABULARY, {Context.OPENING: ["band", "xyz", "two words", ""]}, [])
    assert _accepts("band", lexicon)
    assert not _accepts("a", lexicon)


def test_the_same_units_in_any_order_give_the_same_arrays() -> None:
    other = piece_lexicon(VOCABULARY, reversed(WORDS), reversed(NUMBERS))
    assert all(torch.equal(values, other.tensors()[name]) for name, values in LEXICON.tensors().items())


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"context_N": torch.zeros(3)}, "must be torch.int8"),
        ({"context_N": torch.zeros(3, dtype=torch.int8)}, "does not fit"),
        ({"token_E": LEXICON.token_E + 1000}, "must be from 0 to"),
        ({"entry_GV": LEXICON.entry_GV + 100_000}, "must be from -1 to"),
        ({"first_edge_J": LEXICON.first_edge_J.flip(0)}, "must rise from 0 to"),
    ],
)
def test_arrays_that_are_not_a_lexicon_are_refused(changes: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        dataclasses.replace(LEXICON, **changes)


def test_a_bundle_brings_its_lexicon_back(tmp_path: Any) -> None:
    bundle = lexicon_bundle()
    bundle.save(tmp_path, model_card="")
    loaded = Bundle.load(tmp_path).lexicon
    assert loaded is not None
    assert all(torch.equal(values, loaded.tensors()[name]) for name, values in LEXICON.tensors().items())


def test_a_lexicon_of_another_vocabulary_is_refused(tmp_path: Any) -> None:
    other = Vocabulary(tokens=(*SPECIALS, "a"))
    lexicon = Lexicon.compile(other, {Context.OPENING: ["a"]}, [])
    dataclasses.replace(lexicon_bundle(), lexicon=lexicon).save(tmp_path, model_card="")
    with pytest.raises(BundleError, match="the lexicon is for 5 tokens"):
        Bundle.load(tmp_path)
