"""Limits and defaults of a request's values."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

MAX_SAMPLES: Final = 64
MAX_TOKENS: Final = 128
MAX_BEST_OF: Final = 16
DEFAULT_BEST_OF: Final = 16
"""Candidates decoded for each sample of a request that does not say, by models that can rank them and stop hopeless
ones early (`handlers.model.acceptability`)."""
MAX_SEQUENCES: Final = MAX_SAMPLES * MAX_BEST_OF
"""Bound on num_samples * best_of, the sequences that one request may add to a decode. Every number of samples may have
every number of candidates, so that the first samples of a request are those of a request for fewer."""
MAX_GENRES: Final = 64
MAX_BAD_WORDS: Final = 64
MAX_TEXT_LENGTH: Final = 200
"""Characters in a genre, a bad word, an artist, a title, a topic, a unit or a request id."""
MAX_SEED: Final = 2**63 - 1
DEFAULT_TEMPERATURE: Final = 0.7
"""Colder than real text's variety asks for: of the sentences that are chosen from 16 candidates, blind readers post
twice as many at 0.7 as at 1 (docs/measurements/quality.md)."""
DEFAULT_TOP_P: Final = 0.92
RANGES: Final[Mapping[str, tuple[float, float]]] = {
    "temperature": (0.0, 5.0),
    "top_k": (0, 1_000_000),
    "top_p": (1e-6, 1.0),
    "min_p": (0.0, 1.0),
    "max_tokens": (1, MAX_TOKENS),
    "guidance": (0.0, 10.0),
    "min_tokens": (0, MAX_TOKENS),
    "no_repeat_ngram_size": (0, MAX_TOKENS),
    "num_samples": (1, MAX_SAMPLES),
    "seed": (0, MAX_SEED),
    "best_of": (1, MAX_BEST_OF),
}
"""Smallest and largest value of each number of a request."""
