"""Google Sheets: the curators' board."""
# ruff: noqa: PLC0415 -- gspread is imported only where a sheet is on

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from bot.ports import Board, QueueRow, TabRecord
from bot.sections import SheetSettings


def open_board(
    section: SheetSettings, *, tabs: TabRecord | None = None, post_of: Callable[[QueueRow], str] = lambda _: ""
) -> Board:
    """Open the sheet; `tabs` remembers its tab, and `post_of` gives the post of a candidate as it will be sent.

    Raises:
        SettingsError: a credential is missing or cannot be used.
    """
    from bot.adapters.sheets.board import SheetsBoard
    from bot.adapters.sheets.client import read_service_account

    return SheetsBoard(
        service_account=read_service_account(Path(section.given("credentials"))),
        spreadsheet=section.given("spreadsheet"),
        worksheet=section.worksheet,
        tabs=tabs,
        post_of=post_of,
        base_url=section.base_url,
        timeout_s=section.timeout_s,
    )
