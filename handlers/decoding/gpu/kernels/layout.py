"""Columns of the numbers of a slot and of a token, for the host that writes them and the kernels that read them.

Kernels read a module's constants only if they are Triton's; the host takes their `.value`.
"""

from __future__ import annotations

from triton.language import constexpr

# Integers of 32 bits of a slot.
LENGTH = constexpr(0)
"""Number of tokens that were drawn."""
MAX_TOKENS = constexpr(1)
"""Largest number of tokens that may be drawn."""
STATE = constexpr(2)
"""State of `handlers.decoding.constraints.grammar`."""
TOP_K = constexpr(3)
MIN_TOKENS = constexpr(4)
"""Smallest number of tokens, the end mark included."""
NO_REPEAT_NGRAM_SIZE = constexpr(5)
BAD_WORDS = constexpr(6)
"""Number of bad words."""
NODE = constexpr(7)
"""Node of the lexicon."""
SLOT_INTS = constexpr(8)

# Integers of 64 bits of a slot.
SEED = constexpr(0)
WORD_STATE = constexpr(1)
"""First of the four numbers of the hash state of `handlers.decoding.constraints.word_repeats`."""
SLOT_LONGS = constexpr(8)

# Numbers in single precision of a slot.
INVERSE_TEMPERATURE = constexpr(0)
"""Factor of the logarithms of odds."""
TOP_P = constexpr(1)
MIN_P = constexpr(2)
GUIDANCE = constexpr(3)
SLOT_FLOATS = constexpr(4)

# Integers of 32 bits of a token; each is an array over the vocabulary.
KEEP = constexpr(0)
PUT = constexpr(1)
FLIP = constexpr(2)
CONTINUES = constexpr(3)
CUTS = constexpr(4)
KEY_LOW_HALF = constexpr(5)
"""Lower half of the key."""
NAME_KIND = constexpr(6)
"""Kind of `handlers.decoding.constraints.name_repeats`; 0 without that constraint."""
TOKEN_INTS = constexpr(7)

# Integers of 64 bits of a token; each is an array over the vocabulary.
HASH = constexpr(0)
POWER = constexpr(1)
INVERSE = constexpr(2)
KEY = constexpr(3)
TOKEN_LONGS = constexpr(4)
