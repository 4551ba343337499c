"""Reading a source as the bot does: page after page, until there is no more."""

from __future__ import annotations

from bot.domain.source_posts import SourcePost
from bot.ports import Source


def sweep(source: Source, cursor: str | None, limit: int = 100) -> tuple[list[SourcePost], str]:
    """Everything that is new, the newest first within a page, and where to go on."""
    source_posts: list[SourcePost] = []
    while True:
        page = source.read(cursor, limit)
        source_posts += page.source_posts[::-1]  # a page comes with the oldest first
        cursor = page.cursor
        if not page.more:
            return source_posts, cursor
