"""Text to ids and back, losing nothing.

A word keeps the space before it (" warm", ",", "'s"), as byte-pair vocabularies do, so a sentence is the plain
concatenation of its tokens and no rule about where spaces go is needed when text is put together again. A word that
is no token itself is written with the longest tokens that spell it (" war", "bly"): which pieces there are is learned
in training, how to use them needs nothing but the list of tokens.
"""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

PAD: Final = "<pad>"
BOS: Final = "<bos>"
EOS: Final = "<eos>"
UNK: Final = "<unk>"
SPECIALS: Final = (PAD, BOS, EOS, UNK)
PAD_ID: Final = 0
BOS_ID: Final = 1
EOS_ID: Final = 2
UNK_ID: Final = 3

ARTIST: Final = "<artist>"
TITLE: Final = "<title>"
PLACEHOLDERS: Final = (ARTIST, TITLE)

_MAX_REMEMBERED: Final = 200_000

_WORD: Final = re.compile(
    r"""
    \ ?(?:
        <(?:artist|title)>                    # placeholders stay whole
      | [^\W\d_]+(?:['’\-][^\W\d_]+)*         # words, with what is inside them: don't, lo-fi
      | \d+(?:[.,:]\d+)*                      # numbers: 1999, 3.5, 10,000
      | ['’](?:s|d|m|t|re|ve|ll)\b            # what follows a placeholder: <artist>'s
      | \S                                    # any other sign by itself
    )
    """,
    re.VERBOSE,
)


def words(text: str) -> list[str]:
    """Split a sentence into words, numbers and signs, each with the space before it.

    Joined they are the sentence again, given single spaces and none at the ends.

    >>> words("<artist>'s lo-fi hiss, again.")
    ['<artist>', "'s", ' lo-fi', ' hiss', ',', ' again', '.']
    """
    return _WORD.findall(text)


def fill_placeholders(text: str, *, artist: str | None, title: str | None) -> str:
    """Put a song's names where the model wrote placeholders; a name that is not known leaves its placeholder."""
    names = {ARTIST: artist or ARTIST, TITLE: title or TITLE}
    # In one pass: a song may be called "<artist>".
    return re.sub("|".join(PLACEHOLDERS), lambda found: names[found[0]], text)


@dataclass(frozen=True, slots=True, kw_only=True)
class Vocabulary:
    """The tokens a model reads and writes; ids are positions, special tokens first."""

    tokens: tuple[str, ...]
    _ids: dict[str, int] = field(init=False, repr=False, compare=False)
    _spelled: dict[str, tuple[int, ...]] = field(init=False, repr=False, compare=False)
    """Words that were encoded before, as ids."""

    def __post_init__(self) -> None:
        if self.tokens[: len(SPECIALS)] != SPECIALS:
            raise ValueError(f"a vocabulary starts with {SPECIALS}, got {self.tokens[: len(SPECIALS)]}")
        ids = {token: number for number, token in enumerate(self.tokens)}
        if len(ids) != len(self.tokens):
            raise ValueError("a vocabulary's tokens must be distinct")
        object.__setattr__(self, "_ids", ids)
        object.__setattr__(self, "_spelled", {})

    def __len__(self) -> int:
        return len(self.tokens)

    def encode(self, sentence: str) -> list[int]:
        """Token ids of a sentence, without the marks for its start and end; a word that cannot be spelled is UNK_ID."""
        ids: list[int] = []
        for word in words(sentence):
            spelled = self._spelled.get(word)
            if spelled is None:
                if len(self._spelled) >= _MAX_REMEMBERED:
                    self._spelled.clear()
                spelled = self._spelled[word] = self._spell(word)
            ids += spelled
        return ids

    def _spell(self, word: str) -> tuple[int, ...]:
        """The longest token that starts the word, then the longest that starts the rest, and so on."""
        ids: list[int] = []
        start = 0
        while start < len(word):
            ends = range(len(word), start, -1)
            end = next((end for end in ends if word[start:end] in self._ids), None)
            if end is None:
                return (UNK_ID,)
            ids.append(self._ids[word[start:end]])
            start = end
        return tuple(ids)

    def decode(self, ids: Sequence[int]) -> str:
        """The sentence of some ids; start, end and padding are skipped."""
        return "".join(self.tokens[number] for number in ids if number not in (PAD_ID, BOS_ID, EOS_ID)).strip()

    def placeholder_ids(self) -> tuple[tuple[int, ...], ...]:
        """For each placeholder the ids of its tokens (with and without a space before it)."""
        return tuple(
            tuple(self._ids[form] for form in (placeholder, " " + placeholder) if form in self._ids)
            for placeholder in PLACEHOLDERS
        )

    def save(self, path: Path) -> None:
        """Write the tokens as a JSON list."""
        path.write_text(json.dumps(self.tokens, ensure_ascii=False, indent=0), encoding="utf-8")

    @classmethod
    def load(cls, path: Path) -> Vocabulary:
        """Read what `save` wrote.

        Raises:
            ValueError: the file holds no list of distinct strings that starts with the special tokens.
        """
        tokens = json.loads(path.read_text(encoding="utf-8"))
        if not isinstance(tokens, list) or not all(isinstance(token, str) for token in tokens):
            raise ValueError(f"a vocabulary is a list of strings; {path} holds something else")
        return cls(tokens=tuple(tokens))
