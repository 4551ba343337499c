"""A board on the sandbox's sheet, and rows for it."""

from __future__ import annotations

from typing import Any

from bot.adapters.sheets.board import SheetsBoard
from bot.domain.candidates import Candidate, Flag
from bot.domain.songs.song import Song, SongReport
from bot.domain.source_posts import Kind, SourcePost
from bot.ports import QueueRow
from bot.sandbox.server import SandboxServer
from handlers.contract import Sample

SOURCE_POST_ID = "1700000000000000001"


def open_board(sandbox: SandboxServer, **changes: Any) -> SheetsBoard:
    account = sandbox.settings.google
    options: dict[str, Any] = {
        "service_account": account.service_account,
        "spreadsheet": account.spreadsheet_id,
        "base_url": sandbox.settings.url,
        "timeout_s": 1,
    }
    return SheetsBoard(**options | changes)


def make_row(number: int = 1, text: str = "slow and careful") -> QueueRow:
    report = SongReport(
        source_post_id=SOURCE_POST_ID,
        number=1,
        song=Song(artists=("Ona Vell",), title="Moss", confidence=1.0),
        artist="Ona Vell",
        genres=("dream pop", "slowcore"),
    )
    candidate = Candidate(
        report=report,
        number=number,
        sample=Sample(text=text, token_count=3, log_prob=-1.0, topics=(), seed=1),
        model="lcgan",
        model_version="2",
        archive_sha256="0" * 64,
        flags=(Flag.PROFANITY, Flag.TOO_LONG),
        score=-2.5,
    )
    source_post = SourcePost(
        id=SOURCE_POST_ID, text="“Moss” by Ona Vell", kind=Kind.TIMELINE, url="https://x.com/a/status/1"
    )
    return QueueRow(candidate=candidate, source_post=source_post, created_at="2026-01-04T10:00:00Z")


def fields_of(sandbox: SandboxServer) -> list[dict[str, str]]:
    header, *rows = sandbox.control.sheet("queue")
    return [dict(zip(header, row, strict=False)) for row in rows]
