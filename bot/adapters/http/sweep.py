"""Reading a list that begins with the newest, a page at a time, from what was read before.

A page that is stored does not say that everything before it was: the cursor holds both ends of the sweep that is under
way, and a bot that is killed within one goes on where it was.
"""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class Sweep:
    """How far a list was read. Places are ids or times, as the network has them."""

    since: str | None = None
    """Everything up to here was read."""
    until: str | None = None
    """Of the sweep under way, everything from here on; None where none is."""
    newest: str | None = None
    """Where the next sweep begins once this one is done."""

    @classmethod
    def load(cls, cursor: str | None) -> Sweep:
        """The sweep of a cursor; the beginning without one."""
        return cls(**json.loads(cursor)) if cursor is not None else cls()

    def dump(self) -> str:
        """The sweep as a cursor."""
        return json.dumps(asdict(self))

    def after(self, newest: str | None, oldest: str | None, *, more: bool) -> Sweep:
        """The sweep after a page, whose first and last place is given, None where it was empty.

        The first sweep of all ends with its first page: what is older is of no use to anybody now.
        """
        newest = self.newest or newest
        if more and oldest is not None and self.since is not None:
            return Sweep(since=self.since, until=oldest, newest=newest)
        return Sweep(since=newest or self.since)

    @property
    def is_under_way(self) -> bool:
        """Whether there is another page to read at once."""
        return self.until is not None

    def describe(self) -> str:
        """The place, for people."""
        if self.until is not None:
            return f"between {self.since} and {self.until}"
        return f"after {self.since}" if self.since else "at the beginning"
