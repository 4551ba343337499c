"""An account's own posts back to a moment, from a network that lists them in pages, the newest first."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from datetime import datetime
from typing import Final

from bot.domain.errors import NetworkUnavailableError
from bot.domain.outgoing_posts import OwnPost

_MAX_PAGES: Final = 100


def posts_back_to(
    pages: Iterable[list[OwnPost]], *, is_known: Callable[[OwnPost], bool], since: datetime, service: str
) -> Iterator[OwnPost]:
    """Yield own posts up to the first page that holds one which is both known and older than a time.

    Args:
        pages: the posts, the newest first; each page is asked for when the one before is used up.
        is_known: whether a post is not behind the last one that is on record.
        since: aware time.
        service: name of the network, for the error.

    Raises:
        NetworkUnavailableError: there are more pages than are read.
    """
    for number, own in enumerate(pages):
        if number == _MAX_PAGES:
            raise NetworkUnavailableError(f"{service} lists too many posts of the account since {since:%Y-%m-%d}")
        new = [post for post in own if not (is_known(post) and post.is_before(since))]
        yield from new
        if len(new) < len(own):
            return
