"""Keys for comparison: two spellings of an artist, a title or a text have one key."""

from __future__ import annotations

import html
import unicodedata


def artist_key(name: str) -> str:
    """Return a key that ignores case, accents, spaces and a leading "the", but not punctuation.

    >>> artist_key("The  Öna Vell") == artist_key("ona vell")
    True
    """
    folded = unicodedata.normalize("NFKD", name.casefold())
    plain = " ".join("".join(filter(_is_base, folded)).replace("’", "'").split())
    return plain.removeprefix("the ") or plain


def loose_key(name: str) -> str:
    """Return a key of letters and digits alone, for handles and careless spelling.

    >>> loose_key("@OnaVell") == loose_key("Ona-Vell!")
    True
    """
    plain = artist_key(name.removeprefix("@")).replace("&", "and")
    return "".join(filter(str.isalnum, plain)) or plain


def text_key(text: str) -> str:
    """Return a key that is equal for texts that differ in case, spaces, punctuation or entities alone.

    >>> text_key("A slow\u2014lamp &amp; more!") == text_key("a Slow lamp & more")
    True
    """
    plain = unicodedata.normalize("NFKC", html.unescape(text)).casefold()
    return "".join(filter(str.isalnum, plain)) or " ".join(plain.split())


def search_key(text: str) -> str:
    """Return a text without case, accents and markup entities, in which parts of words are found.

    >>> search_key("MØ &amp; Sigur  Rós: Straße") == "mo & sigur ros: strasse"
    True
    """
    folded = unicodedata.normalize("NFKD", html.unescape(text).casefold()).translate(_PLAIN_LETTERS)
    return " ".join("".join(filter(_is_base, folded)).split())


_PLAIN_LETTERS = str.maketrans(
    {"ø": "o", "ł": "l", "đ": "d", "ð": "d", "þ": "th", "æ": "ae", "œ": "oe", "ı": "i", "’": "'"}
)
"""Letters that Unicode does not take apart into a letter and an accent."""


def _is_base(character: str) -> bool:
    return not unicodedata.combining(character)
