"""Faults of MLflow in plain words."""

from __future__ import annotations

import pytest

from serving.errors import RegistryError
from serving.registry.connection import translated

FULL = (
    "The following failures occurred while downloading:\n\n##### File a.mar #####\n[Errno 28] No space left on device"
)


@pytest.mark.parametrize(
    ("message", "told"),
    [
        (FULL, r"downloading: \(\[Errno 28\] No space left on device\)$"),
        ("[Errno 13] Permission denied: 'x'", r"Errno 13\] Permission denied: 'x'$"),
        ("one\ntwo", "one$"),
        ("", "ValueError: $"),
    ],
    ids=["further down", "in the first line", "several lines", "nothing"],
)
def test_the_first_line_of_a_fault_is_told_and_what_the_system_says_wherever_it_stands(message: str, told: str) -> None:
    with pytest.raises(RegistryError, match=told), translated("it cannot be downloaded", "sqlite:///x.db"):
        raise ValueError(message)
