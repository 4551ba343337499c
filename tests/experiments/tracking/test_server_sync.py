"""`experiment sync` to a tracking server: what a data scientist finds there, and what waits while it is away."""

from __future__ import annotations

from dataclasses import replace

import pytest
from typer.testing import CliRunner

from experiments.cli import app_experiment
from tests.experiments.tracking.world import World, stored_verdicts, verdict
from tests.experiments.tracking_server import tracking_server
from tests.serving.support import free_port

pytestmark = [pytest.mark.integration, pytest.mark.timeout(300)]


def sync(world: World) -> tuple[int, str]:
    """Type the command; its exit code, and its output in one line."""
    done = CliRunner().invoke(
        app_experiment, ["sync", "--workspace", str(world.folder), "--tracking-uri", world.uri], catch_exceptions=False
    )
    return done.exit_code, " ".join(done.output.split())


def test_the_command_brings_a_server_to_the_verdicts_of_the_store(world: World) -> None:
    port = free_port()
    world = replace(world, uri=f"http://127.0.0.1:{port}")
    songs = world.add_songs([["1", "2"]] * 6)
    world.decide(*(verdict(first, True) for first, _ in songs), *(verdict(second, False) for _, second in songs[:5]))
    code, output = sync(world)
    assert code == 1
    assert "MLflow has been away since" in output
    assert "11 songs with verdicts wait in the ledger" in output
    with tracking_server(world.folder, port):
        code, output = sync(world)
        assert code == 0
        assert "11 songs with verdicts are in MLflow now" in output
        assert world.feedback() == stored_verdicts(world.store_path)
        found = world.metrics("1")
        assert (found["verdicts.judged"], found["verdicts.accepted"], found["verdicts.acceptance"]) == (6, 6, 1)
        assert 0 < found["verdicts.acceptance_low"] < 1 == found["verdicts.acceptance_high"]
        assert sync(world) == (0, "every verdict is in MLflow already")
        world.decide(verdict(songs[0][0], False), verdict(songs[1][0], None))
        assert sync(world)[0] == 0
        assert world.feedback() == stored_verdicts(world.store_path)
        found = world.metrics("1")
        assert (found["verdicts.judged"], found["verdicts.accepted"]) == (5, 4)
