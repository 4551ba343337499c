"""A bot in the foreground: signals, progress, the log of its passes."""

from __future__ import annotations

import contextlib
import os
import signal
import threading
import time
from collections.abc import Callable, Iterator
from types import FrameType

import structlog
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from bot.domain.errors import BotError
from bot.observe.health import Pulse
from bot.services.source_posts import Progress as ProgressCallback
from bot.services.summary import Summary

_EVERY_S = 5.0
"""Seconds between two lines of progress without a terminal."""
_LAST_RESORT_S = 4.5
"""Seconds after a stop until the process ends in the middle of a step, as by a kill; the next start repairs that."""


@contextlib.contextmanager
def stop_signals(*, last_resort_s: float = _LAST_RESORT_S) -> Iterator[threading.Event]:
    """Turn SIGTERM and SIGINT into an event.

    A call that hangs cannot be interrupted. Every step is safe against a kill, so the process exits if the current step
    has not ended `last_resort_s` seconds after the signal.
    """
    stop = threading.Event()
    names = (signal.SIGTERM, signal.SIGINT)
    timer = threading.Timer(last_resort_s, os._exit, args=(0,))
    timer.daemon = True

    def begin(_signal: int, _frame: FrameType | None) -> None:
        if not stop.is_set():
            stop.set()
            timer.start()

    before = [signal.signal(name, begin) for name in names]
    try:
        yield stop
    finally:
        timer.cancel()
        for name, handler in zip(names, before, strict=True):
            signal.signal(name, handler)


@contextlib.contextmanager
def progress_bar(console: Console, what: str) -> Iterator[ProgressCallback]:
    """Progress for `Bot.tick`: a bar in a terminal, otherwise a line every few seconds."""
    if not console.is_terminal:
        yield _lines(console, what, time.monotonic)
        return
    columns = (TextColumn(what), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with Progress(*columns, console=console, transient=True) as bar:
        task = bar.add_task(what, total=None)
        yield lambda done, total: bar.update(task, completed=done, total=total)


def _lines(console: Console, what: str, clock: Callable[[], float]) -> ProgressCallback:
    due = clock() + _EVERY_S

    def tell(done: int, total: int) -> None:
        nonlocal due
        if clock() >= due:
            due = clock() + _EVERY_S
            console.print(f"{done} of {total} {what}", soft_wrap=True, highlight=False)

    return tell


def beat(pulse: Pulse, result: Summary | BotError, *, redact: Callable[[str], str]) -> None:
    """Record the end of a pass in the pulse."""
    if isinstance(result, BotError):
        pulse.beat(redact(str(result)), failed=True)
        return
    pulse.problems.update(result.failed_parts)
    pulse.gateway_errors += bool(result.outage)
    pulse.beat(redact("; ".join(filter(None, [*result.problems, *result.waiting, result.outage]))))


def log_pass(log: structlog.stdlib.BoundLogger, result: Summary | BotError) -> None:
    """Log a pass: its counts that are not zero, and a line for each problem."""
    if isinstance(result, BotError):
        log.error("pass failed", error=str(result))
        return
    for problem in result.problems:
        log.warning("problem", what=problem)
    for notice in result.notices:
        log.info("notice", what=notice)
    if result.outage:
        log.warning("no commentary", why=result.outage, source_posts_pending=result.source_posts_pending)
    counts = {name: count for name, count in result.counts().items() if count}
    if counts and not result.is_idle:
        log.info("pass", **counts)
    else:
        log.debug("nothing new")
