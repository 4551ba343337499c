"""Kills of a watch before each of its writes: the next pass finishes what was begun, and does nothing twice."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable, Iterable
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest
from mlflow import MlflowClient

from experiments.definition import Experiment
from experiments.sources import Sources
from experiments.watching import Watcher
from serving.traffic.experiment import ExperimentDesign
from tests.experiments.lab import EXPERIMENT, START, Lab, exposure, failure

pytestmark = [pytest.mark.integration, pytest.mark.timeout(600)]

WRITES = (
    "set_registered_model_tag",
    "delete_registered_model_tag",
    "set_model_version_tag",
    "delete_model_version_tag",
    "set_registered_model_alias",
    "delete_registered_model_alias",
    "create_run",
    "log_batch",
    "log_artifact",
    "set_terminated",
)
"""Calls by which MLflow's client writes."""
_DONE = 0


def killed_pass(lab: Lab, step: int) -> bool:
    """Make one pass in a process of its own that is killed before its n-th write; return whether it was."""
    child = os.fork()
    if child == 0:
        _die_before(step)
        os._exit(_DONE if _pass(lab) else 1)
    _, status = os.waitpid(child, 0)
    if os.WIFSIGNALED(status):
        assert os.WTERMSIG(status) == signal.SIGKILL
        return True
    assert os.WEXITSTATUS(status) == _DONE
    return False


def _pass(lab: Lab) -> bool:
    sources = Sources(workspace=lab.folder)
    return Watcher(sources=sources, tracking_uri=lab.uri, now=lab.now, syncs_verdicts=False).run_once()


def _die_before(step: int) -> None:
    left = step

    def counted(write: Callable[..., Any]) -> Callable[..., Any]:
        def wrapped(*arguments: Any, **options: Any) -> Any:
            nonlocal left
            left -= 1
            if left == 0:
                os.kill(os.getpid(), signal.SIGKILL)
            return write(*arguments, **options)

        return wrapped

    for name in WRITES:
        setattr(MlflowClient, name, counted(getattr(MlflowClient, name)))


def state(lab: Lab) -> dict[str, Any]:
    """All that a pass leaves, without the ids of runs."""
    client = MlflowClient(lab.uri, lab.uri)
    project = client.get_experiment_by_name("deephypebot")
    assert project is not None
    return {
        "definition": lab.registry.get("winter"),
        "tags": lab.tags(),
        "reasons": [lab.tag(version, "experiment_reason") for version in "123"],
        "aliases": dict(client.get_registered_model("lcgan").aliases),
        "runs": sorted(
            (str(run.info.run_name), run.info.status, run.data.tags["mlflow.note.content"], len(run.data.metrics))
            for run in client.search_runs([project.experiment_id])
        ),
    }


def songs(lab: Lab) -> None:
    for _ in range(25):
        lab.add_song([("1", False), ("2", True)], experiment="winter")


def failures(lab: Lab) -> None:
    lab.store().close()
    lab.expose(
        *(
            (failure if version == "2" and each % 3 == 0 else exposure)(
                f"{each}-{version}", version, time=START + timedelta(seconds=each)
            )
            for each in range(150)
            for version in ("1", "2")
        )
    )


CASES: Iterable[tuple[Experiment, Callable[[Lab], None]]] = (
    (replace(EXPERIMENT, auto=True), songs),
    (replace(EXPERIMENT, design=ExperimentDesign.STICKY), failures),
)


@pytest.mark.slow
@pytest.mark.parametrize(("experiment", "fill"), CASES)
def test_whenever_a_watch_is_killed_the_next_pass_leaves_the_same(
    experiment: Experiment, fill: Callable[[Lab], None], lab: Lab
) -> None:
    lab.registry.start(experiment)
    fill(lab)
    lab.pass_time(hours=1)
    database = lab.folder / "mlflow.db"
    before = database.read_bytes()

    assert not killed_pass(lab, 0)
    expected, step = state(lab), 0
    assert not expected["definition"].is_running
    while True:
        database.write_bytes(before)
        step += 1
        if not killed_pass(lab, step):
            break
        assert not killed_pass(lab, 0), "the next pass is whole"
        assert state(lab) == expected, f"killed before write {step}"
    assert step > 15, "there were as many moments as writes"
