"""Settings of property tests."""

from __future__ import annotations

import os
from typing import Any, Final

from hypothesis import settings
from hypothesis.internal.conjecture import providers as hypothesis_providers

QUICK_EXAMPLES: Final = 20
"""Examples of a property test at most in quick runs: `make unit` sets DEEPHYPEBOT_TESTS=quick."""
IS_QUICK: Final = os.environ.get("DEEPHYPEBOT_TESTS") == "quick"
IS_RANDOM: Final = os.environ.get("DEEPHYPEBOT_TESTS") == "random"
"""Whether each run draws examples of its own; otherwise all runs draw the same, here and in CI."""


def examples(count: int) -> settings:
    """Settings for a number of examples, fewer in quick runs.

    They have no deadline: a deadline for each example fails on a machine that has other things to do, not on a fault.
    """
    return settings(
        max_examples=min(count, QUICK_EXAMPLES) if IS_QUICK else count,
        deadline=None,
        derandomize=not IS_RANDOM,
        print_blob=True,
    )


def draw_alike() -> None:
    """Let the examples of a test depend on the test alone, unless they are to be new in each run.

    Hypothesis draws some of its values from the constants of all modules of the project that are imported by then,
    so that what a test draws would depend on the tests before it. It has no setting for this.
    """
    if not IS_RANDOM:
        providers: Any = hypothesis_providers
        none = providers.Constants()
        providers._get_local_constants = lambda: none
