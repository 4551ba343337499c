from __future__ import annotations

from pathlib import Path

import pytest

from training.errors import CheckpointError
from training.pipeline.stages import Stage


@pytest.fixture
def stage(tmp_path: Path) -> Stage:
    return Stage(name="cvae", key="3f9a1c0b7d2e", root=tmp_path)


def test_a_stage_is_done_when_it_has_been_finished_and_keeps_its_figures(stage: Stage) -> None:
    assert stage.result() is None
    assert not stage.run_id()
    stage.record_run("run 1")
    assert stage.result() is None
    stage.finish(figures={"valid.kl": 5.5}, topic_shares=[0.5, 0.5])
    assert stage.result() == {"figures": {"valid.kl": 5.5}, "topic_shares": [0.5, 0.5]}
    assert stage.run_id() == "run 1"


@pytest.mark.parametrize("content", ["", '{"figures": {"kl": 5', "{}", "[]", "3", '{"figures": 3}', "\x00\x00"])
def test_a_damaged_record_is_an_error_that_names_the_folder_and_the_way_out(stage: Stage, content: str) -> None:
    (stage.directory / "done.json").write_text(content)
    with pytest.raises(CheckpointError, match=r"cvae-3f9a1c0b7d2e is damaged.*remove that folder"):
        stage.result()


@pytest.mark.parametrize("content", ["", "{}", "[]", '{"run_id'])
def test_a_damaged_note_of_the_run_is_an_error_too(stage: Stage, content: str) -> None:
    (stage.directory / "run.json").write_text(content)
    with pytest.raises(CheckpointError, match="remove that folder"):
        stage.run_id()
