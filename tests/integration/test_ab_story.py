"""The story of docs/guides/ab.md: its commands, in its order, under load, without a failed request."""

from __future__ import annotations

import re
import shlex
import shutil
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest
from mlflow.tracking import MlflowClient

from handlers.contract import ARCHIVE_SHA256_TAG, ARCHIVE_TAG
from serving.client import CommentaryClient
from tests.integration.conftest import DemoRun
from tests.integration.support import Place, command, environment, serving
from tests.serving.support import ServiceProcess, unit_load, wait_until

pytestmark = [pytest.mark.integration, pytest.mark.timeout(1500)]

PAGE = Path(__file__).parents[2] / "docs" / "guides" / "ab.md"
EVERY = ("--every 30m", "--every 1s")
"""A ramp that the page lets take two hours takes four seconds here."""


def commands_of_the_page() -> list[str]:
    """The commands that a reader types, in order; those of a terminal of their own are the fixtures' task."""
    blocks = re.findall(r"^```sh\n(.*?)^```", PAGE.read_text(encoding="utf-8"), re.MULTILINE | re.DOTALL)
    return [line for block in blocks for line in block.splitlines()]


@dataclass
class Terminal:
    """Where the story's commands are typed: in the demo's folder, against the running service."""

    place: Place
    target: str
    left: list[str] = field(default_factory=commands_of_the_page)

    def type_up_to(self, last: str) -> str:
        """Type the page's next commands up to the one that begins so; each must succeed. Return the last output."""
        while True:
            line = self.left.pop(0)
            output = self.type(line) if not line.startswith(("deephypebot demo", "deephypebot serve", "locust")) else ""
            if line.startswith(last):
                return output

    def type(self, line: str, status: int = 0) -> str:
        program, *arguments = shlex.split(line.replace(*EVERY))
        assert program == "deephypebot", line
        done = subprocess.run(
            command(*arguments),
            cwd=self.place.root,
            env={**environment(), "DEEPHYPEBOT_TARGET": self.target},
            capture_output=True,
            text=True,
            timeout=600,
            check=False,
        )
        assert done.returncode == status, (line, done.stdout[-2000:], done.stderr[-2000:])
        return done.stdout + done.stderr


@pytest.fixture(scope="module")
def place(demo_run: DemoRun, tmp_path_factory: pytest.TempPathFactory) -> Place:
    """A copy of what the demo made: the other tests of this folder count its versions."""
    root = tmp_path_factory.mktemp("story") / "copy"
    shutil.copytree(demo_run.place.root, root, ignore=shutil.ignore_patterns("service"))
    return Place(root=root)


@pytest.fixture(scope="module")
def service(place: Place) -> Iterator[ServiceProcess]:
    with serving(place, "--exposures", str(place.workspace / "exposures")) as running:
        yield running


def register_by_hand(place: Place, version: str) -> str:
    """Register one more version with the archive of another, as somebody in a hurry would."""
    client = MlflowClient(place.tracking_uri)
    tags = client.get_model_version("lcgan", version).tags
    run_id = client.get_model_version("lcgan", version).run_id
    wrong = client.create_model_version("lcgan", source=f"runs:/{run_id}/model", run_id=run_id)
    for tag in (ARCHIVE_TAG, ARCHIVE_SHA256_TAG):
        client.set_model_version_tag("lcgan", wrong.version, tag, tags[tag])
    return str(wrong.version)


def shares(client: CommentaryClient) -> dict[str, float]:
    (model,) = client.describe("lcgan")
    return {version.version: round(version.share, 3) for version in model.versions if version.share}


def test_the_story_runs_as_the_page_tells_it_and_no_request_fails(place: Place, service: ServiceProcess) -> None:
    terminal = Terminal(place, service.target)
    first = [str(version.version) for version in MlflowClient(place.tracking_uri).search_model_versions("name='lcgan'")]
    assert "1" in first
    with (
        CommentaryClient(service.target) as client,
        unit_load(service.target, "lcgan", num_threads=2, pause_s=0.05) as load,
    ):
        _story(terminal, place, client)
    assert not terminal.left
    assert load.failures == []
    rows = pq.read_table(place.root / "exposures.parquet").to_pylist()
    asked = [row for row in rows if row["unit"] in load.answered]  # the demo's own are in the folder too
    _check_exposures([row for row in asked if row["role"] == "answer"], load.num_answers)
    assert {row["version"] for row in asked if row["role"] == "shadow"} == {"3"}


def _story(terminal: Terminal, place: Place, client: CommentaryClient) -> None:
    assert "lcgan/2" in terminal.type_up_to("deephypebot models list")
    assert shares(client) == {"1": 1.0}
    assert "20%" in terminal.type_up_to("deephypebot models status")
    assert shares(client) == {"1": 0.8, "2": 0.2}
    terminal.type_up_to("deephypebot models ramp")
    wait_until(lambda: shares(client) == {"1": 0.5, "2": 0.5}, timeout_s=30)
    terminal.type_up_to("deephypebot models shadow")
    assert shares(client) == {"1": 0.5, "2": 0.5}
    assert register_by_hand(place, "3") == "4"
    refused = terminal.type("deephypebot models split lcgan 4=10", status=1)
    assert "lcgan/4 was refused" in refused
    assert "named lcgan 3 in its manifest" in refused
    terminal.type_up_to("deephypebot models split")
    assert shares(client) == {"1": 0.5, "2": 0.5}
    assert "lcgan/2" in terminal.type_up_to("deephypebot models promote")
    assert shares(client) == {"2": 1.0}
    terminal.type_up_to("deephypebot models rollback")
    assert shares(client) == {"1": 1.0}
    assert "lcgan/2" in terminal.type_up_to("deephypebot exposures summary")
    terminal.type_up_to("deephypebot exposures export")


def _check_exposures(rows: list[dict[str, Any]], requests: int) -> None:
    """A row for each answer; a unit has one version under one policy, except where that version was not live."""
    assert len({row["id"] for row in rows}) == len(rows) <= requests
    arms: dict[tuple[str, str], set[str]] = {}
    for row in rows:
        if row["assigned_by"] == "unit":
            arms.setdefault((row["policy_revision"], row["unit"]), set()).add(row["version"])
    assert arms
    assert all(len(versions) == 1 for versions in arms.values())
    assert {row["version"] for row in rows} == {"1", "2"}
