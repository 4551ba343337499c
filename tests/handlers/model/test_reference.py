"""Reference: figures at the training that an archive carries, for the gateway to compare live traffic with."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path
from typing import Any

import pytest

from handlers.model.bundle import REFERENCE, Bundle, BundleError, bundle_files, bundle_sha256
from handlers.model.reference import Distribution, Reference
from tests.handlers.tiny_bundles import tiny_bundle

FIGURES = Reference(
    genres={"pop": 0.5, "techno": 0.25},
    unknown=0.125,
    num_tokens=Distribution(mean=12.5, sd=3.0),
    token_log_prob=Distribution(mean=-1.5, sd=0.25),
    topics=(0.25, 0.75),
    copies=0.0,
    num_samples=40,
)


def test_json_keeps_everything_and_leaves_out_what_it_does_not_know() -> None:
    assert Reference.from_json(FIGURES.to_json()) == FIGURES
    assert Reference.from_json(json.dumps({**json.loads(FIGURES.to_json()), "later": 1})) == FIGURES


@pytest.mark.parametrize(
    "change",
    [
        {"format": 2},
        {"genres": {"pop": 1.5}},
        {"unknown": None},
        {"num_tokens": {"mean": 1.0}},
        {"token_log_prob": {"mean": float("nan"), "sd": 1.0}},
        {"token_log_prob": {"mean": 0.0, "sd": -1.0}},
        {"topics": 3},
    ],
)
def test_a_text_that_is_not_a_reference_is_refused(change: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match=r"reference\.json|shares|distribution"):
        Reference.from_json(json.dumps({**json.loads(FIGURES.to_json()), **change}))


def test_a_bundle_keeps_its_reference_and_one_without_loads(tmp_path: Path) -> None:
    for name, bundle in {
        "with": dataclasses.replace(tiny_bundle(), reference=FIGURES),
        "without": tiny_bundle(),
    }.items():
        (tmp_path / name).mkdir()
        bundle.save(tmp_path / name, model_card="card")
    assert Bundle.load(tmp_path / "with").reference == FIGURES
    assert REFERENCE in bundle_files(tmp_path / "with")
    assert Bundle.load(tmp_path / "without").reference is None
    assert REFERENCE not in bundle_files(tmp_path / "without")
    assert bundle_sha256(tmp_path / "with") != bundle_sha256(tmp_path / "without")


def test_a_damaged_reference_is_refused(tmp_path: Path) -> None:
    dataclasses.replace(tiny_bundle(), reference=FIGURES).save(tmp_path, model_card="card")
    (tmp_path / REFERENCE).write_text("{")
    with pytest.raises(BundleError, match="cannot be loaded"):
        Bundle.load(tmp_path)
