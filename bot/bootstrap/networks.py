"""Adapters that the settings switch on. A network's library is imported only if the network is on."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from functools import partial
from typing import Any, Final, Protocol

from bot.adapters import bluesky, mastodon, x
from bot.adapters.files.feed import FileFeed
from bot.adapters.files.publisher import FilePublisher
from bot.adapters.lookups import LOOKUPS, open_lookup
from bot.adapters.sheets import open_board as open_sheet
from bot.domain.errors import SettingsError
from bot.domain.networks import Network
from bot.domain.outgoing_posts import PostMode
from bot.ports import Board, LookupService, Publisher, QueueRow, SongLookup, Source, TabRecord
from bot.sections import TO_FILE
from bot.settings import BotSettings


class NetworkAdapter(Protocol):
    """Package of `bot.adapters` that connects to a network; its settings section is named after the network."""

    NETWORK: Network

    def capabilities(self, section: Any) -> frozenset[PostMode]:
        """Modes in which the account may post, by the section alone."""

    def open_sources(self, section: Any) -> list[Source]:
        """Open the sources that the section asks for."""

    def open_publisher(self, section: Any) -> Publisher:
        """Open the account for posting.

        Raises:
            SettingsError: a credential is missing.
        """


_ADAPTERS: Final[tuple[NetworkAdapter, ...]] = (x, bluesky, mastodon)
ADAPTERS: Final[Mapping[str, NetworkAdapter]] = {adapter.NETWORK.name: adapter for adapter in _ADAPTERS}
"""Adapters of the networks by name, in the order in which they are read."""


def open_sources(settings: BotSettings) -> list[Source]:
    """Open the feed and the sources of the networks that are on.

    Mentions come before timelines: a post in both is known by its id, and a mention gets an answer.

    Raises:
        SettingsError: there is no source.
    """
    sources: list[Source] = [FileFeed(settings.feed)] if settings.feed is not None else []
    for name, adapter in ADAPTERS.items():
        section = settings.accounts[name]
        if section.is_on:
            sources += adapter.open_sources(section)
    if not sources:
        raise SettingsError("there is nothing to read: give a file with --feed, or the credentials of a network")
    return sources


def open_publisher(settings: BotSettings) -> Publisher | None:
    """Open the network that accepted candidates are posted to; None if they are not posted.

    Raises:
        SettingsError: a credential of the network is missing.
    """
    to = settings.post.to
    if to == TO_FILE:
        return FilePublisher(settings.workspace / settings.post.file)
    return ADAPTERS[to].open_publisher(settings.accounts[to]) if to else None


def open_publishers(settings: BotSettings, names: Collection[str]) -> list[Publisher]:
    """Open those of the named outputs that are set up."""
    found: list[Publisher] = [
        adapter.open_publisher(settings.accounts[name])
        for name, adapter in ADAPTERS.items()
        if name in names and settings.accounts[name].is_on
    ]
    path = settings.workspace / settings.post.file
    return [*found, *([FilePublisher(path)] if TO_FILE in names and path.is_file() else [])]


def open_board(
    settings: BotSettings, *, tabs: TabRecord | None = None, post_of: Callable[[QueueRow], str] = lambda _: ""
) -> Board | None:
    """Open the curators' board; None if there is none.

    Args:
        settings: the bot's settings.
        tabs: remembers the tab of a spreadsheet.
        post_of: the post of a candidate as it will be sent.

    Raises:
        SettingsError: its credentials cannot be used.
    """
    return open_sheet(settings.sheet, tabs=tabs, post_of=post_of) if settings.sheet.is_on else None


def open_lookups(settings: BotSettings) -> tuple[SongLookup | None, list[LookupService]]:
    """Open the lookups that are on: the one that knows recordings, and all that know artists, the best first."""
    sections = {name: settings.accounts[name] for name in LOOKUPS}
    lookups = [open_lookup(name, section) for name, section in sections.items() if section.is_on]
    return next((lookup for lookup in lookups if isinstance(lookup, SongLookup)), None), lookups


def checks(settings: BotSettings) -> Mapping[str, Callable[[], str]]:
    """Calls that return the account of each section, or raise; none of them changes anything."""
    accounts = settings.accounts
    return {
        **{name: partial(_check_network, adapter, accounts[name]) for name, adapter in ADAPTERS.items()},
        **{name: partial(_check_lookup, name, accounts[name]) for name in LOOKUPS},
        "sheet": lambda: open_sheet(settings.sheet).check(),
    }


def _check_network(adapter: NetworkAdapter, section: Any) -> str:
    return adapter.open_publisher(section).check()


def _check_lookup(name: str, section: Any) -> str:
    return open_lookup(name, section).check()
