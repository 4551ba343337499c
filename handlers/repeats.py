"""Words beside themselves ("the the"): which tokens a row may write next so that none stands there.

A word may be spelled in several ways, so tokens alone do not tell. Each row carries the hash of the word that it is
writing and of the one before; what would make the two equal is looked up in a table of the tokens' own hashes. A token
is refused as soon as the words are equal, although more might follow ("in in|credible"): once they are, there would be
no way out but to spell on, and what is spelled only so that the word goes on is no word.

Shapes: B rows, V tokens, N keys, K tokens that share a key.
"""

from __future__ import annotations

import re
from collections import defaultdict
from dataclasses import dataclass
from typing import Final

import torch
from torch import Tensor

from handlers.vocabulary import PAD_ID, SPECIALS, Vocabulary

_WORD: Final = r"[\w'’\-]"
_FIRST_WORD: Final = re.compile(rf"( *)({_WORD}+)")
_LAST_WORD: Final = re.compile(rf"{_WORD}*$")
_BASE: Final = 0x9E3779B97F4A7C15
_AFTER_SPACE: Final = 0xBF58476D1CE4E5B9
"""Keys of words that start a token are multiplied by this; those of pieces that go on are not."""
_MODULUS: Final = 2**64


@dataclass(slots=True, kw_only=True)
class RunningWords:
    """Where each row is in its sentence, int64 [B] each; sums and products are modulo 2^64."""

    current: Tensor
    """Hash of the word being written, sum of c_i base^i over its characters; 0 before its first one."""
    power: Tensor
    """base^n, n its length so far."""
    inverse: Tensor
    """base^-n."""
    previous: Tensor
    """Hash of the word before it with nothing but spaces between them; 0 if there is none."""

    def keep(self, rows: Tensor) -> None:
        """Go on with some of the rows, given by index."""
        for name in self.__slots__:
            setattr(self, name, getattr(self, name)[rows])


class Repeats:
    """The words and pieces of words in each token of a vocabulary, and what follows from them.

    Case is ignored. A token may hold a space at its start only, as `handlers.vocabulary` has it.
    """

    def __init__(self, vocabulary: Vocabulary, device: torch.device) -> None:
        texts = ["" if token in SPECIALS else _folded(token) for token in vocabulary.tokens]
        lasts = [_LAST_WORD.findall(text)[0] for text in texts]
        self._hash_V = _integers([_hash(last) for last in lasts], device)
        self._power_V = _integers([pow(_BASE, len(last), _MODULUS) for last in lasts], device)
        self._inverse_V = _integers([pow(_BASE, -len(last), _MODULUS) for last in lasts], device)
        breaks = [len(last) < len(text) for text, last in zip(texts, lasts, strict=True)]
        self._breaks_V = torch.tensor(breaks, device=device)
        only_spaces = [not text[: len(text) - len(last)].strip(" ") for text, last in zip(texts, lasts, strict=True)]
        self._only_spaces_V = torch.tensor(only_spaces, device=device)
        # Key 0 is what is asked for where nothing is written yet; the padding token is never allowed anyway.
        groups: dict[int, list[int]] = defaultdict(list, {0: [PAD_ID]})
        for number, text in enumerate(texts):
            if found := _FIRST_WORD.match(text):
                groups[_hash(found[2]) * (_AFTER_SPACE if found[1] else 1) % _MODULUS].append(number)
        keys, order = _integers(list(groups), device).sort()
        width = max(map(len, groups.values()))
        padded = [group + [PAD_ID] * (width - len(group)) for group in groups.values()]
        self._keys_N, self._tokens_NK = keys, torch.tensor(padded, device=device)[order]

    def start(self, rows: int) -> RunningWords:
        """Nothing is written."""
        zeros, ones = (torch.full((rows,), value, device=self._keys_N.device) for value in (0, 1))
        return RunningWords(current=zeros, power=ones, inverse=ones, previous=zeros)

    def forbid(self, logits_BV: Tensor, words: RunningWords) -> None:
        """Put -inf, in place, where a token would make a row's word the one before it."""
        again_B = words.current * _signed(_AFTER_SPACE)
        rest_B = (words.previous - words.current) * words.inverse
        wanted_B2 = torch.stack((again_B, rest_B), dim=1)
        place_B2 = torch.searchsorted(self._keys_N, wanted_B2).clamp_max_(len(self._keys_N) - 1)
        missing_B2 = self._keys_N[place_B2] != wanted_B2
        tokens_B2K = self._tokens_NK[place_B2].masked_fill_(missing_B2.unsqueeze(2), PAD_ID)
        logits_BV.scatter_(1, tokens_B2K.flatten(1), -torch.inf)

    def write(self, words: RunningWords, chosen_B: Tensor) -> None:
        """Take note of the tokens that the rows have written."""
        hash_B, breaks_B = self._hash_V[chosen_B], self._breaks_V[chosen_B]
        before_B = torch.where(words.current != 0, words.current, words.previous) * self._only_spaces_V[chosen_B]
        words.previous = torch.where(breaks_B, before_B, words.previous)
        words.current = torch.where(breaks_B, hash_B, words.current + words.power * hash_B)
        words.power = self._power_V[chosen_B] * torch.where(breaks_B, 1, words.power)
        words.inverse = self._inverse_V[chosen_B] * torch.where(breaks_B, 1, words.inverse)


def _folded(token: str) -> str:
    return token.casefold().replace("’", "'")


def _hash(word: str) -> int:
    # The squares spread neighbouring letters; the hash of a word that is spelled in two parts is h + base^n h'.
    return sum((ord(letter) + 1) ** 2 * pow(_BASE, place, _MODULUS) for place, letter in enumerate(word)) % _MODULUS


def _signed(value: int) -> int:
    return value - _MODULUS if value >= _MODULUS // 2 else value


def _integers(values: list[int], device: torch.device) -> Tensor:
    return torch.tensor([_signed(value) for value in values], device=device)
