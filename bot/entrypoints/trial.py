"""`--sandbox`: the whole bot against stand-ins for X, all lookups and Google Sheets on loopback.

Nothing leaves this machine and no account is needed. Clients, database and model server are the real ones.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta

from pydantic import SecretStr

from bot.sandbox.account import SandboxSettings
from bot.sandbox.client import SandboxControl
from bot.sandbox.server import SandboxServer
from bot.sections import PostSettings, Section, SheetSettings, XSettings
from bot.settings import BotSettings

FOLDER = "sandbox"
"""Folder of the trial's database within the workspace; each trial replaces it."""
_KEY = "key.json"


@dataclass(frozen=True, slots=True, kw_only=True)
class Trial:
    """Settings that lead a bot to the stand-ins, and control over the stand-ins."""

    settings: BotSettings
    control: SandboxControl

    def curate(self) -> int:
        """Accept the first waiting candidate of each song on the sheet, as a curator; the number of them."""
        header, *rows = self.control.sheet(self.settings.sheet.worksheet)
        accepted = 0
        for cells in rows:
            row = dict(zip(header, cells, strict=True))
            if row["candidate_id"].endswith(".1") and row["status"] == "waiting":
                self.control.edit(self.settings.sheet.worksheet, row["candidate_id"], "curator", "sandbox curator")
                self.control.edit(self.settings.sheet.worksheet, row["candidate_id"], "status", "accepted")
                accepted += 1
        return accepted


@contextmanager
def sandboxed(settings: BotSettings) -> Iterator[Trial]:
    """Start stand-ins with some posts, for the life of the block.

    Args:
        settings: the bot's own. Their gateway, catalog and model are used, their accounts and database are not.
    """
    workspace = settings.workspace / FOLDER
    shutil.rmtree(workspace, ignore_errors=True)
    workspace.mkdir(parents=True)
    with SandboxServer(filled=True) as server:
        key = workspace / _KEY
        key.write_text(json.dumps(server.settings.google.service_account), encoding="utf-8")
        key.chmod(0o600)
        networks = _networks(server.settings, settings.accounts, key_file=key.as_posix())
        yield Trial(
            settings=settings.model_copy(update={"workspace": workspace, "feed": None, "song_days": 0.0, **networks}),
            control=server.control,
        )


def _networks(sandbox: SandboxSettings, accounts: Mapping[str, Section], *, key_file: str) -> dict[str, object]:
    x, url = sandbox.x, sandbox.url
    return {
        "x": XSettings(
            consumer_key=SecretStr(x.consumer_key),
            consumer_secret=SecretStr(x.consumer_secret),
            access_token=SecretStr(x.access_token),
            access_token_secret=SecretStr(x.access_token_secret),
            base_url=url,
            replies=True,
        ),
        **{name: type(accounts[name]).model_validate(section) for name, section in sandbox.lookups.items()},
        "sheet": SheetSettings.model_validate(
            {"credentials": key_file, "spreadsheet": sandbox.google.spreadsheet_id, "base_url": url}
        ),
        "post": PostSettings(
            to="x",
            dry_run=False,
            hold=timedelta(0),
            min_gap=timedelta(0),
            same_song_days=0,
            per_day=50,
            per_pass=50,
            settle_s=0,
            reply_to_mentions=True,
        ),
    }
