"""Fingerprints and sketches of texts, to find duplicates and near duplicates."""

from __future__ import annotations

import hashlib
import re
from itertools import pairwise
from typing import Final

import numpy as np
from numpy.typing import NDArray
from rensa import RMinHash

from training.corpus.groups import Keys

NUM_BANDS: Final = 16
_ROWS: Final = 4
"""Rows of a band. Texts with 50% of word pairs in common share a band with probability 0.64; 60%: 0.89; 70%: 0.988."""
SKETCH_BYTES: Final = NUM_BANDS * _ROWS
_SEED: Final = 20181
_NO_WORD: Final = re.compile(r"[\W_]+")
_OPENING_WORDS: Final = 4
"""Number of words of an opening."""
_MIN_WORDS: Final = 6
"""Words from which texts are compared by sketches; in a shorter text one changed word changes the meaning."""

Sketch = NDArray[np.uint8]
"""One byte of each of the `SKETCH_BYTES` minima: enough to estimate the similarity of two texts, at 64 bytes each."""


def fingerprint(text: str) -> int:
    """Hash a text's letters and digits to 64 bits, without regard to punctuation and case.

    >>> fingerprint("So loud!") == fingerprint("so... LOUD"), fingerprint("So loud!") == fingerprint("so low")
    (True, False)
    """
    plain = _NO_WORD.sub(" ", text.casefold()).strip()
    return _hash(plain.encode())


def word_key(word: str) -> int:
    """Hash a word as it is written to 64 bits."""
    return _hash(word.encode())


def opening_key(text: str) -> int:
    """Hash a text's first four words to 64 bits, without regard to punctuation and case.

    >>> opening_key("So loud, so very good.") == opening_key("So loud - so VERY bad!")
    True
    """
    return _hash(" ".join(_NO_WORD.sub(" ", text.casefold()).split()[:_OPENING_WORDS]).encode())


def sketch(text: str) -> tuple[Keys, Sketch] | None:
    """MinHash of a text's pairs of neighbouring words; None for texts of fewer than six words.

    Returns:
        Keys of the text's bands, of which near duplicates probably share one (locality-sensitive hashing), and its
        `Sketch`.
    """
    words = _NO_WORD.sub(" ", text.casefold()).split()
    if len(words) < _MIN_WORDS:
        return None
    minhash = RMinHash(num_perm=SKETCH_BYTES, seed=_SEED)
    minhash.update([f"{first} {second}" for first, second in pairwise(words)])
    minima = np.array(minhash.digest(), dtype="<u4").reshape(NUM_BANDS, _ROWS)
    return _mixed(minima.view("<u8")), minima.reshape(-1).astype(np.uint8)


def _mixed(halves: NDArray[np.uint64]) -> Keys:
    """Mix the two halves of each band and its number into a key, by the finaliser of splitmix64 (Steele 2014)."""
    with np.errstate(over="ignore"):
        keys = halves[:, 0] + halves[:, 1] * np.uint64(0x9E3779B97F4A7C15)
        keys += np.arange(1, NUM_BANDS + 1, dtype=np.uint64) * np.uint64(0xD1B54A32D192ED03)
        keys = (keys ^ (keys >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
        keys = (keys ^ (keys >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    mixed: Keys = keys ^ (keys >> np.uint64(31))
    return mixed


def similarity(one: Sketch, other: Sketch) -> NDArray[np.float64]:
    """Estimate the share of word pairs that texts have in common (Jaccard), over the last axis; within about 0.06.

    Bytes of different minima agree once in 256 by chance, which is subtracted (b-bit MinHash, Li and König 2010).
    """
    agree = np.mean(one == other, axis=-1)
    estimate: NDArray[np.float64] = np.maximum(0.0, (agree - 1 / 256) / (1 - 1 / 256))
    return estimate


def _hash(data: bytes) -> int:
    return int.from_bytes(hashlib.blake2b(data, digest_size=8).digest(), "little")
