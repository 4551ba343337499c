"""Progress bars in the terminal."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from rich.console import Console
from rich.progress import BarColumn, Progress, TaskID, TextColumn, TimeElapsedColumn

from training.progress import Progress as StageProgress


class StageBars:
    """Progress bars, one per stage."""

    def __init__(self, bars: Progress, verb: str) -> None:
        self._bars = bars
        self._verb = verb
        self._tasks: dict[str, TaskID] = {}

    def watch(self, stage: str) -> StageProgress:
        """Add a bar for a stage and return its progress callback."""
        task = self._bars.add_task(f"{self._verb}: {stage}", total=None, note="")

        def update(done: float, total: float, note: str) -> None:
            self._bars.update(task, completed=done, total=total, note=note)

        return update


@contextmanager
def stage_bars(console: Console, verb: str = "train") -> Iterator[StageBars]:
    """Show bars while the block runs; into a file or a pipe, only their last state is written."""
    columns = (
        TextColumn("{task.description:<20}"),
        BarColumn(),
        TimeElapsedColumn(),
        TextColumn("{task.fields[note]}"),
    )
    with Progress(*columns, console=console, transient=False) as bars:
        yield StageBars(bars, verb)
