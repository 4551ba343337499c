"""WordHashState beside themselves ("the the"), and words that somebody bans: which tokens a row may not write next.

A word may be spelled in several ways, so tokens alone do not tell. Each row carries the hash of the word that it is
writing and of the one before; what would make the two equal is looked up in a table of the tokens' own hashes. A token
is refused as soon as the words are equal, although more might follow ("in in|credible"): once they are, there would be
no way out but to spell on, and what is spelled only so that the word goes on is no word. A banned word is one more that
the row's word may not become.

Shapes: B rows, V tokens, N keys, K tokens that share a key, F tokens that are forbidden, W words.
"""

from __future__ import annotations

import re
from collections import defaultdict
from typing import Final

import numpy as np

from handlers.decoding.arrays import IntArray
from handlers.model.vocabulary import PAD_ID, SPECIALS, Vocabulary

_WORD: Final = r"[\w'’\-]"
_FIRST_WORD: Final = re.compile(rf"( *)({_WORD}+)")
_LAST_WORD: Final = re.compile(rf"{_WORD}*$")
_BASE: Final = 0x9E3779B97F4A7C15
AFTER_SPACE: Final = 0x3F58476D1CE4E5B9
"""Keys of words that start a token are multiplied by this; those of pieces that go on are not."""
_MODULUS: Final = 2**64
WordHashState = tuple[int, int, int, int]
"""Where one row is in its sentence, as `WordRepeats` has it."""


class WordRepeats:
    """The words and pieces of words in each token of a vocabulary, and what follows from them.

    Case is ignored. A token may hold a space at its start only, as `handlers.model.vocabulary` has it.

    Where a row is in its sentence are four numbers, modulo 2^64: the hash of the word that it is writing, sum of
    c_i base^i over its n characters, 0 before the first; base^n; base^-n; and the hash of the word before it with
    nothing but spaces between them, 0 if there is none.
    """

    start: Final[WordHashState] = (0, 1, 1, 0)
    """The four numbers of a row that has written nothing."""

    def __init__(self, vocabulary: Vocabulary) -> None:
        texts = ["" if token in SPECIALS else _folded(token) for token in vocabulary.tokens]
        lasts = [_LAST_WORD.findall(text)[0] for text in texts]
        self.hash_V = _integers([_hash(last) for last in lasts])
        self.power_V = _integers([pow(_BASE, len(last), _MODULUS) for last in lasts])
        self.inverse_V = _integers([pow(_BASE, -len(last), _MODULUS) for last in lasts])
        self.goes_on_V = np.array([len(last) == len(text) for text, last in zip(texts, lasts, strict=True)])
        cuts = [text[: len(text) - len(last)].strip(" ") != "" for text, last in zip(texts, lasts, strict=True)]
        self.cuts_V = np.array(cuts)
        # Key 0 is what is asked for where nothing is written yet; the padding token is never allowed anyway.
        groups: dict[int, list[int]] = defaultdict(list, {0: [PAD_ID]})
        for number, text in enumerate(texts):
            if found := _FIRST_WORD.match(text):
                groups[_hash(found[2]) * (AFTER_SPACE if found[1] else 1) % _MODULUS].append(number)
        keys = _integers(list(groups))
        order = np.argsort(keys)
        width = max(map(len, groups.values()))
        padded = [group + [PAD_ID] * (width - len(group)) for group in groups.values()]
        self._keys_N, self._tokens_NK = keys[order], np.array(padded, dtype=np.int64)[order]
        self.key_V = np.zeros(len(texts), dtype=np.int64)
        """What `forbidden` and `completing` look for in each token; 0 where no word is at its start."""
        self.key_V[self._tokens_NK] = self._keys_N[:, None]
        self.key_V[PAD_ID] = 0
        self._containing = _containing(texts)

    def forbidden(self, word_state_4B: IntArray) -> IntArray:
        """Tokens that would make a row's word the one before it, [B, F]; where there are fewer, the padding token."""
        current_B, _, inverse_B, previous_B = word_state_4B
        wanted_2B = np.stack((current_B * AFTER_SPACE, (previous_B - current_B) * inverse_B))
        place_2B = self._keys_N.searchsorted(wanted_2B)
        place_2B[place_2B == len(self._keys_N)] = 0
        tokens_2BK = self._tokens_NK[place_2B]
        tokens_2BK[self._keys_N[place_2B] != wanted_2B] = PAD_ID
        return np.concatenate(tokens_2BK, axis=1)

    def containing(self, word: str) -> tuple[int, ...]:
        """Tokens in which a word stands whatever is written before them: behind a space or a sign of the token."""
        return tuple(self._containing.get(_folded(word), ()))

    def completing(self, hashes_BW: IntArray, word_state_4B: IntArray) -> IntArray:
        """Tokens with which the word that a row is writing would become one of some words, [B, F].

        Args:
            hashes_BW: what `word_hash` gives of each row's words, 0 where there are fewer.
            word_state_4B: where the rows are.
        """
        current_B, _, inverse_B, _ = word_state_4B
        wanted_BW = (hashes_BW - current_B[:, None]) * inverse_B[:, None]
        place_BW = self._keys_N.searchsorted(wanted_BW)
        place_BW[place_BW == len(self._keys_N)] = 0
        found_BW = (self._keys_N[place_BW] == wanted_BW) & (hashes_BW != 0)
        columns = found_BW.any(axis=0)
        tokens_BFK = np.where(found_BW[:, columns, None], self._tokens_NK[place_BW[:, columns]], PAD_ID)
        return tokens_BFK.reshape(len(current_B), -1)

    def after(self, word_state_4B: IntArray, chosen_B: IntArray) -> IntArray:
        """Where rows are that have written some tokens, [4, B]."""
        current_B, power_B, inverse_B, previous_B = word_state_4B
        goes_on_B = self.goes_on_V[chosen_B]
        power_B, inverse_B = np.where(goes_on_B, (power_B, inverse_B), 1)
        before_B = np.where(current_B != 0, current_B, previous_B)
        before_B[self.cuts_V[chosen_B]] = 0
        return np.stack(
            (
                np.where(goes_on_B, current_B, 0) + power_B * self.hash_V[chosen_B],
                power_B * self.power_V[chosen_B],
                inverse_B * self.inverse_V[chosen_B],
                np.where(goes_on_B, previous_B, before_B),
            )
        )

    def forbidden_one(self, words: WordHashState) -> list[int]:
        """`forbidden` of one row."""
        current, _, inverse, previous = words
        tokens: list[int] = []
        for wanted in (current * AFTER_SPACE, (previous - current) * inverse):
            key = _signed(wanted % _MODULUS)
            place = int(self._keys_N.searchsorted(key))
            if place < len(self._keys_N) and self._keys_N.item(place) == key:
                tokens += self._tokens_NK[place].tolist()
        return tokens

    def after_one(self, words: WordHashState, token: int) -> WordHashState:
        """`after` of one row."""
        current, power, inverse, previous = words
        if not self.goes_on_V.item(token):
            previous = 0 if self.cuts_V.item(token) else current or previous
            current, power, inverse = 0, 1, 1
        return (
            (current + power * self.hash_V.item(token)) % _MODULUS,
            power * self.power_V.item(token) % _MODULUS,
            inverse * self.inverse_V.item(token) % _MODULUS,
            previous,
        )


def word_hash(word: str) -> int:
    """What `WordRepeats.completing` knows a word by; case and the kind of apostrophe make no other word."""
    return _signed(_hash(_folded(word)))


def _containing(texts: list[str]) -> dict[str, list[int]]:
    """By word, the tokens that hold it anywhere but at their very start, where it may go on with another."""
    tokens: dict[str, list[int]] = defaultdict(list)
    for number, text in enumerate(texts):
        for found in _FIRST_WORD.finditer(text):
            if found.start(2) and number not in tokens[found[2]]:
                tokens[found[2]].append(number)
    return tokens


def _folded(token: str) -> str:
    return token.casefold().replace("’", "'")


def _hash(word: str) -> int:
    # The squares spread neighbouring letters; the hash of a word that is spelled in two parts is h + base^n h'.
    return sum((ord(letter) + 1) ** 2 * pow(_BASE, place, _MODULUS) for place, letter in enumerate(word)) % _MODULUS


def _signed(value: int) -> int:
    return value - _MODULUS if value >= _MODULUS // 2 else value


def _integers(values: list[int]) -> IntArray:
    return np.array([_signed(value) for value in values], dtype=np.int64)
