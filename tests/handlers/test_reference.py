"""Reference: figures at the training that an archive carries, for the gateway to compare live traffic with."""

from __future__ import annotations

import dataclasses
import json
from typing import Any

import pytest

from handlers.reference import Reference
from tests.handlers.references import EXAMPLE

DOCUMENT: dict[str, Any] = json.loads(EXAMPLE.to_json())


def test_json_keeps_everything_and_leaves_out_what_it_does_not_know() -> None:
    assert Reference.from_json(EXAMPLE.to_json()) == EXAMPLE
    assert Reference.from_json(EXAMPLE.to_json().encode()) == EXAMPLE
    assert Reference.from_json(json.dumps({**DOCUMENT, "later": 1})) == EXAMPLE


def test_the_share_of_copies_may_be_unknown() -> None:
    without = dataclasses.replace(EXAMPLE, copies=None)
    assert Reference.from_json(without.to_json()) == without
    assert Reference.from_json(json.dumps({name: DOCUMENT[name] for name in DOCUMENT if name != "copies"})) == without


@pytest.mark.parametrize(
    ("change", "told"),
    [
        ({"format": 2}, "format is 2, and this release reads 1"),
        ({"genres": {"pop": 1.5}}, "shares must be from 0 to 1"),
        ({"genres": []}, "cannot be read"),
        ({"unknown": None}, "cannot be read"),
        ({"unknown": -0.5}, "shares must be from 0 to 1"),
        ({"num_tokens": {"mean": 1.0}}, "cannot be read: KeyError"),
        ({"token_log_prob": {"mean": float("nan"), "sd": 1.0}}, "must be finite, got nan and 1.0"),
        ({"token_log_prob": {"mean": 0.0, "sd": -1.0}}, "must be finite, got 0.0 and -1.0"),
        ({"topics": 3}, "cannot be read"),
        ({"topics": [2]}, "shares must be from 0 to 1"),
        ({"copies": 1.5}, "shares must be from 0 to 1"),
        ({"num_samples": -1}, "num_samples must be 0 or more, got -1"),
    ],
)
def test_a_text_that_is_not_a_reference_is_refused(change: dict[str, Any], told: str) -> None:
    with pytest.raises(ValueError, match=told):
        Reference.from_json(json.dumps({**DOCUMENT, **change}))
