"""Tokens that would repeat the word before ("the the") or complete a bad word.

Tokens can spell a word in several ways, so words are compared by rolling hashes. Each sequence carries the hash of its
current word and of the word before; the tokens that would make the two equal are looked up in a table of the tokens'
hashes. A token is forbidden as soon as the words are equal, although more might follow ("in in|credible"): otherwise
the model could only spell on, and words that are spelled on for that reason are not words. A bad word is another word
that the current one may not become.

Shapes: B sequences, V tokens, Q keys, K tokens that share a key, F forbidden tokens, padded, W bad words.
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
"""Factor of the keys of tokens that start a word; the keys of tokens that continue one are not multiplied."""
_MODULUS: Final = 2**64
WordHashState = tuple[int, int, int, int]
"""Hash state of a sequence's words, see `WordRepeats`."""


class WordRepeats:
    """Words and pieces of words in the tokens of a vocabulary.

    Case is ignored. A token contains a space at its start only, as in `handlers.model.vocabulary`.

    The hash state of a sequence is four numbers modulo 2^64: the hash of its current word, the sum of c_i base^i over
    its n characters, 0 before the first; base^n; base^-n; and the hash of the word before, 0 if there is no such word
    or anything but spaces between the two.
    """

    start: Final[WordHashState] = (0, 1, 1, 0)
    """Hash state of a sequence without tokens."""

    def __init__(self, vocabulary: Vocabulary) -> None:
        texts = ["" if token in SPECIALS else _folded(token) for token in vocabulary.tokens]
        lasts = [_LAST_WORD.findall(text)[0] for text in texts]
        self.hash_V = _integers([_hash(last) for last in lasts])
        self.power_V = _integers([pow(_BASE, len(last), _MODULUS) for last in lasts])
        self.inverse_V = _integers([pow(_BASE, -len(last), _MODULUS) for last in lasts])
        self.continues_V = np.array([len(last) == len(text) for text, last in zip(texts, lasts, strict=True)])
        cuts = [text[: len(text) - len(last)].strip(" ") != "" for text, last in zip(texts, lasts, strict=True)]
        self.cuts_V = np.array(cuts)
        # Key 0 is looked up where no word has begun; it leads to the padding token, which is always forbidden.
        groups: dict[int, list[int]] = defaultdict(list, {0: [PAD_ID]})
        for number, text in enumerate(texts):
            if found := _FIRST_WORD.match(text):
                groups[_hash(found[2]) * (AFTER_SPACE if found[1] else 1) % _MODULUS].append(number)
        keys = _integers(list(groups))
        order = np.argsort(keys)
        width = max(map(len, groups.values()))
        padded = [group + [PAD_ID] * (width - len(group)) for group in groups.values()]
        self.keys_Q, self.tokens_QK = keys[order], np.array(padded, dtype=np.int64)[order]
        self.key_V = np.zeros(len(texts), dtype=np.int64)
        """Key of each token for `forbidden` and `completing`; 0 where a token does not start with a word."""
        self.key_V[self.tokens_QK] = self.keys_Q[:, None]
        self.key_V[PAD_ID] = 0
        self._containing = _containing(texts)

    def forbidden(self, word_state_4B: IntArray) -> IntArray:
        """Return the tokens that would make the current word equal to the one before, [B, F], padded."""
        current_B, _, inverse_B, previous_B = word_state_4B
        wanted_2B = np.stack((current_B * AFTER_SPACE, (previous_B - current_B) * inverse_B))
        place_2B = self.keys_Q.searchsorted(wanted_2B)
        place_2B[place_2B == len(self.keys_Q)] = 0
        tokens_2BK = self.tokens_QK[place_2B]
        tokens_2BK[self.keys_Q[place_2B] != wanted_2B] = PAD_ID
        return np.concatenate(tokens_2BK, axis=1)

    def containing(self, word: str) -> tuple[int, ...]:
        """Return the tokens that contain a word whatever is written before them: after a space or punctuation."""
        return tuple(self._containing.get(_folded(word), ()))

    def completing(self, hashes_BW: IntArray, word_state_4B: IntArray) -> IntArray:
        """Return the tokens that would make the current word equal to one of some words, [B, F], padded.

        Args:
            hashes_BW: `word_hash` of the words of each sequence, padded with 0.
            word_state_4B: hash state of each sequence.
        """
        current_B, _, inverse_B, _ = word_state_4B
        wanted_BW = (hashes_BW - current_B[:, None]) * inverse_B[:, None]
        place_BW = self.keys_Q.searchsorted(wanted_BW)
        place_BW[place_BW == len(self.keys_Q)] = 0
        found_BW = (self.keys_Q[place_BW] == wanted_BW) & (hashes_BW != 0)
        columns = found_BW.any(axis=0)
        tokens_BFK = np.where(found_BW[:, columns, None], self.tokens_QK[place_BW[:, columns]], PAD_ID)
        return tokens_BFK.reshape(len(current_B), -1)

    def after(self, word_state_4B: IntArray, chosen_B: IntArray) -> IntArray:
        """Return the hash states after some tokens, [4, B]."""
        current_B, power_B, inverse_B, previous_B = word_state_4B
        continues_B = self.continues_V[chosen_B]
        power_B, inverse_B = np.where(continues_B, (power_B, inverse_B), 1)
        before_B = np.where(current_B != 0, current_B, previous_B)
        before_B[self.cuts_V[chosen_B]] = 0
        return np.stack(
            (
                np.where(continues_B, current_B, 0) + power_B * self.hash_V[chosen_B],
                power_B * self.power_V[chosen_B],
                inverse_B * self.inverse_V[chosen_B],
                np.where(continues_B, previous_B, before_B),
            )
        )

    def forbidden_one(self, state: WordHashState) -> list[int]:
        """Return `forbidden` of a single sequence."""
        current, _, inverse, previous = state
        tokens: list[int] = []
        for wanted in (current * AFTER_SPACE, (previous - current) * inverse):
            key = _signed(wanted % _MODULUS)
            place = int(self.keys_Q.searchsorted(key))
            if place < len(self.keys_Q) and self.keys_Q.item(place) == key:
                tokens += self.tokens_QK[place].tolist()
        return tokens

    def after_one(self, state: WordHashState, token: int) -> WordHashState:
        """Return `after` of a single sequence."""
        current, power, inverse, previous = state
        if not self.continues_V.item(token):
            previous = 0 if self.cuts_V.item(token) else current or previous
            current, power, inverse = 0, 1, 1
        return (
            (current + power * self.hash_V.item(token)) % _MODULUS,
            power * self.power_V.item(token) % _MODULUS,
            inverse * self.inverse_V.item(token) % _MODULUS,
            previous,
        )


def word_hash(word: str) -> int:
    """Return the hash of a word for `WordRepeats.completing`; case and the kind of apostrophe are ignored."""
    return _signed(_hash(_folded(word)))


def _containing(texts: list[str]) -> dict[str, list[int]]:
    """Return, by word, the tokens that contain it after their start, where it could be the end of another word."""
    tokens: dict[str, list[int]] = defaultdict(list)
    for number, text in enumerate(texts):
        for found in _FIRST_WORD.finditer(text):
            if found.start(2) and number not in tokens[found[2]]:
                tokens[found[2]].append(number)
    return tokens


def _folded(token: str) -> str:
    return token.casefold().replace("’", "'")


def _hash(word: str) -> int:
    # The squares spread neighbouring letters. The hash of a word of two parts is h + base^n h'.
    return sum((ord(letter) + 1) ** 2 * pow(_BASE, place, _MODULUS) for place, letter in enumerate(word)) % _MODULUS


def _signed(value: int) -> int:
    return value - _MODULUS if value >= _MODULUS // 2 else value


def _integers(values: list[int]) -> IntArray:
    return np.array([_signed(value) for value in values], dtype=np.int64)
