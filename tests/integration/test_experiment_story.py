"""The story of docs/guides/experiments.md: its commands, in its order, with a simulated curator who judges blind."""

from __future__ import annotations

import json
import re
import shlex
import shutil
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from mlflow.tracking import MlflowClient

from tests.integration.conftest import DemoRun
from tests.integration.support import Place, command, environment, serving
from tests.serving.support import ServiceProcess
from training.sample import CATALOG_FILE

pytestmark = [pytest.mark.integration, pytest.mark.timeout(1500)]

PAGE = Path(__file__).parents[2] / "docs" / "guides" / "experiments.md"
LEFT_TO_FIXTURES = ("deephypebot demo", "deephypebot serve", "deephypebot studio", "deephypebot experiment watch")
PEOPLE = re.compile(
    r"\b(born|raised|founded|learned|studied|taught|trained|parents|family|grew|joined|met|formed|worked|played|years|"
    r"teacher|hometown|degree|songwriter|singer|role|left|moved|single|child|student)\b"
)
"""Words by which the curator of this story knows a sentence about people, which is what this curator likes."""
MAX_LENGTH = 180
"""Length that fits into a post with the names around it."""
SONGS_A_SITTING = 10
SONGS_JUDGED = 30


@dataclass
class Terminal:
    """Where the story's commands are typed: in the demo's folder, against the running service."""

    place: Place
    target: str
    left: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        blocks = re.findall(r"^```(sh|python)\n(.*?)^```", PAGE.read_text(encoding="utf-8"), re.MULTILINE | re.DOTALL)
        for language, block in blocks:
            self.left += [block] if language == "python" else block.splitlines()

    def type_up_to(self, last: str) -> str:
        """Type the page's next commands up to the one that begins so; each must succeed. Return the last output."""
        while True:
            line = self.left.pop(0)
            output = "" if line.startswith(LEFT_TO_FIXTURES) else self.type(line)
            if line.startswith(last):
                return output

    def type(self, line: str) -> str:
        program, *arguments = shlex.split(line) if line.startswith("deephypebot") else ("python", line)
        typed = command(*arguments) if program == "deephypebot" else [sys.executable, "-c", line]
        done = subprocess.run(
            typed,
            cwd=self.place.root,
            env={**environment(), "DEEPHYPEBOT_TARGET": self.target},
            capture_output=True,
            text=True,
            timeout=600,
            check=False,
        )
        assert done.returncode == 0, (line, done.stdout[-2000:], done.stderr[-2000:])
        return done.stdout + done.stderr

    def status(self, name: str) -> dict[str, Any]:
        found: dict[str, Any] = json.loads(self.type(f"deephypebot experiment status {name} --json"))
        return found


@pytest.fixture(scope="module")
def place(demo_run: DemoRun, tmp_path_factory: pytest.TempPathFactory) -> Place:
    """A copy of what the demo made, with the corpus and the catalog where a demo on the sample has them."""
    root = tmp_path_factory.mktemp("experiment") / "copy"
    shutil.copytree(demo_run.place.root, root, ignore=shutil.ignore_patterns("service"))
    workspace = root / "workspace"
    (workspace / "sample").mkdir(exist_ok=True)
    shutil.copyfile(root / CATALOG_FILE, workspace / "sample" / CATALOG_FILE)
    (workspace / "corpora" / "posts").rename(workspace / "corpora" / "sample")
    return Place(root=root)


@pytest.fixture(scope="module")
def service(place: Place) -> Iterator[ServiceProcess]:
    with serving(place, "--exposures", str(place.workspace / "exposures")) as running:
        yield running


def waiting(terminal: Terminal) -> list[dict[str, Any]]:
    lines = terminal.type("deephypebot queue export --format jsonl --status waiting").splitlines()
    return [json.loads(line) for line in lines if line.startswith("{")]


def judge(terminal: Terminal, rows: list[dict[str, Any]]) -> None:
    """Give the verdicts of one sitting. The curator sees texts alone."""
    liked = {row["candidate_id"]: len(row["text"]) < MAX_LENGTH and bool(PEOPLE.search(row["text"])) for row in rows}
    for verdict in ("accept", "reject"):
        ids = [name for name, is_liked in liked.items() if is_liked == (verdict == "accept")]
        if ids:
            terminal.type(f"deephypebot queue {verdict} {' '.join(ids)} --who ana")


def test_the_story_runs_as_the_page_tells_it(place: Place, service: ServiceProcess) -> None:
    terminal = Terminal(place, service.target)
    assert "lcgan/2" in terminal.type_up_to("deephypebot models list")
    assert "people" in terminal.type_up_to("deephypebot experiment start")
    before = {row["candidate_id"] for row in waiting(terminal)}
    terminal.type_up_to("deephypebot bot once")
    rows = [row for row in waiting(terminal) if row["candidate_id"] not in before]
    songs = list(dict.fromkeys(row["candidate_id"].rsplit(".", 1)[0] for row in rows))
    assert len(songs) >= SONGS_JUDGED
    assert not any(row["model_version"] for row in rows)  # blind
    for start in range(0, SONGS_JUDGED, SONGS_A_SITTING):
        sitting = set(songs[start : start + SONGS_A_SITTING])
        judge(terminal, [row for row in rows if row["candidate_id"].rsplit(".", 1)[0] in sitting])
        found = terminal.status("people")
        assert found["songs"]["whole"] == start + SONGS_A_SITTING
    assert sum(arm["samples"] for arm in found["arms"]) == 4 * SONGS_JUDGED == 120
    assert is_decided(found), found["recommendation"]
    sentence = terminal.type_up_to("deephypebot experiment report")
    assert found["recommendation"].split(".")[0] in " ".join(sentence.split())
    assert (place.workspace / "experiments" / "people" / "report.html").is_file()
    terminal.type("deephypebot experiment watch --once")
    check_mlflow(place, found)
    assert "champion" in terminal.type_up_to("deephypebot models list")
    assert holder(place, "champion") == "2"
    assert "verdicts" in terminal.type_up_to("deephypebot experiment verdicts")
    terminal.type_up_to("deephypebot models list")
    assert holder(place, "challenger") == "3"
    assert holder(place, "champion") == "2"
    listed = terminal.type_up_to("deephypebot experiment list")
    assert "learned" in listed
    assert "people" in listed
    assert not terminal.left


def holder(place: Place, alias: str) -> str:
    return str(MlflowClient(place.tracking_uri).get_model_version_by_alias("lcgan", alias).version)


def is_decided(report: dict[str, Any]) -> bool:
    return bool(report["treatments"][0]["comparison"]["decision"] != "undecided")


def check_mlflow(place: Place, report: dict[str, Any]) -> None:
    """MLflow has the feedback of every judged sample of the experiment."""
    client = MlflowClient(place.tracking_uri)
    experiment = client.get_experiment_by_name("deephypebot")
    assert experiment is not None
    traces = client.search_traces(locations=[experiment.experiment_id], max_results=500)
    feedback = [each for trace in traces for each in trace.info.assessments]
    assert len(feedback) >= sum(arm["samples"] for arm in report["arms"])
