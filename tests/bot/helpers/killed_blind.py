"""Kill a bot at every moment at which its sheet tells the versions of a song, and print what the sheet says at last.

Run as a program: `python -m tests.bot.helpers.killed_blind FOLDER STRIDE`. The song of an experiment is on the sheet of
the stand-ins; one of its candidates is decided there, then the other in the terminal. See
`tests.bot.helpers.killed_sandbox`.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from bot.adapters.sqlite.store import SqliteStore
from bot.bootstrap import build as bootstrap
from bot.domain.candidates import CandidateStatus, Decision
from bot.sandbox.account import SandboxSettings
from bot.sandbox.client import SandboxControl
from bot.sections import PostSettings, SheetSettings
from bot.services.summary import Summary
from bot.settings import BotSettings
from tests.bot.helpers.blind_songs import add_blind_song, decide
from tests.bot.helpers.killed_bot import Countdown, CountedCommentary
from tests.bot.helpers.killed_sandbox import Scene

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


def prepare(folder: Path, sandbox: SandboxSettings, _control: SandboxControl) -> BotSettings:
    return settings_of(folder, sandbox)


def passes(settings: BotSettings, control: SandboxControl, countdown: Countdown) -> Iterator[Summary]:
    for _ in range(PASSES):
        with bootstrap.build(settings, commentary=CountedCommentary(countdown)) as bot:
            summary = bot.tick()
        yield summary
        curate(settings, control)


if __name__ == "__main__":
    Scene(prepare=prepare, passes=passes, contents=contents).print_all(Path(sys.argv[1]), int(sys.argv[2]))
