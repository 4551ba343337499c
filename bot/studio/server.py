"""Assembly of the studio, and its server: on loopback, or elsewhere behind a token."""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager

import uvicorn

from bot.adapters.files.reports import FileReports
from bot.adapters.interpolate_command import InterpolateCommand
from bot.adapters.sqlite.desk import SqliteDesk
from bot.adapters.sqlite.memory import SqliteMemory
from bot.bootstrap import build as bootstrap
from bot.bootstrap import knowledge, posting
from bot.domain.errors import InputError
from bot.services.commentary_writer import CommentaryWriter
from bot.services.corrections import SongCorrector
from bot.services.schedule import Clock
from bot.services.summary import ServiceOptions
from bot.settings import BotSettings
from bot.studio.app import build_app
from bot.studio.reach import check_access
from bot.studio.security import kept_token
from bot.studio.site import StudioParts
from foundation.defaults import LOOPBACK

_TIMEOUT_S = 30.0
"""Minimum timeout of a request on the try-it page."""
_STOP_S = 3
"""Seconds that requests in flight get when the studio stops."""


@contextmanager
def local_parts(
    settings: BotSettings,
    *,
    who: str,
    interpolation_model: str | None = None,
    notice: Callable[[str], None] = lambda _: None,
) -> Iterator[StudioParts]:
    """Open the studio's parts by the bot's settings; they are closed when the block ends.

    Args:
        settings: workspace, gateway, catalog.
        who: name of the curator, recorded with verdicts.
        interpolation_model: model to interpolate with, as `deephypebot interpolate --model` takes it.
        notice: called with a message when a lookup is paused; from any thread.

    Raises:
        StoreError: the workspace does not have a bot's database, or it cannot be used.
        InputError: a catalog or a list of words cannot be used.
    """
    bootstrap.open_store(settings.workspace).close()  # migrated, or refused, before the first page is opened
    table = knowledge.open_catalog(settings)
    with ExitStack() as stack:
        memory = stack.enter_context(SqliteMemory(settings.database))
        rules = posting.open_rules(settings, stack.enter_context(knowledge.open_screen(settings, memory)))
        gateway = bootstrap.open_commentary(settings, timeout_s=max(settings.timeout_s, _TIMEOUT_S))
        stack.callback(gateway.close)
        interpolator = (
            InterpolateCommand(interpolation_model, workspace=settings.workspace)
            if interpolation_model is not None
            else None
        )
        if interpolator is not None:
            stack.callback(interpolator.close)
        resolver = knowledge.open_resolver(
            settings, table=table, cache=memory, clock=Clock(), notice=notice, odd=memory
        )
        yield StudioParts(
            open_desk=lambda: SqliteDesk(settings.database),
            server=gateway,
            resolver=resolver,
            rules=rules,
            waits=posting.post_waits(settings),
            who=who,
            corrector=SongCorrector(
                resolver=resolver,
                writer=CommentaryWriter(
                    resolver=resolver,
                    commentary=knowledge.in_known_genres(gateway, settings.genres, table),
                    rules=rules,
                    options=ServiceOptions(num_samples=settings.num_samples),
                    history=None,
                    clock=Clock(),
                ),
                rules=rules,
            ),
            reports=FileReports(settings.workspace),
            interpolator=interpolator,
            page_token=kept_token(settings.workspace),
        )


@contextmanager
def running(parts: StudioParts, *, port: int, host: str = LOOPBACK, access_token: str | None = None) -> Iterator[str]:
    """Serve the studio in a thread until the block ends; yield its address.

    Args:
        parts: the studio's parts.
        port: port to listen on; 0 takes a free one.
        host: address to listen on; any other than loopback needs a token.
        access_token: token that curators type to log in; without it everybody who reaches the address is let in.

    Raises:
        InputError: the address cannot be used, or other machines could use it without a token.
    """
    check_access(host, access_token)
    with _listen(host, port) as listener:
        server = uvicorn.Server(
            uvicorn.Config(
                build_app(parts, access_token=access_token),
                http="h11",
                ws="none",
                lifespan="off",
                log_config=None,
                access_log=False,
                server_header=False,
                timeout_graceful_shutdown=_STOP_S,
            )
        )
        # In a thread, uvicorn does not handle signals: the command decides when to stop.
        thread = threading.Thread(target=server.run, kwargs={"sockets": [listener]}, name="studio", daemon=True)
        thread.start()
        try:
            while not server.started and thread.is_alive():
                time.sleep(0.01)
            shown = f"[{host}]" if ":" in host else host
            yield f"http://{shown}:{listener.getsockname()[1]}/"
        finally:
            server.should_exit = True
            thread.join(_STOP_S + 1)


def _listen(host: str, port: int) -> socket.socket:
    listener = socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET, socket.SOCK_STREAM)
    # A studio that has just stopped must not block the port for the next one.
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listener.bind((host, port))
    except OSError as cause:
        listener.close()
        raise InputError(f"port {port} of {host} cannot be used: {cause.strerror}; choose another --port") from cause
    return listener
