"""Small vocabularies of pieces of words, and lexicons over them."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable
from typing import Final

from handlers.model.bundle import Bundle
from handlers.model.lexicon import Context, Lexicon, context_after
from handlers.model.vocabulary import PLACEHOLDERS, SPECIALS, Vocabulary, words
from tests.handlers.tiny_bundles import tiny_bundle

WORDS: Final = (
    *("a", "band", "bandage", "bands", "lo", "lo-fi", "don't", "Ross", "Rossi", "Diana", "rock'n'roll", "s", "re"),
    *("re-issue", "t", "O'Neal", "abba", "abab", "é", "ab²"),
)
NUMBERS: Final = ("90", "1999", "1.5", "10,000")
_PIECES: Final = (
    *("a", "b", "n", "d", "g", "e", "s", "l", "o", "f", "i", "t", "r", "é", "²", "-", "'", "’", "R", "D", "O"),
    *("ba", "nd", "ab", "lo", "'t", "'s", "-fi", "ge", "ss", "Ro", "ana", "1", "9", "0", "5", "99", ".", ",", ":"),
    *(" a", " b", " ban", " lo", " l", " d", " R", " Ross", " D", " Di", " s", " r", " ab", " re", " é", " 1", " 9"),
    *(
        '"',
        ' "',
        "(",
        " (",
        ")",
        "!",
        "/",
        " —",
        "…",
        "_",
        " _",
        "$",
        " ",
        " -",
        "-f",
        "n'r",
        ",00",
        ".5",
        "O'",
        "he",
        "c",
        "k",
        "u",
        "N",
    ),
)


def piece_vocabulary() -> Vocabulary:
    placeholders = [space + each for each in PLACEHOLDERS for space in ("", " ")]
    return Vocabulary(tokens=(*SPECIALS, *placeholders, *_PIECES))


def piece_lexicon(vocabulary: Vocabulary, allowed: Iterable[str] = WORDS, numbers: Iterable[str] = NUMBERS) -> Lexicon:
    allowed, numbers = list(allowed), list(numbers)
    units = {
        Context.OPENING: [*allowed, *numbers],
        Context.LETTER: [*allowed, *numbers],
        Context.MARK: [*allowed, *numbers],
        Context.DIGIT: ["s", "t", *numbers],
        Context.SEPARATOR: ["a", *numbers],
        Context.CLOSING: ["a", "band", *numbers],
    }
    return Lexicon.compile(vocabulary, units, [*allowed, *numbers])


def lexicon_bundle(seed: int = 0, *, scale: float = 1.0, allowed: Iterable[str] = WORDS) -> Bundle:
    """A bundle of random weights with a lexicon."""
    vocabulary = piece_vocabulary()
    bundle = tiny_bundle(seed=seed, vocabulary=vocabulary, scale=scale, end_bias=0.5)
    return dataclasses.replace(bundle, lexicon=piece_lexicon(vocabulary, allowed))


def strange_units(text: str, allowed: Iterable[str] = WORDS, numbers: Iterable[str] = NUMBERS) -> list[str]:
    """Words and numbers of a text that are not of the lexicon, found without the automaton."""
    known = {*allowed, *numbers}
    return [
        unit
        for unit in words(text)
        if (bare := unit.removeprefix(" ")) not in known and bare[0].isalnum() and bare not in PLACEHOLDERS
    ]


def ends_inside(text: str) -> bool:
    """Whether the last unit of a text is not of the lexicon."""
    return bool(strange_units(words(text)[-1])) if words(text) else False


__all__ = ["Context", "context_after", "ends_inside", "lexicon_bundle", "piece_lexicon", "piece_vocabulary"]
