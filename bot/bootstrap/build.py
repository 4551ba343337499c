"""The one place where the bot's parts are put together."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from datetime import timedelta
from pathlib import Path

from bot.adapters.files.feed import describe_cursor
from bot.adapters.gateway_client import Gateway
from bot.adapters.sqlite.memory import SqliteMemory
from bot.adapters.sqlite.store import SqliteStore
from bot.bootstrap import knowledge, networks
from bot.domain.errors import SettingsError, StoreError
from bot.ports import CommentaryService, Screen, Source
from bot.services.board_sync import BoardSync
from bot.services.post_sender import PostSender, PostSenderOptions
from bot.services.schedule import Clock, SettleTimer
from bot.services.service import Bot, Outputs, ServiceOptions
from bot.settings import DATABASE, BotSettings, PostSettings


@contextmanager
def build(
    settings: BotSettings,
    *,
    redact: Callable[[str], str] = str,
    notice: Callable[[str], None] = lambda _: None,
    commentary: CommentaryService | None = None,
) -> Iterator[Bot]:
    """A bot as the settings say; its parts are closed when the block ends.

    >>> # with build(load(feed=Path("feed.jsonl"))) as bot:
    >>> #     summary = bot.tick()

    Args:
        settings: what the bot is made of.
        redact: takes secrets out of what the bot remembers and says of errors.
        notice: told when a lookup is left alone for a while; from any thread.
        commentary: who writes; the gateway of the settings without one.

    Raises:
        SettingsError: there is nothing to read.
        InputError: a catalog, a list or a table cannot be used.
        StoreError: the database cannot be used.
    """
    with ExitStack() as stack:
        sources = networks.open_sources(settings)
        catalog = knowledge.open_catalog(settings)
        store = stack.enter_context(SqliteStore(settings.database))
        memory = stack.enter_context(SqliteMemory(settings.database))
        if commentary is None:
            commentary = open_commentary(settings.target, model=settings.model, timeout_s=settings.timeout_s)
        stack.callback(commentary.close)
        clock = Clock()
        screen = stack.enter_context(knowledge.open_screen(settings, memory))
        yield Bot(
            sources=sources,
            resolver=knowledge.open_resolver(
                settings, table=catalog, cache=memory, clock=clock, notice=lambda what: notice(redact(what))
            ),
            commentary=knowledge.in_known_genres(commentary, settings.genres, catalog),
            store=store,
            screen=screen,
            history=memory,
            outputs=_outputs(settings, store, clock, screen),
            options=ServiceOptions(
                num_samples=settings.num_samples,
                concurrency=settings.concurrency,
                min_confidence=settings.min_confidence,
                song_age=timedelta(days=settings.song_days),
            ),
            clock=clock,
            redact=redact,
        )


def _outputs(settings: BotSettings, store: SqliteStore, clock: Clock, screen: Screen) -> Outputs:
    settle_timer = SettleTimer(clock, settings.post.settle_s)
    board, publisher = networks.open_board(settings), networks.open_publisher(settings)
    board_sync = BoardSync(board=board, store=store, settle_timer=settle_timer) if board is not None else None
    if publisher is None:
        return Outputs(board_sync=board_sync)
    post_sender = PostSender(
        publisher=publisher,
        outbox=store,
        screen=screen,
        settle_timer=settle_timer,
        clock=clock,
        options=_post_sender_options(settings.post),
    )
    return Outputs(board_sync=board_sync, post_sender=post_sender)


def _post_sender_options(post: PostSettings) -> PostSenderOptions:
    return PostSenderOptions(
        dry_run=post.dry_run,
        per_day=post.per_day,
        per_pass=post.per_pass,
        max_age=timedelta(days=post.max_age_days),
        mode=post.mode,
        reply_to_mentions=post.reply_to_mentions,
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


def describe_places(settings: BotSettings, cursors: Mapping[str, str]) -> dict[str, str]:
    """Where each source is read on, for people; of a source that the settings no longer name nobody can say."""
    try:
        sources = {source.name: source for source in networks.open_sources(settings)}
    except SettingsError:
        sources = {}
    return {name: _describe_place(sources.get(name), name, cursor) for name, cursor in cursors.items()}


def _describe_place(source: Source | None, name: str, cursor: str) -> str:
    if source is not None:
        return source.describe(cursor)
    return describe_cursor(cursor) if name.startswith("file:") else "a place that only the source can tell"
