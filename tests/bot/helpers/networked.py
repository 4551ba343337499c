"""A bot on the stand-ins of X and Google Sheets, with curators who accept, edit and sort."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterable, Mapping
from datetime import timedelta
from pathlib import Path
from typing import Any

from pydantic import SecretStr

from bot.adapters.sqlite.store import SqliteStore
from bot.bootstrap import build as bootstrap
from bot.domain.candidates import CandidateStatus, Decision, Verdict
from bot.ports import CommentaryService
from bot.sandbox.account import SandboxSettings
from bot.sandbox.client import SandboxControl
from bot.sections import PostSettings, SheetSettings, XSettings
from bot.services.summary import Summary
from bot.settings import BotSettings

TAB = "queue"
POSTS = [
    {"text": "Listen to Ona Vell’s “Slow Lamp”", "author": "radio"},
    {"text": "What a grey morning.", "author": "grey"},
    {"text": "“Tin Sea” by Tor Brisk", "author": "radio"},
    {"text": "@sandboxbot “Moss” by Ona Vell?", "author": "curious"},
]
EDITED = "A sea of tin, in my own words."
TOO_LONG = "A sea of tin, in too many words. " * 10
ELSEWHERE = "A lamp, in somebody else's words."
PASSES = 5
"""Number of passes without faults: source posts to the board, verdicts, posts, a mended text, and one that is idle."""


def people_post(control: SandboxControl) -> None:
    """Add the posts, with ids that are the same in every run, because seeds and texts follow from them."""
    control.add_posts([{**post, "id": str(2_000_000_000_000_000_000 + n)} for n, post in enumerate(POSTS)])


def bot_settings(folder: Path, sandbox: SandboxSettings, *, timeout_s: float = 4.5) -> BotSettings:
    """Settings of a bot that reads, uses a board and posts, without pauses of its own."""
    folder.mkdir(parents=True, exist_ok=True)
    key = folder / "key.json"
    key.write_text(json.dumps(sandbox.google.service_account))
    x = sandbox.x
    return BotSettings(
        workspace=folder,
        concurrency=1,
        num_samples=2,
        x=XSettings(
            consumer_key=SecretStr(x.consumer_key),
            consumer_secret=SecretStr(x.consumer_secret),
            access_token=SecretStr(x.access_token),
            access_token_secret=SecretStr(x.access_token_secret),
            base_url=sandbox.url,
            replies=True,
            timeout_s=timeout_s,
        ),
        sheet=SheetSettings(
            credentials=key,
            spreadsheet=sandbox.google.spreadsheet_id,
            worksheet=TAB,
            base_url=sandbox.url,
            timeout_s=timeout_s,
        ),
        post=PostSettings(
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
    )


def with_all_accounts(settings: BotSettings, sandbox: SandboxSettings) -> BotSettings:
    """The settings with an account on each of the other networks and services."""
    sections: dict[str, Mapping[str, str]] = {
        "bluesky": {
            "handle": sandbox.bluesky_handle,
            "app_password": sandbox.bluesky_password,
            "base_url": sandbox.url,
        },
        "mastodon": {"access_token": sandbox.mastodon_access_token, "base_url": sandbox.url},
        **sandbox.lookups,
    }
    return settings.model_copy(
        update={name: type(settings.accounts[name]).model_validate(section) for name, section in sections.items()}
    )


def one_pass(settings: BotSettings, control: SandboxControl, commentary: CommentaryService) -> Summary:
    """Run a bot for one pass; then let curators decide, one on the sheet, one in the terminal."""
    with bootstrap.build(settings, commentary=commentary) as bot:
        summary = bot.tick()
    _decide_in_the_terminal(settings, control)
    _curate(control)
    return summary


def _rows(control: SandboxControl) -> list[list[str]]:
    try:
        return control.sheet(TAB)
    except RuntimeError:
        return []  # the tab does not exist yet


def _decide_in_the_terminal(settings: BotSettings, control: SandboxControl) -> None:
    """Accept one of the waiting rows on the sheet with another text and reject another one."""
    decisions = {"Slow Lamp": (Decision.ACCEPT, ELSEWHERE), "Moss": (Decision.REJECT, None)}
    shown = {row[0] for row in _rows(control)}
    with SqliteStore(settings.database) as store:
        waiting = [row.candidate for row in store.rows(status=CandidateStatus.WAITING)]
        second = [candidate for candidate in waiting if candidate.number == 2 and candidate.id in shown]
        for candidate in second:
            if candidate.report.song.title in decisions:
                decision, text = decisions[candidate.report.song.title]
                store.decide([Verdict(candidate_id=candidate.id, decision=decision, who="bo", edited_text=text)])


def _curate(control: SandboxControl) -> None:
    """Accept the first candidate of each song and one more with a text that is too long; sort the sheet in reverse.

    Once that one is set back, it is accepted with another text.
    """
    if not (table := _rows(control)):
        return
    header, *rows = table
    control.sort(TAB, header[0], descending=True)
    for cells in rows:
        row = dict(zip(header, cells, strict=True))
        if row["status"] != "waiting":
            continue
        if row["candidate_id"].endswith(".1"):
            control.edit(TAB, row["candidate_id"], "status", "accepted")
        elif "Tin Sea" in row["commentary"] or row["commentary"] == TOO_LONG:
            text = EDITED if row["commentary"] == TOO_LONG else TOO_LONG
            control.edit(TAB, row["candidate_id"], "commentary", text)
            control.edit(TAB, row["candidate_id"], "status", "accepted")


def contents(settings: BotSettings, control: SandboxControl) -> dict[str, Any]:
    """Everything that the bot did, here and on the networks, without times and the networks' own ids."""
    connection = sqlite3.connect(settings.database)
    queries = {
        "tweets": "SELECT text, status FROM tweet ORDER BY id",
        "candidates": "SELECT json_extract(sample, '$.text'), status, board FROM candidate ORDER BY id",
        "verdicts": "SELECT candidate_id, decision, edited_text, who FROM verdict ORDER BY candidate_id, id",
        "posts": "SELECT candidate_id, text, status, mode FROM post ORDER BY candidate_id",
    }
    found: dict[str, Any] = {name: connection.execute(query).fetchall() for name, query in queries.items()}
    connection.close()
    header, *rows = control.sheet(TAB)
    columns = [header.index(name) for name in ("candidate_id", "status", "commentary", "curator", "post_preview")]
    found["sheet"] = sorted([row[column] for column in columns] for row in rows)
    found["notes"] = control.notes(TAB)
    found["posted"] = sorted([post["text"], bool(post["reply_to"])] for post in control.posted())
    plain: dict[str, Any] = json.loads(json.dumps(found))
    return plain


def write_config(path: Path, settings: BotSettings, accounts: Iterable[str] = ("x", "sheet")) -> Path:
    """Write some accounts of the settings into a file for the command, and X's posting if X is one of them."""
    lines = ["interval_s = 0.2"]
    for part in (*accounts, *(["post"] if "x" in accounts else [])):
        lines.append(f"[{part}]")
        for name, value in getattr(settings, part):
            if value is None:
                continue  # TOML has no word for it
            plain = value.get_secret_value() if isinstance(value, SecretStr) else value
            plain = plain.total_seconds() if isinstance(plain, timedelta) else plain
            text = str(plain).lower() if isinstance(plain, bool) else json.dumps(plain, default=str)
            lines.append(f"{name} = {text}")
    path.write_text("\n".join(lines))
    return path
