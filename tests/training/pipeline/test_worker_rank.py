from __future__ import annotations

from pathlib import Path

import pytest

from training.pipeline import worker_rank


def test_the_code_that_processes_compare_is_that_of_the_steps_and_of_the_decoder_that_they_train(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    read: list[str] = []
    read_bytes = Path.read_bytes

    def noted(path: Path) -> bytes:
        read.append("/".join(path.parts[-3:]))
        return read_bytes(path)

    monkeypatch.setattr(Path, "read_bytes", noted)
    before = worker_rank._steps_code()
    assert {"training/cvae/loop.py", "handlers/model/decoder.py"} <= set(read)

    def other(path: Path) -> bytes:
        return read_bytes(path) + (b"# x" if path.name == "decoder.py" else b"")

    monkeypatch.setattr(Path, "read_bytes", other)
    assert worker_rank._steps_code() != before
