"""Bars of work under way in the terminal."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from rich.console import Console
from rich.progress import BarColumn, Progress, TaskID, TextColumn, TimeElapsedColumn

from training.progress import Progress as StageProgress


class StageBars:
    """A bar per stage, made when the stage first speaks."""

    def __init__(self, bars: Progress, verb: str) -> None:
        self._bars = bars
        self._verb = verb
        self._tasks: dict[str, TaskID] = {}

    def watch(self, stage: str) -> StageProgress:
        """The progress of one stage."""
        task = self._bars.add_task(f"{self._verb}: {stage}", total=None, note="")

        def tell(done: float, total: float, note: str) -> None:
            self._bars.update(task, completed=done, total=total, note=note)

        return tell


@contextmanager
def stage_bars(console: Console, verb: str = "train") -> Iterator[StageBars]:
    """Bars for as long as the block runs; in a file or a pipe only their last state is written."""
    columns = (
        TextColumn("{task.description:<20}"),
        BarColumn(),
        TimeElapsedColumn(),
        TextColumn("{task.fields[note]}"),
    )
    with Progress(*columns, console=console, transient=False) as bars:
        yield StageBars(bars, verb)
