"""Networks that the bot reads from and posts to: the facts about each, stated once.

The settings section, the package of adapters, metrics, usage counts and stored posts bear the network's `name`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Final
from urllib.parse import quote

from bot.domain.length import grapheme_length, mastodon_length, weighted_length


@dataclass(frozen=True, slots=True, kw_only=True)
class Network:
    """A network's facts."""

    name: str
    """The one name of the network in code, settings, metrics and the database."""
    label: str
    """The network's name for people."""
    id_prefix: str = ""
    """Text before the ids of the network's posts in the database; empty for X, whose ids stand alone."""
    max_length: int
    """Longest text of a post, in the units of `length`."""
    length: Callable[[str], int] = len
    """The network's way of counting a text."""
    max_bytes: int | None = None
    """Longest text of a post in bytes of UTF-8, if the network limits those too."""
    post_url: Callable[[str, str], str]
    """The web address of a post, given its id without the prefix and its author's name, which may be empty.

    An empty string if the id does not lead to an address.
    """
    prices: Mapping[str, float] = field(default_factory=dict)
    """US dollars for one item of usage, such as "read"; items that are missing are free."""

    def is_too_long(self, text: str) -> bool:
        """Whether the network would refuse a text for its length.

        >>> BLUESKY.is_too_long("a" * 301), MASTODON.is_too_long("a" * 301)
        (True, False)
        """
        return bool(self.excess(text))

    def excess(self, text: str) -> str:
        """The length of a text that is too long, in words; empty for one that fits.

        >>> X.excess("日" * 141), X.excess("a" * 280)
        ('282 of 280 characters', '')
        """
        length, size = self.length(text), len(text.encode("utf-8", "replace"))
        if length > self.max_length:
            return f"{length:,} of {self.max_length:,} characters"
        if self.max_bytes is not None and size > self.max_bytes:
            return f"{size:,} of {self.max_bytes:,} bytes"
        return ""

    def url_of(self, identifier: str, author: str = "") -> str:
        """The web address of a post, whether or not its id has the prefix.

        >>> X.url_of("17"), MASTODON.url_of("masto:17")
        ('https://x.com/i/status/17', '')
        """
        return self.post_url(identifier.removeprefix(self.id_prefix), author)


def _x_url(identifier: str, author: str) -> str:
    if not (identifier.isascii() and identifier.isdigit()):
        return ""
    # X does not look at the name in the address: the id alone leads to the post.
    return f"https://x.com/{quote(author) or 'i'}/status/{identifier}"


def _bluesky_url(identifier: str, author: str) -> str:
    if not identifier.startswith("at://") or identifier.count("/") != 4:
        return ""
    account, _, key = identifier.removeprefix("at://").split("/")
    return f"https://bsky.app/profile/{quote(author or account)}/post/{quote(key)}"


def _no_url(_identifier: str, _author: str) -> str:
    """Return an empty string: an id of Mastodon's does not name its server."""
    return ""


X: Final = Network(
    name="x",
    label="X",
    max_length=280,
    length=weighted_length,
    post_url=_x_url,
    # Asked of self-serve apps that pay per use, February 2026.
    prices={"read": 0.005, "post": 0.015, "post with a link": 0.20},
)
BLUESKY: Final = Network(
    name="bluesky",
    label="Bluesky",
    id_prefix="bsky:",
    max_length=300,
    length=grapheme_length,
    max_bytes=3_000,
    post_url=_bluesky_url,
)
MASTODON: Final = Network(
    name="mastodon",
    label="Mastodon",
    id_prefix="masto:",
    # Of a server that did not choose another one.
    max_length=500,
    length=mastodon_length,
    post_url=_no_url,
)

NETWORKS: Final[Mapping[str, Network]] = MappingProxyType({network.name: network for network in (X, BLUESKY, MASTODON)})
"""All networks by name."""


def network_name(identifier: str) -> str:
    """Return the name of the network that a post's id belongs to; an unknown prefix is returned itself.

    >>> [network_name(one) for one in ("bsky:at://did:plc:1/app.bsky.feed.post/3k", "17", "file:9")]
    ['bluesky', 'x', 'file']
    """
    prefix, colon, _ = identifier.partition(":")
    if not colon:
        return X.name
    return next((network.name for network in NETWORKS.values() if network.id_prefix == prefix + colon), prefix)
