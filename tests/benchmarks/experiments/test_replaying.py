"""The benchmark of the replay, on a model that is small enough to be served in no time."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from typer.testing import CliRunner

from benchmarks.cli import app_bench
from benchmarks.experiments.replaying import _exposures
from benchmarks.serving.errors import ServerError
from benchmarks.training.decode import random_bundle
from tests.training.packaging.unpacked import OLD_ARCHIVE
from training.settings import CvaeSettings


@pytest.mark.integration
def test_what_the_gateway_served_is_what_the_replay_writes(tmp_path: Path) -> None:
    settings = CvaeSettings(max_vocabulary=60, embedding_size=8, hidden_size=16, z_size=4, genre_size=4)
    random_bundle(settings).save(tmp_path, model_card="tiny")
    done = CliRunner().invoke(app_bench, ["replay", str(tmp_path), "--quick"], catch_exceptions=False)
    assert done.exit_code == 0, done.output
    found = json.loads(done.output.splitlines()[-1])["figures"]
    assert (found["exposures"], found["texts"]) == (64, 128)
    assert (found["different"], found["left_out"]) == (0, 0)
    assert found["per_second"] > 0


@pytest.mark.integration
def test_an_archive_of_older_code_is_served_by_that_code_and_replayed_by_this() -> None:
    done = CliRunner().invoke(app_bench, ["replay", str(OLD_ARCHIVE), "--quick"], catch_exceptions=False)
    assert done.exit_code == 0, done.output
    found = json.loads(done.output.splitlines()[-1])["figures"]
    assert (found["texts"], found["different"], found["left_out"]) == (128, 0, 0)


def test_exposures_that_are_lost_are_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("benchmarks.experiments.replaying._FLUSH_S", 0.0)
    with pytest.raises(ServerError, match="wrote 0 exposures of 3 requests"):
        _exposures(tmp_path, 3)
