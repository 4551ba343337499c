"""Position in a list that begins with its newest item and is read a page at a time.

A stored page does not imply that all older items are stored. The cursor therefore holds both ends of the current sweep,
and a bot that is killed within a sweep continues it.
"""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class Sweep:
    """Position of the reader. Places are ids or times of the network."""

    since: str | None = None
    """Place up to which every item was read."""
    until: str | None = None
    """Place down to which the current sweep has read; None between sweeps."""
    newest: str | None = None
    """Newest place of the current sweep, from which the next one starts."""

    @classmethod
    def load(cls, cursor: str | None) -> Sweep:
        """The sweep of a cursor; without a cursor, the beginning."""
        return cls(**json.loads(cursor)) if cursor is not None else cls()

    def dump(self) -> str:
        """The sweep as a cursor."""
        return json.dumps(asdict(self))

    def after(self, newest: str | None, oldest: str | None, *, more: bool) -> Sweep:
        """The sweep after another page.

        The very first sweep ends with its first page, because nobody waits for an answer to older posts.

        Args:
            newest: place of the page's first item; None if the page is empty.
            oldest: place of its last item; None if the page is empty.
            more: whether the list goes on.
        """
        newest = self.newest or newest
        if more and oldest is not None and self.since is not None:
            return Sweep(since=self.since, until=oldest, newest=newest)
        return Sweep(since=newest or self.since)

    @property
    def is_under_way(self) -> bool:
        """Whether another page can be read at once."""
        return self.until is not None

    def describe(self) -> str:
        """The position in words."""
        if self.until is not None:
            return f"between {self.since} and {self.until}"
        return f"after {self.since}" if self.since else "at the beginning"
