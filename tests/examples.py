"""Settings of property tests."""

from __future__ import annotations

import os
from typing import Final

from hypothesis import settings

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
