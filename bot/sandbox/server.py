"""Server of all stand-ins at one loopback address, in a thread or in the foreground."""

from __future__ import annotations

import socket
import threading
import time
from types import TracebackType
from typing import Final, Self

import uvicorn
from starlette.applications import Starlette

from bot.sandbox.account import SandboxSettings, open_accounts
from bot.sandbox.bluesky import BlueskyStandIn
from bot.sandbox.calls import Gate, LookupStandIn, StandIn
from bot.sandbox.client import SandboxControl
from bot.sandbox.control import Control
from bot.sandbox.google import GoogleStandIn
from bot.sandbox.lastfm import LastfmStandIn
from bot.sandbox.mastodon import MastodonStandIn
from bot.sandbox.musicbrainz import MusicbrainzStandIn
from bot.sandbox.sheets import SheetsStandIn
from bot.sandbox.spotify import SpotifyStandIn
from bot.sandbox.world import MENTIONS, POSTS
from bot.sandbox.x import XStandIn
from foundation.defaults import LOOPBACK

LOOKUPS: Final[tuple[type[LookupStandIn], ...]] = (SpotifyStandIn, LastfmStandIn, MusicbrainzStandIn)
"""Stand-ins for services that know artists; each has the name of the service's section in a bot's settings."""
_START_S = 15.0


class SandboxServer:
    """Server of the stand-ins, for the duration of a `with` block or of `serve`.

    Args:
        port: port on loopback; 0 takes a free one.
        filled: whether X starts with some posts; otherwise it is empty.
        enforce_limits: whether the networks' rate limits are enforced.
        record: whether calls are kept in full, for `SandboxControl.exchanges`.

    Raises:
        OSError: the port is taken.
    """

    def __init__(
        self, *, port: int = 0, filled: bool = False, enforce_limits: bool = True, record: bool = False
    ) -> None:
        self._socket = socket.create_server((LOOPBACK, port))
        url = f"http://{LOOPBACK}:{self._socket.getsockname()[1]}"
        self.settings = open_accounts(url, lookups={one.name: one.section(url) for one in LOOKUPS})
        self.control = SandboxControl(url)
        app = build_app(self.settings, filled=filled, enforce_limits=enforce_limits, record=record)
        config = uvicorn.Config(
            app,
            lifespan="off",
            ws="none",
            http="h11",
            log_config=None,
            # Uvicorn logs a truncated answer as an error of the application, but it is an injected fault.
            log_level="critical",
            access_log=False,
            timeout_graceful_shutdown=0,
        )
        self._server = uvicorn.Server(config)
        self._thread: threading.Thread | None = None

    def serve(self) -> None:
        """Serve until the process is stopped."""
        self._server.run(sockets=[self._socket])

    def __enter__(self) -> Self:
        self._thread = threading.Thread(target=self.serve, name="sandbox", daemon=True)
        self._thread.start()
        deadline = time.monotonic() + _START_S
        while not self._server.started:
            if time.monotonic() > deadline or not self._thread.is_alive():
                raise RuntimeError(f"the stand-ins did not start within {_START_S:g} seconds")
            time.sleep(0.01)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._server.should_exit = True
        if self._thread is not None:
            self._thread.join()
        self._socket.close()


def build_app(settings: SandboxSettings, *, filled: bool, enforce_limits: bool, record: bool) -> Starlette:
    """Build one application of the networks and their control."""
    gate = Gate(record=record)
    x = XStandIn(settings.x, enforce_limits=enforce_limits)
    google = GoogleStandIn(settings.google)
    sheets = SheetsStandIn(google, enforce_limits=enforce_limits)
    mastodon = MastodonStandIn(settings.mastodon_access_token, settings.url)
    bluesky = BlueskyStandIn(settings.bluesky_handle, settings.bluesky_password)
    networks: list[StandIn] = [
        x,
        google,
        sheets,
        *(lookup(settings.lookups[lookup.name], enforce_limits=enforce_limits) for lookup in LOOKUPS),
        mastodon,
        bluesky,
    ]
    if filled:
        for post in (*POSTS, *MENTIONS):
            x.posts.add(post.text, x.posts.user(post.author))
    control = Control(settings=settings, gate=gate, x=x, sheets=sheets, mastodon=mastodon, bluesky=bluesky)
    return Starlette(routes=[*control.routes(), *(route for network in networks for route in gate.routes(network))])
