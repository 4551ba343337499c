"""Source posts: what the bot reads on the networks or from a file."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from urllib.parse import urlsplit

from bot.domain.networks import NETWORKS, network_name
from bot.domain.storable import make_storable


class SourcePostStatus(StrEnum):
    """Status of a source post; every status but `PENDING` is final, so a post is processed once."""

    PENDING = "pending"
    """Read and stored, not processed yet."""
    DONE = "done"
    """The candidates are in the queue."""
    NO_SONG = "no song"
    """The parser found no song in the text."""
    FAILED = "failed"
    """At least one of the songs was refused; the reason is stored with the post."""


class Kind(StrEnum):
    """Origin of a source post."""

    FEED = "feed"
    """A row of a file."""
    TIMELINE = "timeline"
    """A post by an account that the bot follows."""
    MENTION = "mention"
    """A post that names the bot: its author asks for commentary, and may be replied to."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SourcePost:
    """A post that the bot reads, as its source delivered it."""

    id: str
    """The network's id behind its `Network.id_prefix`, so that the id is unique over all networks."""
    text: str
    """The whole text, with entities such as `&amp;` as the source delivered them."""
    author: str = ""
    created_at: str = ""
    kind: Kind = Kind.FEED
    lang: str = ""
    """Language by the network, such as "en"; empty when the network does not give one."""
    url: str = ""
    """Web address of the post."""

    def __post_init__(self) -> None:
        make_storable(self, "id", "text", "author", "created_at", "lang", "url")

    @property
    def network(self) -> str:
        """Name of the network that the post is from; empty for a row of a file, which may be from anywhere.

        >>> SourcePost(id="bsky:at://1", text="", kind=Kind.TIMELINE).network
        'bluesky'
        """
        return "" if self.kind is Kind.FEED else network_name(self.id)

    @property
    def link(self) -> str:
        """Web address of the post, made of its id where the source gave none; empty if unknown or not safe to follow.

        >>> SourcePost(id="1", text="", url="javascript:alert(1)").link
        ''
        """
        if address := web_address(self.url):
            return address
        network = NETWORKS.get(self.network)
        return network.url_of(self.id) if network is not None else ""


def web_address(address: str) -> str:
    """Return an address of the web; an empty string for any other, which might be a script."""
    try:
        return address if urlsplit(address).scheme.lower() in {"http", "https"} else ""
    except ValueError:
        return ""
