"""What the settings switch on; a network's library is imported only where its adapter is."""
# ruff: noqa: PLC0415 -- that is what this module is for: with everything off the bot stays under 60 MB

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

from pydantic import SecretStr

from bot.adapters.files.feed import FileFeed
from bot.adapters.files.publisher import FilePublisher
from bot.adapters.http.preload import preload
from bot.domain.errors import SettingsError
from bot.domain.outgoing_posts import PostMode
from bot.ports import Board, GenreLookup, Publisher, SongLookup, Source
from bot.settings import BotSettings, Section, env_name

if TYPE_CHECKING:
    from bot.adapters.bluesky.client import BlueskyClient
    from bot.adapters.lookups.lastfm import LastfmLookup
    from bot.adapters.lookups.musicbrainz import MusicbrainzLookup
    from bot.adapters.lookups.spotify import SpotifyLookup
    from bot.adapters.mastodon.client import MastodonClient
    from bot.adapters.x.client import XKeys


def open_sources(settings: BotSettings) -> list[Source]:
    """What is read: the feed, and the networks that are switched on.

    Mentions come before timelines: what is in both is known by its id, and somebody who asks is answered.

    Raises:
        SettingsError: nothing is.
    """
    sources: list[Source] = [FileFeed(settings.feed)] if settings.feed is not None else []
    if settings.x.is_on:
        sources += _x_sources(settings)
    if settings.bluesky.is_on:
        sources += _bluesky_sources(settings)
    if settings.mastodon.is_on:
        sources += _mastodon_sources(settings)
    if not sources:
        raise SettingsError("there is nothing to read: give a file with --feed, or the credentials of a network")
    return sources


def open_publisher(settings: BotSettings) -> Publisher | None:
    """Where accepted candidates go, when they go anywhere.

    Raises:
        SettingsError: the network's credentials are not all there.
    """
    if settings.post.to == "file":
        return FilePublisher(settings.workspace / settings.post.file)
    if settings.post.to == "x":
        return _x_publisher(settings)
    if settings.post.to == "bluesky":
        return _bluesky_publisher(settings)
    if settings.post.to == "mastodon":
        return _mastodon_publisher(settings)
    return None


def open_board(settings: BotSettings) -> Board | None:
    """The curators' board, when there is one.

    Raises:
        SettingsError: its credentials cannot be used.
    """
    if not settings.sheet.is_on:
        return None
    from bot.adapters.sheets.board import SheetsBoard
    from bot.adapters.sheets.client import read_service_account

    sheet = settings.sheet
    return SheetsBoard(
        service_account=read_service_account(Path(_given(sheet, "sheet", "credentials"))),
        spreadsheet=_given(sheet, "sheet", "spreadsheet"),
        worksheet=sheet.worksheet,
        base_url=sheet.base_url,
        timeout_s=sheet.timeout_s,
    )


def open_lookups(settings: BotSettings) -> tuple[SongLookup | None, list[GenreLookup]]:
    """Who knows recordings, and who knows artists, the best first."""
    songs: SongLookup | None = None
    lookups: list[GenreLookup] = []
    if settings.spotify.is_on:
        songs = spotify = _spotify(settings)
        lookups.append(spotify)
    if settings.lastfm.is_on:
        lookups.append(_lastfm(settings))
    if settings.musicbrainz.is_on:
        lookups.append(_musicbrainz(settings))
    return songs, lookups


def _x_sources(settings: BotSettings) -> list[Source]:
    from bot.adapters.x.source import XFeed, XSource

    wanted = {XFeed.MENTIONS: settings.x.mentions, XFeed.TIMELINE: settings.x.timeline}
    return [
        XSource(feed, keys=_x_keys(settings), base_url=settings.x.base_url, timeout_s=settings.x.timeout_s)
        for feed, is_wanted in wanted.items()
        if is_wanted
    ]


def _x_publisher(settings: BotSettings) -> Publisher:
    from bot.adapters.x.publisher import XPublisher

    able = {PostMode.REPLY: settings.x.replies, PostMode.QUOTE: settings.x.quotes}
    return XPublisher(
        keys=_x_keys(settings),
        capabilities=[mode for mode, is_able in able.items() if is_able],
        base_url=settings.x.base_url,
        timeout_s=settings.x.timeout_s,
    )


def _x_keys(settings: BotSettings) -> XKeys:
    from bot.adapters.x.client import XKeys

    x = settings.x
    return XKeys(
        consumer_key=_given(x, "x", "consumer_key"),
        consumer_secret=_given(x, "x", "consumer_secret"),
        access_token=_given(x, "x", "access_token"),
        access_token_secret=_given(x, "x", "access_token_secret"),
    )


def _bluesky_sources(settings: BotSettings) -> list[Source]:
    _preload_atproto()
    from bot.adapters.bluesky.source import BlueskyFeed, BlueskySource

    wanted = {BlueskyFeed.MENTIONS: settings.bluesky.mentions, BlueskyFeed.TIMELINE: settings.bluesky.timeline}
    client, account = _bluesky_client(settings), _given(settings.bluesky, "bluesky", "handle")
    return [BlueskySource(feed, client=client, account=account) for feed, is_wanted in wanted.items() if is_wanted]


def _bluesky_publisher(settings: BotSettings) -> Publisher:
    _preload_atproto()
    from bot.adapters.bluesky.publisher import BlueskyPublisher

    return BlueskyPublisher(client=_bluesky_client(settings))


def _bluesky_client(settings: BotSettings) -> BlueskyClient:
    bluesky = settings.bluesky
    handle, password = (_given(bluesky, "bluesky", name) for name in ("handle", "app_password"))
    return _bluesky_session(handle, password, bluesky.base_url)


@cache
def _bluesky_session(handle: str, app_password: str, base_url: str) -> BlueskyClient:
    """One for both sources and the publisher: Bluesky lets an account sign in 300 times a day."""
    _preload_atproto()
    from bot.adapters.bluesky.client import BlueskyClient

    return BlueskyClient(handle=handle, app_password=app_password, base_url=base_url)


def _preload_atproto() -> None:
    preload("atproto_client", without={"atproto_client.client.async_client": ("AsyncClient",)})


def _preload_mastodon() -> None:
    # An expression of 1.6 MiB by which it counts a text's characters, which the bot does by itself.
    preload("mastodon", without={"mastodon._url_regex": ("url_regex",)})


def _mastodon_sources(settings: BotSettings) -> list[Source]:
    _preload_mastodon()
    from bot.adapters.mastodon.source import MastodonFeed, MastodonSource

    wanted = {MastodonFeed.MENTIONS: settings.mastodon.mentions, MastodonFeed.TIMELINE: settings.mastodon.timeline}
    client, server = _mastodon_client(settings), _given(settings.mastodon, "mastodon", "base_url")
    return [MastodonSource(feed, client=client, account=server) for feed, is_wanted in wanted.items() if is_wanted]


def _mastodon_publisher(settings: BotSettings) -> Publisher:
    _preload_mastodon()
    from bot.adapters.mastodon.publisher import MastodonPublisher

    return MastodonPublisher(client=_mastodon_client(settings))


def _mastodon_client(settings: BotSettings) -> MastodonClient:
    _preload_mastodon()
    from bot.adapters.mastodon.client import MastodonClient

    mastodon = settings.mastodon
    return MastodonClient(
        base_url=_given(mastodon, "mastodon", "base_url"),
        access_token=_given(mastodon, "mastodon", "access_token"),
    )


def _given(section: Section, part: str, name: str) -> str:
    """A credential that has to be there.

    Raises:
        SettingsError: it is not.
    """
    value = getattr(section, name)
    if value is None:
        raise SettingsError(f"{part}.{name} is missing; set it in the settings or as {env_name(f'{part}.{name}')}")
    return value.get_secret_value() if isinstance(value, SecretStr) else str(value)


def _spotify(settings: BotSettings) -> SpotifyLookup:
    preload("spotipy", without={"redis": ("RedisError",)})
    from bot.adapters.lookups.spotify import SpotifyLookup

    spotify = settings.spotify
    return SpotifyLookup(
        client_id=_given(spotify, "spotify", "client_id"),
        client_secret=_given(spotify, "spotify", "client_secret"),
        base_url=spotify.base_url,
        token_url=spotify.token_url,
    )


def _lastfm(settings: BotSettings) -> LastfmLookup:
    from bot.adapters.lookups.lastfm import LastfmLookup

    return LastfmLookup(api_key=_given(settings.lastfm, "lastfm", "api_key"), base_url=settings.lastfm.base_url)


def _musicbrainz(settings: BotSettings) -> MusicbrainzLookup:
    from bot.adapters.lookups.musicbrainz import MusicbrainzLookup

    musicbrainz = settings.musicbrainz
    return MusicbrainzLookup(contact=_given(musicbrainz, "musicbrainz", "contact"), base_url=musicbrainz.base_url)


def checks(settings: BotSettings) -> Mapping[str, Callable[[], str]]:
    """By the name of a section: a call that says who the bot is there, or that the service answers it."""
    return {
        "x": lambda: _x_publisher(settings).check(),
        "bluesky": lambda: _bluesky_publisher(settings).check(),
        "mastodon": lambda: _mastodon_publisher(settings).check(),
        "spotify": lambda: _spotify(settings).check(),
        "lastfm": lambda: _lastfm(settings).check(),
        "musicbrainz": lambda: _musicbrainz(settings).check(),
        "sheet": lambda: _board_check(settings),
    }


def _board_check(settings: BotSettings) -> str:
    board = open_board(settings)
    if board is None:
        raise SettingsError("sheet is not set up")
    return board.check()
