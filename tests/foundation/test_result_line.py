from __future__ import annotations

import json
import math
from pathlib import Path

import numpy as np
import pytest
import torch

from foundation.result_line import ResultFileError, finish, machine


def test_the_last_line_is_the_document_and_the_file_holds_the_same(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "new" / "figures.json"
    finish("bench words", {"rate": np.float32(2.5), "rows": [{"low": float("nan")}], "count": np.int64(3)}, out)
    printed = json.loads(capsys.readouterr().out.splitlines()[-1])
    assert printed == json.loads(out.read_text(encoding="utf-8"))
    assert printed["name"] == "bench words"
    assert printed["figures"] == {"rate": 2.5, "rows": [{"low": None}], "count": 3}
    assert printed["machine"] == machine()


def test_the_machine_is_described_by_what_decides_a_figure() -> None:
    described = machine()
    assert described["cores"] >= 1
    assert described["memory_gib"] > 0.1
    assert described["cpu"]
    assert described["torch"]


def test_digits_round_every_figure_at_any_depth_and_nothing_else(capsys: pytest.CaptureFixture[str]) -> None:
    figures = {
        "rate": 1 / 3,
        "rows": [{"low": np.float64(2 / 3), "high": (0.123456, 7)}],
        "count": 12_345,
        "seed": "0.55555",
    }
    finish("bench words", figures, digits=3)
    printed = json.loads(capsys.readouterr().out)
    assert printed["figures"] == {
        "rate": 0.333,
        "rows": [{"low": 0.667, "high": [0.123, 7]}],
        "count": 12_345,
        "seed": "0.55555",
    }


def test_without_digits_every_decimal_place_is_kept(capsys: pytest.CaptureFixture[str]) -> None:
    finish("bench words", {"third": 1 / 3})
    assert json.loads(capsys.readouterr().out)["figures"]["third"] == 1 / 3


def test_scalars_of_numpy_and_torch_become_numbers_at_any_depth(capsys: pytest.CaptureFixture[str]) -> None:
    figures = {
        "nested": {"list": [np.float32(0.5), np.int64(3)], "pair": (np.bool_(False), torch.tensor(2.25))},
        "plain": [True, None, "Für Elise", 3],
        "5": np.float64(1.5),
    }
    finish("bench words", figures)
    printed = json.loads(capsys.readouterr().out)["figures"]
    assert printed == {
        "nested": {"list": [0.5, 3], "pair": [False, 2.25]},
        "plain": [True, None, "Für Elise", 3],
        "5": 1.5,
    }
    assert isinstance(printed["nested"]["pair"][0], bool)


@pytest.mark.parametrize(
    "value", [math.nan, math.inf, -math.inf, np.float32("nan"), np.float64("inf"), torch.tensor(math.nan)]
)
@pytest.mark.parametrize("digits", [None, 2])
def test_a_figure_that_is_not_finite_becomes_null(
    value: object, digits: int | None, capsys: pytest.CaptureFixture[str]
) -> None:
    finish("bench words", {"rate": value, "rates": [value]}, digits=digits)
    assert json.loads(capsys.readouterr().out)["figures"] == {"rate": None, "rates": [None]}


def test_the_line_is_one_line_and_not_escaped(capsys: pytest.CaptureFixture[str]) -> None:
    finish("bench words", {"text": "Röyksopp\n" * 100})
    printed = capsys.readouterr().out
    assert printed.count("\n") == 1
    assert "Röyksopp" in printed


def test_a_file_that_cannot_be_written_is_named_and_no_line_is_printed(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    taken = tmp_path / "file"
    taken.write_text("")
    with pytest.raises(
        ResultFileError, match=r"file/figures\.json cannot be written: .*; give another file with --json"
    ):
        finish("bench words", {}, taken / "figures.json")
    assert capsys.readouterr().out == ""


def test_a_folder_in_place_of_the_file_is_an_error_and_leaves_nothing_behind(tmp_path: Path) -> None:
    (tmp_path / "figures.json").mkdir()
    with pytest.raises(ResultFileError, match="cannot be written"):
        finish("bench words", {}, tmp_path / "figures.json")
    assert [path.name for path in tmp_path.iterdir()] == ["figures.json"]


def test_a_file_that_was_there_is_replaced(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = tmp_path / "figures.json"
    out.write_text("an earlier run")
    finish("bench words", {"rate": 1}, out)
    assert out.read_text(encoding="utf-8") == capsys.readouterr().out
    assert [path.name for path in tmp_path.iterdir()] == ["figures.json"]
