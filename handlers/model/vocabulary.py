"""Lossless conversion of text to token ids and back.

A word keeps the space before it (" warm", ",", "'s"), as in byte-pair vocabularies, so a sentence is the plain
concatenation of its tokens. A word that is not a token is spelled with the longest tokens that fit (" war", "bly").
The tokens are learned in training; to use them, their list is enough.
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
      | [^\W\d_]+(?:['’\-][^\W\d_]+)*         # words, with apostrophes and hyphens inside: don't, lo-fi
      | \d+(?:[.,:]\d+)*                      # numbers: 1999, 3.5, 10,000
      | ['’](?:s|d|m|t|re|ve|ll)\b            # endings after a placeholder: <artist>'s
      | \S                                    # any other character by itself
    )
    """,
    re.VERBOSE,
)


def words(text: str) -> list[str]:
    """Split a sentence into words, numbers and punctuation, each with the space before it.

    Joined, they give the sentence back if its spaces are single and inside it.

    >>> words("<artist>'s lo-fi hiss, again.")
    ['<artist>', "'s", ' lo-fi', ' hiss', ',', ' again', '.']
    """
    return _WORD.findall(text)


def fill_placeholders(text: str, *, artist: str | None, title: str | None) -> str:
    """Replace placeholders by a song's names; the placeholder of an unknown name stays."""
    names = {ARTIST: artist or ARTIST, TITLE: title or TITLE}
    # One pass, since a song may be called "<artist>".
    return re.sub("|".join(PLACEHOLDERS), lambda found: names[found[0]], text)


@dataclass(frozen=True, slots=True, kw_only=True)
class Vocabulary:
    """Tokens of a model. A token's id is its position; special tokens come first."""

    tokens: tuple[str, ...]
    _ids: dict[str, int] = field(init=False, repr=False, compare=False)
    _spelled: dict[str, tuple[int, ...]] = field(init=False, repr=False, compare=False)
    """Cache of the ids of words."""

    def __post_init__(self) -> None:
        if self.tokens[: len(SPECIALS)] != SPECIALS:
            raise ValueError(f"a vocabulary must start with {SPECIALS}, got {self.tokens[: len(SPECIALS)]}")
        ids = {token: number for number, token in enumerate(self.tokens)}
        if len(ids) != len(self.tokens):
            raise ValueError("a vocabulary's tokens must be distinct")
        object.__setattr__(self, "_ids", ids)
        object.__setattr__(self, "_spelled", {})

    def __len__(self) -> int:
        return len(self.tokens)

    def encode(self, sentence: str) -> list[int]:
        """Return the ids of a sentence, without start and end marks; a word that cannot be spelled gives UNK_ID."""
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
        """Return the longest token that starts the word, then the longest that starts the rest, and so on."""
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
        """Return the sentence of some ids; start, end and padding are skipped."""
        return "".join(self.tokens[number] for number in ids if number not in (PAD_ID, BOS_ID, EOS_ID)).strip()

    def placeholder_ids(self) -> tuple[tuple[int, ...], ...]:
        """Return the ids of the tokens of each placeholder, with and without a space before it."""
        return tuple(
            tuple(self._ids[form] for form in (placeholder, " " + placeholder) if form in self._ids)
            for placeholder in PLACEHOLDERS
        )

    def save(self, path: Path) -> None:
        """Write the tokens as a JSON list."""
        path.write_text(json.dumps(self.tokens, ensure_ascii=False, indent=0), encoding="utf-8")

    @classmethod
    def load(cls, path: Path) -> Vocabulary:
        """Read a vocabulary that `save` wrote.

        Raises:
            ValueError: the file is not a list of distinct strings that starts with the special tokens.
        """
        tokens = json.loads(path.read_text(encoding="utf-8"))
        if not isinstance(tokens, list) or not all(isinstance(token, str) for token in tokens):
            raise ValueError(f"the vocabulary {path} must be a list of strings")
        return cls(tokens=tuple(tokens))
