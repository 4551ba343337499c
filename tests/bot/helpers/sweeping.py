"""Reading of a source page by page, as the bot does."""

from __future__ import annotations

from bot.domain.source_posts import SourcePost
from bot.ports import Source


def sweep(source: Source, cursor: str | None, limit: int = 100) -> tuple[list[SourcePost], str]:
    """Read all new posts, the newest first within a page, and the cursor behind them."""
    source_posts: list[SourcePost] = []
    while True:
        page = source.read(cursor, limit)
        source_posts += page.source_posts[::-1]  # a page comes with the oldest first
        cursor = page.cursor
        if not page.more:
            return source_posts, cursor
