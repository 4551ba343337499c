"""Kill a sync at every commit, let another one finish, and print what MLflow has then.

Run as a program: `killed_sync.py TEMPLATE FOLDER`. Everything is imported once; each sync is a fork of this process and
is killed with SIGKILL before or after its n-th commit in the ledger or in MLflow's database. One JSON line per moment;
the last one is of a sync that nobody killed.
"""

from __future__ import annotations

import itertools
import json
import os
import shutil
import signal
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

from sqlalchemy import event
from sqlalchemy.engine import Engine

from experiments.tracking.ledger import Ledger
from tests.experiments.tracking.world import World, stored_verdicts, verdict


class Countdown:
    """Counter of moments that kills this process at the n-th one; never if n is 0."""

    def __init__(self, step: int) -> None:
        self._left = step
        self._has_written = False
        self._has_committed = False

    def note(self, _connection: object, _cursor: object, statement: str, *_: object) -> None:
        """Note that MLflow writes: a kill before or after a commit of nothing is the same as the one before it."""
        self._has_written |= not statement.lstrip().upper().startswith(("SELECT", "PRAGMA", "WITH"))

    def before_commit(self, _connection: object) -> None:
        """Count a commit of MLflow's."""
        if self._has_written:
            self.tick()
        self._has_written, self._has_committed = False, self._has_written

    def after_commit(self, *_: object) -> None:
        """Count the end of a commit of MLflow's."""
        if self._has_committed:
            self.tick()
        self._has_committed = False

    def tick(self) -> None:
        self._left -= 1
        if self._left == 0:
            os.kill(os.getpid(), signal.SIGKILL)

    def see(self, statement: str) -> None:
        """Count the ledger's transactions: nothing inside of one outlasts a kill."""
        if statement.startswith(("BEGIN", "COMMIT")):
            self.tick()


def watch(countdown: Countdown) -> None:
    """Count the commits that this process makes."""
    open_ledger = Ledger.__init__

    def opened(ledger: Ledger, path: Path) -> None:
        open_ledger(ledger, path)
        ledger._connection.set_trace_callback(countdown.see)

    Ledger.__init__ = opened  # type: ignore[method-assign, assignment]
    event.listen(Engine, "before_cursor_execute", countdown.note)
    event.listen(Engine, "commit", countdown.before_commit)
    # The pool takes a connection back when the commit is done.
    event.listen(Engine, "checkin", countdown.after_commit)


def in_a_process(work: Callable[[], None]) -> int:
    """Run something in a fork of this process; its wait status. MLflow keeps databases open in a process."""
    child = os.fork()
    if child == 0:
        code = 4
        try:
            work()
            code = 0
        finally:
            sys.stdout.flush()
            os._exit(code)
    return os.waitpid(child, 0)[1]


def finish(world: World) -> None:
    """Sync everything."""
    result = world.sync()
    assert result.away is None
    assert (result.refused, result.waiting) == (0, 0)


def killed_at(world: World, step: int) -> bool:
    """Sync in a process of its own, which is killed at a step; whether it was killed."""

    def work() -> None:
        watch(Countdown(step))
        finish(world)

    status = in_a_process(work)
    assert os.WIFSIGNALED(status) or status == 0
    return os.WIFSIGNALED(status)


def contents(world: World) -> dict[str, Any]:
    """Return what MLflow has: feedback (which fails for a double), traces with their spans, figures, runs."""
    client = world.client
    runs = client.search_runs(["1"], filter_string="tags.`deephypebot.verdicts` LIKE 'lcgan/%'")
    return {
        "feedback": world.feedback(),
        "spans": {name: [len(trace.data.spans) for trace in world.traces(name)] for name in world.model_ids},
        "metrics": {name: world.metrics(name) for name in world.model_ids},
        "history": {
            run.info.run_name: [
                metric.value for metric in client.get_metric_history(run.info.run_id, "verdicts.judged")
            ]
            for run in runs
        },
        "runs": len(runs),
    }


def prepare(world: World) -> None:
    """Give the store songs with verdicts: MLflow has some; since then one changed, one was undone, one is new."""
    [[first, second], [third]] = world.add_songs([["1", "2"], ["2"]])
    world.decide(verdict(first, True), verdict(second, True))
    assert in_a_process(lambda: finish(world)) == 0
    world.decide(verdict(first, False, reason="makes no sense"), verdict(second, None), verdict(third, False))


def main(template: Path, folder: Path) -> None:
    model_ids = json.loads((template / "models.json").read_text())

    def world_in(place: Path) -> World:
        return World(folder=place, uri=f"sqlite:///{place / 'mlflow.db'}", model_ids=model_ids)

    prepare(world_in(template))
    for step in itertools.count(1):
        place = folder / str(step)
        shutil.copytree(template, place)
        world = world_in(place)
        killed = killed_at(world, step)

        def tell(world: World = world, step: int = step, killed: bool = killed) -> None:
            finish(world)
            run = {"step": step, "killed": killed, "after": contents(world), "store": stored_verdicts(world.store_path)}
            sys.stdout.write(json.dumps(run) + "\n")

        assert in_a_process(tell) == 0
        shutil.rmtree(place)
        if not killed:
            return


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]))
