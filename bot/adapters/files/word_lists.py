"""Bad words by the rules of safetype: whole words, also disguised ("sh1t", "f u c k"), not parts of harmless words."""

from __future__ import annotations

from collections.abc import Iterable
from functools import lru_cache
from pathlib import Path

from safetype import create_moderation_engine
from safetype.types import RuleDict
from typing_extensions import override

from bot.domain.candidates import Flag
from bot.domain.errors import InputError
from bot.ports import WordList

_BLOCKED = frozenset({"hate", "custom"})
"""Categories that are never posted: slurs and calls to violence against groups, and the operator's own list."""
_MAX_WORDS = 10_000
_MAX_WORD = 100
# Slurs that safetype's own rules lack. A word with "*" is matched by its beginning, any other as a whole.
_SLURS = (
    "(nigga|niggas|niggaz|niggah|niggahs)",
    "(fag|fags|faggy)",
    "(spic|spics)",
    "(gook|gooks)",
    "(chink|chinks)",
    "(coon|coons)",
    "(paki|pakis)",
    "(tranny|trannies|shemale|shemales)",
    "(retard|retards|retarded)",
    "(beaner|beaners)",
    "(jigaboo|jigaboos|sandnigger*|kaffir|kaffirs)",
)


class SafetypeWords(WordList):
    """Word list that flags English profanity, and blocks slurs and the operator's own words.

    Args:
        blocked: further words that are never posted.
    """

    def __init__(self, blocked: Iterable[str] = ()) -> None:
        self._engine = create_moderation_engine(
            # Nothing is masked: only the rules that match matter, inside quotes or not.
            mode="warn",
            languages=["en"],
            rules=[_rule(number, pattern) for number, pattern in enumerate(_SLURS)],
            custom_words=list(blocked),
        )
        self._engine.moderate("")  # builds its index before threads share it
        # A page of the studio asks for each of its texts, time and again.
        self._moderate = lru_cache(maxsize=4096)(self._engine.moderate)

    @override
    def flags(self, text: str) -> frozenset[Flag]:
        categories = {match.category for match in self._moderate(text).matches}
        return frozenset(Flag.BLOCKED if category in _BLOCKED else Flag.PROFANITY for category in categories)

    @override
    def blocked(self, text: str) -> tuple[str, ...]:
        matches = self._moderate(text).matches
        return tuple(dict.fromkeys(match.text for match in matches if match.category in _BLOCKED))


def read_words(path: Path) -> list[str]:
    """Read the words of a file, one a line, "#" before a comment; "*" at the end of a word matches any ending.

    Raises:
        InputError: the file is missing or is not a list of words.
    """
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as cause:
        raise InputError(f"the list of words {path} cannot be read: {cause}") from cause
    words = [word for line in lines if (word := line.partition("#")[0].strip())]
    if len(words) > _MAX_WORDS or any(len(word) > _MAX_WORD for word in words):
        raise InputError(
            f"the list of words {path} must have at most {_MAX_WORDS} lines of {_MAX_WORD} characters, one word a line"
        )
    useless = next((word for word in words if not any(map(str.isalnum, word))), None)
    if useless is not None:
        raise InputError(f"the list of words {path} has {useless!r}, which has no letter or digit")
    return words


def _rule(number: int, pattern: str) -> RuleDict:
    return {
        "id": f"bot.slur.{number}",
        "pattern": pattern,
        "category": "hate",
        "severity": "critical",
        "confidence": 1.0,
    }
