"""Shares of a parallel run: what one process of it gets whole."""

from __future__ import annotations

GROUPS = (
    "tests/integration/",  # one demo for all
    "tests/serving/",  # one registry with archives
    "tests/bot/studio/",
    "tests/handlers/decoding/gpu/",  # Triton compiles each kernel once in a process
    "tests/training/evaluation/",  # one trained model for all
)
"""Folders whose tests share what takes long to make, so that one process of a parallel run has them all."""


def share_of(nodeid: str) -> str:
    """Return the folder of `GROUPS` or the file of a test."""
    file = nodeid.partition("::")[0]
    return next((folder for folder in GROUPS if file.startswith(folder)), file)
