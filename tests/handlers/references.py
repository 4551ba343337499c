"""Reference of a version, for tests: the answers of `tests.serving.echo_handler` are as it says."""

from __future__ import annotations

from typing import Final

from handlers.reference import Distribution, Reference

EXAMPLE: Final = Reference(
    genres={"dream pop": 0.6, "techno": 0.4},
    unknown=0.01,
    num_tokens=Distribution(mean=1.0, sd=1.0),
    token_log_prob=Distribution(mean=-1.0, sd=0.5),
    topics=(0.5, 0.5),
    copies=0.0,
    num_samples=100,
)
