"""Names of a list of artists within a text."""

from __future__ import annotations

import re

from bot.domain.songs.names import MAX_WORDS, IsArtist, all_known, words_of

_ALIAS = re.compile(r"^(?P<name>\S.*?)(?P<space>\s*)\((?P<alias>[^()]{1,40})\)$")
_BEGUN = re.compile(
    r"^(?:(?:In|By|Since|From|Around|Until)\s+(?:\w+\s+)?(?:19|20)\d\d,?\s+|"
    r"(?:And|But|So|Then|When|Meanwhile)\s+)+(?=[^\W\d_])"
)
"""Capitals that begin a sentence rather than a name: `In 1998 Ona Vell`."""
_BEGINNINGS = words_of(
    "And But So Then Why When How Now Also In On At Here Meanwhile Yet Or Because Even Maybe "
    "Next First Finally Later Today Tonight Compare Take Hear Play Try Remember Consider Imagine Watch Cue Enter "
    "Stream Listen To"
)


def known_end(text: str, is_artist: IsArtist) -> str:
    """Return the longest credit of known artists at the end of a text: `that new ona vell & tor brisk`."""
    words = text.split()[-MAX_WORDS:]
    ends = (" ".join(words[start:]) for start in range(len(words)))
    return next((end for end in ends if all_known(end, is_artist)), "")


def without_beginning(credit: str, is_artist: IsArtist | None) -> str:
    """Return a credit without the capitals that begin its sentence: `And in 1998 Ona Vell`, `Compare Ona Vell`."""
    if is_artist is not None:
        if is_artist(credit):
            return credit
        end = known_end(credit, is_artist)
        begun = credit[: len(credit) - len(end)].split()
        if end and all(word.islower() or word.isdigit() or word in _BEGINNINGS for word in begun):
            return end
    return _BEGUN.sub("", credit)


def without_alias(credit: str, is_artist: IsArtist | None) -> str:
    """Return the name of `Name (Other Name)`: the one that is known, else the one in Latin letters.

    >>> [without_alias(name, None) for name in ("뉴진스 (NewJeans)", "BTS (방탄소년단)", "Low (UK)")]
    ['NewJeans', 'BTS', 'Low (UK)']
    """
    parts = _ALIAS.match(credit.strip())
    if parts is None:
        return credit
    names = (parts["name"], parts["alias"])
    if not parts["space"] and _is_latin(names[0]) == _is_latin(names[1]):
        return credit  # "f(x)"
    known = next((name for name in names if is_artist is not None and is_artist(name)), "")
    if known:
        return known
    latin = [name for name in names if _is_latin(name)]
    return latin[0] if len(latin) == 1 else credit


def _is_latin(name: str) -> bool:
    return all(character < "\u0370" for character in name if character.isalpha())
