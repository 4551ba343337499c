"""Waits of accepted posts in words, the same in terminal and studio: for what, and until when."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from bot.domain.pace import DAY, Pace, Wait, WaitReason, counted
from bot.domain.wait_words import ahead_words, wait_words
from bot.ports import AcceptedPosts
from bot.services.schedule import Clock

MOST = 500
"""Maximum accepted posts of which is told what they wait for."""

_LAST = datetime.max.replace(tzinfo=UTC)
_RESTORED = "nothing is sent yet, because the database was restored; `deephypebot bot status` shows what is waited for"


@dataclass(frozen=True, slots=True, kw_only=True)
class PostWait:
    """Wait of an accepted post."""

    candidate_id: str
    wait: Wait
    words: str

    @property
    def needs_confirmation(self) -> bool:
        """Whether it waits until a curator confirms another post about its song."""
        return self.wait.reason is WaitReason.SONG


@dataclass(frozen=True, slots=True, kw_only=True)
class WaitReport:
    """Waits of all accepted posts."""

    posts: tuple[PostWait, ...]
    """In the order in which they are sent."""
    notes: tuple[str, ...]
    """Notes on all of them: why nothing is posted, times that do not count."""
    is_posting: bool
    """Whether the bot posts at all."""

    def by_departure(self) -> list[PostWait]:
        """The waits, the next post to leave first and those that wait for a person last."""
        return sorted(self.posts, key=lambda post: (post.needs_confirmation, post.wait.until or _LAST))

    def find(self, candidate_id: str) -> PostWait | None:
        """Find the wait of a candidate's post; None if it is not among those that wait."""
        return next((post for post in self.posts if post.candidate_id == candidate_id), None)


class PostWaits:
    """Reader of what accepted posts wait for.

    Args:
        pace: pace of the bot.
        max_age: age from which a verdict is not acted on.
        clock: the time.
        not_posting: reason why the bot posts nothing at all, with the way out; empty if it posts.
    """

    def __init__(self, *, pace: Pace, max_age: timedelta, clock: Clock, not_posting: str = "") -> None:
        self._pace = pace
        self._max_age = max_age
        self._clock = clock
        self._not_posting = not_posting

    def read(self, posts: AcceptedPosts) -> WaitReport:
        """Read the accepted posts that are not sent.

        Raises:
            StoreError: they cannot be read.
        """
        now = self._clock.now()
        accepted = posts.accepted_posts(self._pace, since=now - self._max_age, limit=MOST)
        left, ahead = counted(posts.departures(since=now - DAY), now)
        waits = self._pace.forecast(accepted, left, now, max_age=self._max_age)
        restored = posts.restored()
        not_posting = self._not_posting or (_RESTORED if restored is not None and restored.waits else "")
        briefly = not_posting.partition(";")[0]
        return WaitReport(
            posts=tuple(
                PostWait(
                    candidate_id=post.candidate_id,
                    wait=wait,
                    words=briefly or wait_words(wait, self._pace, now=now),
                )
                for post, wait in zip(accepted, waits, strict=True)
            ),
            is_posting=not self._not_posting,
            notes=tuple(filter(None, [not_posting, ahead_words(ahead) if ahead else ""])),
        )
