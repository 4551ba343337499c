"""Guard against a network that refuses the account in words that seem to be about the post.

Adapters refuse a post only if the network's answer names it. Networks change their words, so this is the second guard:
the same refusal for two posts in a row is taken as one of the account, and neither post is used up. Once the network
has taken another post, the refusals are about the posts after all.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from typing import TypeVar

from bot.domain.outgoing_posts import OutgoingPost

_Item = TypeVar("_Item")
_NUMBERS = re.compile(r"\d+")
_PATIENCE = 2
"""Failures of a post after which the others are tried before it."""


class RefusalGuard:
    """Memory of refusals and failures since the network last took a post; a restart forgets it."""

    def __init__(self) -> None:
        self._last: tuple[str, str] | None = None
        self._suspects: dict[str, str] = {}
        """Words of the refusal by candidate, until the network takes another post."""
        self._judged: dict[str, str] = {}
        self._failures: dict[str, int] = {}

    def order(self, posts: Sequence[tuple[OutgoingPost, _Item]]) -> list[tuple[OutgoingPost, _Item]]:
        """Pending posts, those that have failed twice last: one odd post does not hold up the rest."""
        return sorted(posts, key=lambda pair: self._is_behind(pair[0].candidate_id))

    def sent(self, candidate_id: str) -> None:
        """Record that the network has taken a post."""
        self._last = None
        self._judged |= self._suspects
        self._suspects.clear()
        self._failures.pop(candidate_id, None)

    def failed(self, candidate_id: str) -> None:
        """Record that a post was not sent, for a reason that may pass."""
        self._failures[candidate_id] = self._failures.get(candidate_id, 0) + 1

    def refused(self, candidate_id: str, reason: str) -> Iterable[str]:
        """Record a refusal.

        Returns:
            Candidates whose posts stay pending, since the refusal is about the account; empty if it is about the post.
        """
        words = _NUMBERS.sub("#", reason).casefold()
        if self._judged.pop(candidate_id, None) == words:
            return ()
        before, self._last = self._last, (candidate_id, words)
        if before is None or before[1] != words or before[0] == candidate_id:
            return ()
        names = (before[0], candidate_id)
        self._suspects |= dict.fromkeys(names, words)
        return names

    def _is_behind(self, candidate_id: str) -> bool:
        return candidate_id in self._suspects or self._failures.get(candidate_id, 0) >= _PATIENCE
