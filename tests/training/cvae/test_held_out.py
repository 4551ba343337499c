from __future__ import annotations

import dataclasses
import json
from pathlib import Path

import pytest

from training.cvae.held_out import HELD_OUT_FILE, HeldOutPoint, load_held_out, save_held_out
from training.errors import CheckpointError

POINT = HeldOutPoint(
    seconds=61.5, step=40, elbo=-80.25, kl=6.5, mutual_information=5.25, perplexity_bound=90.5, bits_per_character=1.875
)


def test_a_curve_survives_its_file(tmp_path: Path) -> None:
    curve = (POINT, dataclasses.replace(POINT, seconds=120.0, step=80, elbo=-75.0))
    save_held_out(curve, tmp_path)
    assert load_held_out(tmp_path) == curve


def test_a_folder_without_one_has_an_empty_curve(tmp_path: Path) -> None:
    assert load_held_out(tmp_path) == ()


@pytest.mark.parametrize(
    "content",
    [
        "",
        "[{",
        "{}x",
        "3",
        "[3]",
        json.dumps([{**POINT.document(), "kl": None}]),
        json.dumps([{**POINT.document(), "elbo": float("nan")}]),
        json.dumps([{"seconds": 1, "step": 2}]),
    ],
)
def test_a_file_that_is_no_curve_is_an_error_that_names_it_and_the_way_out(tmp_path: Path, content: str) -> None:
    (tmp_path / HELD_OUT_FILE).write_text(content, encoding="utf-8")
    with pytest.raises(CheckpointError, match=r"held_out\.json is not a curve.*remove it"):
        load_held_out(tmp_path)
