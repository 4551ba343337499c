"""Kill a bot at every moment at which its sheet tells the versions of a song, and print what the sheet says at last.

Run as a program: `python -m tests.bot.helpers.killed_blind FOLDER STRIDE`. The song of an experiment is on the sheet of
the stand-ins; one of its candidates is decided there, then the other in the terminal. The bot is a fork of this
process, killed before or after its n-th commit or outside call, for every STRIDE-th n; then another one finishes. One
JSON line is printed per moment, as by `tests.bot.helpers.killed_networks`.
"""

from __future__ import annotations

import json
import os
import signal
import sys
from pathlib import Path
from typing import Any

from bot.adapters.sqlite.store import SqliteStore
from bot.bootstrap import build as bootstrap
from bot.domain.candidates import CandidateStatus, Decision
from bot.sandbox.account import SandboxSettings
from bot.sandbox.client import SandboxControl
from bot.sections import PostSettings, SheetSettings
from bot.settings import BotSettings
from tests.bot.helpers.blind_songs import add_blind_song, decide
from tests.bot.helpers.killed_bot import CountedCommentary
from tests.bot.helpers.killed_networks import ToldCountdown, count_steps, open_sandbox

TAB = "queue"
PASSES = 5


def settings_of(folder: Path, sandbox: SandboxSettings) -> BotSettings:
    """Settings of a bot with a sheet alone, whose song is in the queue."""
    folder.mkdir(parents=True)
    (folder / "key.json").write_text(json.dumps(sandbox.google.service_account))
    (folder / "feed.jsonl").touch()
    sheet = SheetSettings(
        credentials=folder / "key.json",
        spreadsheet=sandbox.google.spreadsheet_id,
        worksheet=TAB,
        base_url=sandbox.url,
        timeout_s=4.5,
    )
    settings = BotSettings(workspace=folder, feed=folder / "feed.jsonl", sheet=sheet, post=PostSettings(settle_s=0))
    with SqliteStore(settings.database) as store:
        add_blind_song(store, "AB")
    return settings


def curate(settings: BotSettings, control: SandboxControl) -> None:
    """Decide on the first candidate on the sheet, and on the second one in the terminal once the bot knows that."""
    with SqliteStore(settings.database) as store:
        first, second = [row.candidate for row in store.rows()]
        if first.status is not CandidateStatus.WAITING and second.status is CandidateStatus.WAITING:
            decide(store, second.id, decision=Decision.REJECT)
    header, *rows = control.sheet(TAB)
    for row in rows:
        if row[header.index("candidate_id")] == first.id and row[header.index("status")] == "waiting":
            control.edit(TAB, first.id, "status", "accepted")


def contents(settings: BotSettings, control: SandboxControl) -> dict[str, Any]:
    """Verdicts, and what the sheet says."""
    with SqliteStore(settings.database) as store:
        verdicts = [
            list(row)
            for row in store._connection.execute(
                "SELECT candidate_id, decision, who FROM verdict ORDER BY candidate_id"
            )
        ]
    header, *rows = control.sheet(TAB)
    columns = [header.index(name) for name in ("candidate_id", "status", "curator", "variant", "score")]
    return {"verdicts": verdicts, "sheet": sorted([str(row[column]) for column in columns] for row in rows)}


def work(settings: BotSettings, control: SandboxControl, step: int) -> str:
    """Run a bot in a process of its own that is killed at the given step; the moment, or "" if it ended before."""
    told = settings.workspace / "killed"
    child = os.fork()
    if child == 0:
        countdown = ToldCountdown(step, told)
        if step:
            count_steps(countdown)
        for _ in range(PASSES):
            with bootstrap.build(settings, commentary=CountedCommentary(countdown)) as bot:
                summary = bot.tick()
            if summary.problems or summary.outage:
                sys.stderr.write(f"{summary}\n")
                os._exit(1)
            curate(settings, control)
        os._exit(0)
    _, status = os.waitpid(child, 0)
    if os.WIFEXITED(status) and os.WEXITSTATUS(status):
        raise SystemExit(f"the bot failed at step {step}")
    return told.read_text() if os.WIFSIGNALED(status) else ""


def one_moment(folder: Path, step: int) -> dict[str, object]:
    """Kill at a step, let another bot finish, and return what is there."""
    child, sandbox = open_sandbox()
    try:
        settings, control = settings_of(folder, sandbox), SandboxControl(sandbox.url)
        killed = work(settings, control, step) if step else ""
        work(settings, control, 0)
        return {"step": step, "killed": killed, "after": contents(settings, control)}
    finally:
        os.kill(child, signal.SIGKILL)
        os.waitpid(child, 0)


def main(folder: Path, stride: int) -> None:
    """Print one line for each moment; the first is of a bot that is not killed."""
    step, killed = 0, True
    while killed:
        run = one_moment(folder / str(step), step)
        sys.stdout.write(json.dumps(run) + "\n")
        sys.stdout.flush()
        killed = bool(run["killed"]) or step == 0
        step += stride if step else 1


if __name__ == "__main__":
    main(Path(sys.argv[1]), int(sys.argv[2]))
