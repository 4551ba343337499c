from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from foundation.result_line import finish, machine


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
