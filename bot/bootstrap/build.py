"""Assembly of the bot from its settings."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from datetime import timedelta
from pathlib import Path

from bot.adapters.files.feed import describe_cursor
from bot.adapters.gateway_client import GatewayClient
from bot.adapters.sqlite.desk import SqliteDesk
from bot.adapters.sqlite.memory import SqliteMemory
from bot.adapters.sqlite.store import SqliteStore
from bot.bootstrap import knowledge, networks, posting
from bot.domain.errors import SettingsError, StoreError
from bot.ports import CommentaryService, EvaluationEvents, Publisher, Source
from bot.services.after_restore import AfterRestore
from bot.services.board_sync import BoardSync
from bot.services.evaluations import EvaluationTeller
from bot.services.post_rules import PostRules
from bot.services.post_sender import PostSender, PostSenderOptions
from bot.services.schedule import Clock, SettleTimer
from bot.services.service import Bot, Outputs, ServiceOptions
from bot.settings import DATABASE, BotSettings
from serving.client import Credentials


@contextmanager
def build(
    settings: BotSettings,
    *,
    redact: Callable[[str], str] = str,
    notice: Callable[[str], None] = lambda _: None,
    commentary: CommentaryService | None = None,
    events: EvaluationEvents | None = None,
) -> Iterator[Bot]:
    """Build a bot from settings; its parts are closed when the block ends.

        with build(load(feed=Path("feed.jsonl"))) as bot:
            summary = bot.tick()

    Args:
        settings: the bot's settings.
        redact: removes secrets from error messages before they are stored or shown.
        notice: called with a message when a lookup is paused; from any thread.
        commentary: the service that writes samples; by default the gateway of the settings.
        events: gets the verdicts; None while nobody outside wants them.

    Raises:
        SettingsError: the settings name no source, or a credential is missing.
        InputError: a catalog, a list or a table cannot be used.
        StoreError: the database cannot be used.
    """
    with ExitStack() as stack:
        sources = networks.open_sources(settings)
        catalog = knowledge.open_catalog(settings)
        store = stack.enter_context(SqliteStore(settings.database))
        memory = stack.enter_context(SqliteMemory(settings.database))
        if commentary is None:
            commentary = open_commentary(settings, timeout_s=settings.timeout_s)
        stack.callback(commentary.close)
        clock = Clock()
        rules = posting.open_rules(settings, stack.enter_context(knowledge.open_screen(settings, memory)))
        yield Bot(
            sources=sources,
            resolver=knowledge.open_resolver(
                settings,
                table=catalog,
                cache=memory,
                clock=clock,
                notice=lambda what: notice(redact(what)),
                odd=memory,
            ),
            commentary=knowledge.in_known_genres(commentary, settings.genres, catalog),
            store=store,
            rules=rules,
            history=memory,
            outputs=_outputs(settings, store, clock, rules, EvaluationTeller(store=store, events=events)),
            options=ServiceOptions(
                num_samples=settings.num_samples,
                rank_by=settings.rank_by,
                concurrency=settings.concurrency,
                min_confidence=settings.min_confidence,
                song_age=timedelta(days=settings.song_days),
                outputs_every_s=settings.interval_s,
            ),
            clock=clock,
            redact=redact,
        )


def _outputs(
    settings: BotSettings, store: SqliteStore, clock: Clock, rules: PostRules, evaluations: EvaluationTeller
) -> Outputs:
    settle_timer = SettleTimer(clock, settings.post.settle_s)
    board = networks.open_board(settings, tabs=store, post_of=lambda row: rules.preview(row).text)
    publisher = networks.open_publisher(settings)
    board_sync = (
        BoardSync(board=board, store=store, rules=rules, settle_timer=settle_timer) if board is not None else None
    )
    if publisher is None:
        return Outputs(board_sync=board_sync, evaluations=evaluations)
    post_sender = PostSender(
        publisher=publisher,
        outbox=store,
        rules=rules,
        settle_timer=settle_timer,
        clock=clock,
        options=_post_sender_options(settings),
        after_restore=AfterRestore(
            publishers=[publisher, *_former_publishers(settings, store)], record=store, outbox=store
        ),
    )
    return Outputs(board_sync=board_sync, post_sender=post_sender, evaluations=evaluations)


def _former_publishers(settings: BotSettings, store: SqliteStore) -> list[Publisher]:
    """Networks that were posted to before, on a restored database whose posts are not compared yet."""
    restored = store.restored()
    if restored is None or restored.settled:
        return []
    return networks.open_publishers(settings, store.networks_posted_to() - {settings.post.to})


def _post_sender_options(settings: BotSettings) -> PostSenderOptions:
    post = settings.post
    return PostSenderOptions(
        dry_run=post.dry_run,
        pace=posting.pace(settings),
        per_pass=post.per_pass,
        max_age=timedelta(days=post.max_age_days),
    )


def open_store(workspace: Path, *, create: bool = False) -> SqliteStore:
    """Open the store of a workspace, which is also the queue.

    Raises:
        StoreError: there is none and `create` is off, or it cannot be used.
    """
    path = workspace / DATABASE
    try:
        is_missing = not create and not path.is_file()
    except OSError as cause:
        raise StoreError(f"{path} cannot be read: {cause.strerror}; choose another --workspace") from cause
    if is_missing:
        raise StoreError(f"no bot has run in {workspace} yet ({path} does not exist); choose another --workspace")
    return SqliteStore(path)


def open_desk(workspace: Path) -> SqliteDesk:
    """Open the desk of a workspace's queue.

    Raises:
        StoreError: there is none, or it cannot be used.
    """
    open_store(workspace).close()
    return SqliteDesk(workspace / DATABASE)


def open_commentary(settings: BotSettings, *, timeout_s: float) -> GatewayClient:
    """Open a client of the settings' gateway; nothing is sent yet.

    Args:
        settings: address of the gateway, model, certificates and token.
        timeout_s: seconds that a request may take, retries included.
    """
    token = settings.token
    credentials = Credentials(
        ca=settings.ca,
        client_cert=settings.client_cert,
        client_key=settings.client_key,
        server_name=settings.server_name,
        token=token.get_secret_value() if token is not None else "",
        token_file=settings.token_file,
    )
    return GatewayClient(settings.target, model=settings.model, timeout_s=timeout_s, credentials=credentials)


def describe_places(settings: BotSettings, cursors: Mapping[str, str]) -> dict[str, str]:
    """Describe the place up to which each source was read; for a source that is not in the settings, vaguely."""
    try:
        sources = {source.name: source for source in networks.open_sources(settings)}
    except SettingsError:
        sources = {}
    return {name: _describe_place(sources.get(name), name, cursor) for name, cursor in cursors.items()}


def _describe_place(source: Source | None, name: str, cursor: str) -> str:
    if source is not None:
        return source.describe(cursor)
    return describe_cursor(cursor) if name.startswith("file:") else "unknown place: the source is not in the settings"
