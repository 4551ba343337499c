"""Where a slot's and a token's numbers stand, for the host that writes them and the kernels that read them.

Kernels may read constants of a module only if they are Triton's; the host takes their `.value`.
"""

from __future__ import annotations

from triton.language import constexpr

# A slot's whole numbers of 32 bits.
LENGTH = constexpr(0)
"""Tokens that are drawn."""
MAX_TOKENS = constexpr(1)
"""Tokens that may be drawn."""
STATE = constexpr(2)
"""The state of `handlers.decoding.constraints.grammar`."""
TOP_K = constexpr(3)
MIN_TOKENS = constexpr(4)
"""Tokens before which the sentence may not end."""
NO_REPEAT_NGRAM_SIZE = constexpr(5)
BAD_WORDS = constexpr(6)
"""How many words are banned."""
SLOT_INTS = constexpr(8)

# A slot's whole numbers of 64 bits.
SEED = constexpr(0)
WORD_STATE = constexpr(1)
"""The first of the four numbers of `handlers.decoding.constraints.word_repeats`."""
SLOT_LONGS = constexpr(8)

# A slot's settings.
INVERSE_TEMPERATURE = constexpr(0)
"""One over the temperature."""
TOP_P = constexpr(1)
MIN_P = constexpr(2)
GUIDANCE = constexpr(3)
SLOT_FLOATS = constexpr(4)

# A token's whole numbers of 32 bits, by number first.
KEEP = constexpr(0)
PUT = constexpr(1)
FLIP = constexpr(2)
GOES_ON = constexpr(3)
CUTS = constexpr(4)
LOW_KEY = constexpr(5)
"""The lower half of its key."""
TOKEN_INTS = constexpr(6)

# A token's whole numbers of 64 bits, by number first.
HASH = constexpr(0)
POWER = constexpr(1)
INVERSE = constexpr(2)
KEY = constexpr(3)
TOKEN_LONGS = constexpr(4)
