"""Characters that a reader does not see: controls, changes of direction, zero widths, blanks that are letters."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterator

_BLANKS = frozenset(
    "\N{COMBINING GRAPHEME JOINER}\N{HANGUL CHOSEONG FILLER}\N{HANGUL JUNGSEONG FILLER}\N{HANGUL FILLER}"
    "\N{HALFWIDTH HANGUL FILLER}\N{BRAILLE PATTERN BLANK}"
)
"""Characters that are letters or symbols to Unicode but show nothing."""
_MARKS = frozenset("\N{LEFT-TO-RIGHT MARK}\N{RIGHT-TO-LEFT MARK}\N{ARABIC LETTER MARK}")
"""Marks of direction that belong to normal text in Hebrew and Arabic."""
_VISIBLE = frozenset(map(chr, (*range(0x600, 0x606), 0x6DD, 0x70F, 0x890, 0x891, 0x8E2, 0x110BD, 0x110CD)))
"""Signs of Arabic, Syriac and Kaithi that enclose numbers: format characters to Unicode, but drawn."""
_JOINERS = frozenset("\N{ZERO WIDTH JOINER}\N{ZERO WIDTH NON-JOINER}")
_TAGGED_FLAG = re.compile("\N{WAVING BLACK FLAG}[\U000e0020-\U000e007e]+\U000e007f")
"""Flags of parts of a country, such as Scotland's, are spelled with invisible tags."""


def hidden_characters(text: str) -> list[tuple[int, str]]:
    r"""Hidden characters of a text, each with its place; a line break is not one.

    >>> hidden_characters("a\u200bb\u202ec\n\x07")
    [(1, '\u200b'), (3, '\u202e'), (6, '\x07')]
    """
    flags = [range(*match.span()) for match in _TAGGED_FLAG.finditer(text)]
    return [(place, text[place]) for place in _places(text) if not any(place in flag for flag in flags)]


def without_hidden(text: str) -> str:
    r"""A text without its hidden characters; controls become spaces, since they may stand between words.

    >>> without_hidden("slow\tla\u200bmp")
    'slow lamp'
    """
    hidden = dict(hidden_characters(text))
    parts = (
        character if place not in hidden else " " if unicodedata.category(character) in {"Cc", "Zl", "Zp"} else ""
        for place, character in enumerate(text)
    )
    return "".join(parts)


def name_of(character: str) -> str:
    r"""A hidden character in words.

    >>> name_of("\u202e"), name_of("\x07")
    ('U+202E RIGHT-TO-LEFT OVERRIDE', 'U+0007')
    """
    return f"U+{ord(character):04X} {unicodedata.name(character, '')}".strip()


def _places(text: str) -> Iterator[int]:
    for place, character in enumerate(text):
        if character in _JOINERS:
            # They join emoji, and letters of Persian and Indian scripts, but nothing in the Latin one.
            neighbours = text[max(0, place - 1) : place], text[place + 1 : place + 2]
            if any(_joins_nothing(neighbour) for neighbour in neighbours):
                yield place
        elif character in _BLANKS or (character not in _MARKS | _VISIBLE and _is_hidden(character)):
            yield place


def _is_hidden(character: str) -> bool:
    return character != "\n" and unicodedata.category(character) in {"Cc", "Cf", "Cs", "Zl", "Zp"}


def _joins_nothing(character: str) -> bool:
    return not character or character.isspace() or (character.isalnum() and ord(character) < 0x250)
