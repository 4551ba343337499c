"""The one place where the bot's parts are put together."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

from bot.adapters.catalog import EmptyCatalog, FileCatalog
from bot.adapters.file_feed import FileFeed
from bot.adapters.gateway import Gateway
from bot.adapters.sqlite_store import SqliteStore
from bot.domain.errors import StoreError
from bot.genres import TableResolver
from bot.ports import CommentaryService
from bot.service import Bot, ServiceOptions
from bot.settings import DATABASE, BotSettings


@contextmanager
def build(settings: BotSettings) -> Iterator[Bot]:
    """A bot that reads a file, asks a gateway and writes to SQLite; its parts are closed when the block ends.

    >>> # with build(BotSettings(workspace=Path("workspace"), feed=Path("feed.jsonl"))) as bot:
    >>> #     summary = bot.tick()

    Raises:
        CatalogError: the catalog cannot be used.
        StoreError: the database cannot be used.
    """
    with ExitStack() as stack:
        genres = FileCatalog(settings.catalog) if settings.catalog is not None else EmptyCatalog()
        store = stack.enter_context(SqliteStore(settings.database))
        commentary = open_commentary(settings.target, model=settings.model, timeout_s=settings.timeout_s)
        stack.callback(commentary.close)
        yield Bot(
            sources=(FileFeed(settings.feed),),
            resolver=TableResolver(genres),
            commentary=commentary,
            store=store,
            options=ServiceOptions(
                num_samples=settings.num_samples,
                concurrency=settings.concurrency,
                min_confidence=settings.min_confidence,
            ),
        )


def open_store(workspace: Path, *, create: bool = False) -> SqliteStore:
    """The store, and the queue, of a workspace.

    Raises:
        StoreError: there is none yet and `create` is off, or it cannot be used.
    """
    path = workspace / DATABASE
    if not create and not path.is_file():
        raise StoreError(f"no bot has worked in {workspace} yet ({path} does not exist); choose another --workspace")
    return SqliteStore(path)


def open_commentary(target: str, *, model: str, timeout_s: float) -> CommentaryService:
    """The connection to a gateway; nothing is sent yet."""
    return Gateway(target, model=model, timeout_s=timeout_s)
