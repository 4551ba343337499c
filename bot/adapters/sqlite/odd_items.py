"""Odd items in SQLite: the latest ones, and a count by part that never falls."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Iterable, Mapping

from bot.domain.odd_items import OddItem, SetAside

KEPT = 1_000
"""Number of odd items that are kept; the counts go on."""
_SHOWN = 5

Read = Callable[[str], list[sqlite3.Row]]


def set_aside(connection: sqlite3.Connection, part: str, items: Iterable[OddItem], now: str) -> None:
    """Within a transaction: keep odd items, and forget the oldest beyond the limit."""
    new = 0
    for item in items:
        inserted = connection.execute(
            "INSERT INTO odd_item (part, item, reason, excerpt, seen_at) VALUES (?, ?, ?, ?, ?)"
            " ON CONFLICT (part, item) DO UPDATE SET reason = excluded.reason, excerpt = excluded.excerpt,"
            " seen_at = excluded.seen_at WHERE excerpt <> excluded.excerpt",
            (part, item.key, item.reason, item.excerpt, now),
        )
        new += inserted.rowcount
    if not new:
        return
    connection.execute(
        "INSERT INTO odd_tally (part, count) VALUES (?, ?) ON CONFLICT (part) DO UPDATE SET count = count + ?",
        (part, new, new),
    )
    connection.execute("DELETE FROM odd_item WHERE place <= (SELECT MAX(place) FROM odd_item) - ?", (KEPT,))


def counts(read: Read) -> Mapping[str, int]:
    """Number of odd items of each part, those that are no longer kept included."""
    return {row["part"]: row["count"] for row in read("SELECT part, count FROM odd_tally ORDER BY part")}


def latest(read: Read) -> tuple[SetAside, ...]:
    """The latest odd items, the newest first."""
    rows = read(f"SELECT part, item, reason, excerpt, seen_at FROM odd_item ORDER BY place DESC LIMIT {_SHOWN}")  # noqa: S608 -- a constant
    return tuple(
        SetAside(
            part=row["part"],
            item=OddItem(key=row["item"], reason=row["reason"], excerpt=row["excerpt"]),
            seen_at=row["seen_at"],
        )
        for row in rows
    )
