"""Kill a bot at every moment of its work with the stand-ins, let another one finish, print the final state.

The stand-ins have their own process for each moment; the bot is a fork of this process, which has one thread. It is
killed with SIGKILL before or after its n-th commit, and before or after its n-th external call (google-auth makes some
in its own thread), for every STRIDE-th n. One JSON line is printed per moment: the first is of a bot that is not
killed, the last of one that finished before it was to be killed.
"""

from __future__ import annotations

import json
import os
import signal
import sqlite3
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import requests
from typing_extensions import override

from bot.adapters.sheets import board as sheets_board
from bot.adapters.x import publisher as x_publisher
from bot.adapters.x import source as x_source
from bot.sandbox.account import SandboxSettings
from bot.sandbox.client import SandboxControl
from bot.sandbox.server import SandboxServer
from bot.services.summary import Summary
from bot.settings import BotSettings
from tests.bot.helpers.killed_bot import Countdown

IMPORTED = (sheets_board, x_publisher, x_source)
"""Modules that are imported here rather than in every fork."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Scene:
    """Work of a bot that is killed at every moment."""

    prepare: Callable[[Path, SandboxSettings, SandboxControl], BotSettings]
    """Fill a folder and the stand-ins, and return the bot's settings."""
    passes: Callable[[BotSettings, SandboxControl, Countdown], Iterator[Summary]]
    """Make the bot's passes, with what curators do between them."""
    contents: Callable[[BotSettings, SandboxControl], dict[str, Any]]
    """Return what is there at last."""

    def print_all(self, folder: Path, stride: int) -> None:
        """Print one line for each moment; the first is of a bot that is not killed."""
        step, killed = 0, True
        while killed:
            found = self._at(folder / str(step), step)
            sys.stdout.write(json.dumps(found) + "\n")
            sys.stdout.flush()
            killed = bool(found["killed"]) or step == 0
            step += stride if step else 1

    def _at(self, folder: Path, step: int) -> dict[str, object]:
        """Kill at a step, let another bot finish, and return what is there."""
        child, sandbox = open_sandbox()
        try:
            control = SandboxControl(sandbox.url)
            settings = self.prepare(folder, sandbox, control)
            killed = self._work(settings, control, step) if step else ""
            self._work(settings, control, 0)
            return {"step": step, "killed": killed, "after": self.contents(settings, control)}
        finally:
            os.kill(child, signal.SIGKILL)
            os.waitpid(child, 0)

    def _work(self, settings: BotSettings, control: SandboxControl, step: int) -> str:
        """Run a bot in a process of its own that is killed at the step; the moment, or "" if it ended before."""
        told = settings.workspace / "killed"
        child = os.fork()
        if child == 0:
            countdown = ToldCountdown(step, told)
            if step:
                count_steps(countdown)
            for summary in self.passes(settings, control, countdown):
                if summary.problems or summary.outage:
                    sys.stderr.write(f"{summary}\n")
                    os._exit(1)
            os._exit(0)
        _, status = os.waitpid(child, 0)
        if os.WIFEXITED(status) and os.WEXITSTATUS(status):
            raise SystemExit(f"the bot failed at step {step}")
        return told.read_text() if os.WIFSIGNALED(status) else ""


class ToldCountdown(Countdown):
    """Countdown that writes down the moment at which it kills."""

    def __init__(self, step: int, path: Path) -> None:
        super().__init__(step)
        self._path = path

    @override
    def tell(self, what: str) -> None:
        self._path.write_text(what)


def open_sandbox() -> tuple[int, SandboxSettings]:
    """Start the stand-ins in a process of their own; its id and their settings."""
    reader, writer = os.pipe()
    child = os.fork()
    if child == 0:
        server = SandboxServer(enforce_limits=False)
        os.write(writer, json.dumps(server.settings.as_document()).encode() + b"\n")
        server.serve()
        os._exit(0)
    os.close(writer)
    with os.fdopen(reader, "rb") as pipe:
        return child, SandboxSettings.from_json(pipe.readline())


def count_steps(countdown: Countdown) -> None:
    """Make commits and the bot's outside calls in this process steps of the countdown."""
    connect, send = sqlite3.connect, requests.adapters.HTTPAdapter.send

    def counted_connect(*arguments: Any, **options: Any) -> sqlite3.Connection:
        connection: sqlite3.Connection = connect(*arguments, **options)
        # Called before each statement; BEGIN follows the commit before it.
        moments = {"COMMIT": "before a commit", "BEGIN IMMEDIATE": "after a commit"}
        connection.set_trace_callback(lambda text: countdown.tick(moments[text]) if text in moments else None)
        return connection

    def counted_send(self: Any, request: requests.PreparedRequest, *arguments: Any, **options: Any) -> Any:
        path = (request.path_url or "").partition("?")[0]
        if path.startswith("/sandbox/"):  # a call of the curator
            return send(self, request, *arguments, **options)
        countdown.tick(f"before {request.method} {path}")
        answer = send(self, request, *arguments, **options)
        countdown.tick(f"after {request.method} {path}")
        return answer

    sqlite3.connect = counted_connect  # type: ignore[assignment] # with all of its signatures
    requests.adapters.HTTPAdapter.send = counted_send  # type: ignore[method-assign] # the outermost of all calls
