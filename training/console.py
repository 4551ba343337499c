"""Progress in the terminal, and without one as plain lines."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Final

from rich.console import Console
from rich.progress import BarColumn, Progress, TaskID, TextColumn, TimeElapsedColumn

from training.progress import Progress as StageProgress

_EVERY_S: Final = 5.0
"""Seconds between two lines of one stage."""


class StageReports:
    """Progress of stages; remembers where the last one is."""

    def __init__(self) -> None:
        self._last = ""

    @property
    def last(self) -> str:
        """Stage that reported last, with what it reported; empty before the first report."""
        return self._last

    def watch(self, stage: str) -> StageProgress:
        """Begin a stage and return its progress callback."""
        show = self._shown(stage)

        def update(done: float, total: float, note: str) -> None:
            self._last = f"{stage} {done / total:.0%}".replace(" 100%", "") if total else stage
            show(done, total, note)

        return update

    def _shown(self, stage: str) -> StageProgress:
        raise NotImplementedError


class _Bars(StageReports):
    """A bar for each stage."""

    def __init__(self, bars: Progress) -> None:
        super().__init__()
        self._bars = bars

    def _shown(self, stage: str) -> StageProgress:
        task: TaskID = self._bars.add_task(stage, total=None, note="")

        def update(done: float, total: float, note: str) -> None:
            self._bars.update(task, completed=done, total=total, note=note)

        return update


class _Lines(StageReports):
    """Plain lines for each stage: the first report, one every few seconds, and the last."""

    def __init__(self, console: Console, clock: Callable[[], float]) -> None:
        super().__init__()
        self._console = console
        self._clock = clock
        self._started = clock()

    def _shown(self, stage: str) -> StageProgress:
        due, ended = 0.0, False

        def update(done: float, total: float, note: str) -> None:
            nonlocal due, ended
            now, ends = self._clock(), done >= total
            if now < due and (ended or not ends):
                return
            due, ended = now + _EVERY_S, ends
            part = f" {done / total:4.0%}" if total else ""
            line = f"{now - self._started:5.0f} s  {stage:<20}{part}  {note}".rstrip()
            self._console.print(line, soft_wrap=True, markup=False, highlight=False)

        return update


@contextmanager
def stage_bars(console: Console, clock: Callable[[], float] = time.monotonic) -> Iterator[StageReports]:
    """Show the progress of stages while the block runs: as bars in a terminal, otherwise as lines every few seconds."""
    if not console.is_terminal:
        yield _Lines(console, clock)
        return
    columns = (
        TextColumn("{task.description:<20}"),
        BarColumn(),
        TimeElapsedColumn(),
        TextColumn("{task.fields[note]}"),
    )
    with Progress(*columns, console=console, transient=False) as bars:
        yield _Bars(bars)


@contextmanager
def told_when_stopped(console: Console, how_it_goes_on: str) -> Iterator[None]:
    """Say how a command goes on if Ctrl-C stops it within the block."""
    try:
        yield
    except KeyboardInterrupt:
        console.print(f"stopped; {how_it_goes_on}", soft_wrap=True, markup=False, highlight=False)
        raise
