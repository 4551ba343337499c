"""Sampling parameters of a request, and the rule by which its candidates are ranked."""

from __future__ import annotations

from dataclasses import dataclass, fields
from enum import StrEnum
from typing import Final

from handlers.contract.checks import check_bad_words, check_float, check_int, make_tuple
from handlers.contract.errors import invalid
from handlers.contract.limits import DEFAULT_TEMPERATURE, DEFAULT_TOP_P


class RankBy(StrEnum):
    """Rule by which the best of a sample's candidates is chosen."""

    ACCEPTABILITY = "acceptability"
    """Score of the archive, whose weights are fitted on what readers accepted."""
    VALUE = "value"
    """Probability that a curator accepts it, by the value function of an archive that learned from verdicts."""
    BOTH = "both"
    """Sum of the log odds of that probability and the score, at a ratio that is the same for all archives."""

    @property
    def needs_values(self) -> bool:
        """Whether only archives with a value function have it."""
        return self is not RankBy.ACCEPTABILITY


@dataclass(frozen=True, slots=True, kw_only=True)
class SamplingParams:
    """Sampling parameters: the settings that decide how a sequence's tokens are drawn.

    They are the same for every sequence of a request. Its seed, its number of samples and its number of candidates are
    not among them: those decide which sequences are decoded, and are fields of `CommentaryRequest`.

    A new option is a field here with a default that changes nothing, and a value in `EXAMPLE_SAMPLING`. It is sent to
    workers only where it differs from its default.

    Raises:
        ContractError: INVALID_ARGUMENT, naming the first field whose type or range is wrong.
    """

    temperature: float = DEFAULT_TEMPERATURE
    """Divisor of the logits; 0 takes the most likely token at each step."""
    top_k: int = 0
    """Keep only the k most likely tokens; 0 keeps all."""
    top_p: float = DEFAULT_TOP_P
    """Keep the most likely tokens that together reach this probability; 1 keeps all."""
    min_p: float = 0.0
    """Drop tokens less likely than this share of the most likely one; 0 drops none."""
    max_tokens: int = 64
    """Maximum length of a sample in tokens, its end included."""
    guidance: float = 1.0
    """Weight of the genres (classifier-free guidance): 1 is the model itself, 2 stresses them, 0 ignores them."""
    min_tokens: int = 0
    """Minimum length of a sample in tokens, its end included. A sample is shorter all the same when everything that
    could go on is forbidden."""
    no_repeat_ngram_size: int = 0
    """Size n of the n-grams of tokens that occur at most once in a sample; 0 allows all."""
    bad_words: tuple[str, ...] | list[str] = ()
    """Words that no sample contains, case ignored, however they are spelled in tokens. A word ends where a character
    that is not part of a word follows, so "pop" forbids neither "pops" nor "synth-pop". The song's names are put in as
    they are."""

    def __post_init__(self) -> None:
        make_tuple(self, "bad_words")
        check_float("temperature", self.temperature)
        check_int("top_k", self.top_k)
        check_float("top_p", self.top_p)
        check_float("min_p", self.min_p)
        check_int("max_tokens", self.max_tokens)
        check_float("guidance", self.guidance)
        check_int("min_tokens", self.min_tokens)
        if self.min_tokens > self.max_tokens:
            raise invalid("min_tokens", f"must be at most max_tokens, {self.max_tokens}, got {self.min_tokens}")
        check_int("no_repeat_ngram_size", self.no_repeat_ngram_size)
        check_bad_words(self.bad_words)


SAMPLING_FIELDS: Final = tuple(each.name for each in fields(SamplingParams))
"""Names of the sampling parameters, in Python and on the wire."""

EXAMPLE_SAMPLING: Final = SamplingParams(
    temperature=0.5,
    top_k=5,
    top_p=0.4,
    min_p=0.3,
    max_tokens=4,
    guidance=3.0,
    min_tokens=4,
    no_repeat_ngram_size=1,
    bad_words=("wa", "wb", "wc"),
)
"""Sampling parameters of which each differs from its default, for the warm-up and for tests."""
