"""Pace of posting: when accepted posts may leave, and what each of them waits for."""

from __future__ import annotations

import bisect
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum

from bot.domain.outgoing_posts import OutgoingPostStatus
from bot.domain.posting_hours import PostingHours

DAY = timedelta(days=1)
AHEAD = timedelta(hours=25)
"""Furthest time ahead of this machine's clock that counts: one beyond was written while the clock was wrong, and would
hold posts back until it comes."""


class WaitReason(StrEnum):
    """Reason why an accepted post waits."""

    READY = "ready"
    """Nothing: it leaves with the next pass of the bot."""
    HOLD = "hold"
    """The time in which it can be taken back."""
    GAP = "gap"
    """The gap behind the post before it."""
    HOURS = "hours"
    """The next posting hours."""
    DAY = "day"
    """The limit of posts within 24 hours."""
    SONG = "song"
    """A curator's confirmation, because there is another post about its song."""
    AGE = "age"
    """Nothing that comes in time: its verdict grows too old before the pace lets it leave."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Rival:
    """Another post about the same song."""

    candidate_id: str
    status: OutgoingPostStatus
    """`PENDING` if it is to be sent first, otherwise it is or may be out."""
    at: datetime | None = None
    """Time at which it left."""


@dataclass(frozen=True, slots=True, kw_only=True)
class AcceptedPost:
    """A post that is accepted and not sent."""

    candidate_id: str
    accepted_at: datetime
    """Time of the verdict, or of the confirmation if that came later."""
    rival: Rival | None = None
    """Post about the same song, because of which this one waits for a curator; None without one."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Wait:
    """Reason why an accepted post waits, and the end of that."""

    reason: WaitReason
    until: datetime | None
    """Time at which it leaves with the next pass, or is dropped because of its age; None if that is not known."""
    rival: Rival | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Pace:
    """Pace of posting. The defaults hold nothing back but the eleventh post of a day."""

    hold: timedelta = timedelta(0)
    """Time after a verdict within which nothing is sent, so that it can be taken back."""
    min_gap: timedelta = timedelta(0)
    """Minimum time between two posts."""
    hours: PostingHours | None = None
    """Hours of the day at which posts leave; None for all."""
    per_day: int = 10
    """Maximum posts within any 24 hours."""
    same_song: timedelta = timedelta(0)
    """Time within which another post about a song waits until a curator confirms it; 0 for none."""
    answers_mentions: bool = False
    """Whether posts about mentions are replies, which are about their own source post alone."""

    def next_slot(self, moment: datetime, left: Sequence[datetime]) -> Wait:
        """The next time at which the pace of all posts lets one leave.

        Args:
            moment: earliest time.
            left: times at which posts left within the last 24 hours before it, or may have, in order.
        """
        if self.per_day == 0:
            return Wait(reason=WaitReason.DAY, until=None)
        slot, reason = moment, WaitReason.READY
        while True:
            later, why = self._pushed(slot, left)
            if later == slot:
                return Wait(reason=reason, until=slot)
            slot, reason = later, why

    def _pushed(self, slot: datetime, left: Sequence[datetime]) -> tuple[datetime, WaitReason]:
        """A slot that is later for one reason; the same if nothing is against it."""
        if len(left) - bisect.bisect_right(left, slot - DAY) >= self.per_day:
            return left[-self.per_day] + DAY, WaitReason.DAY
        if self.min_gap and left and slot < left[-1] + self.min_gap:
            return left[-1] + self.min_gap, WaitReason.GAP
        if self.hours is not None:
            return self.hours.next_open(slot), WaitReason.HOURS
        return slot, WaitReason.READY

    def released_at(self, accepted_at: datetime, now: datetime) -> datetime:
        """The time at which a verdict's hold ends."""
        return accepted_at + self.hold if self.hold and accepted_at <= now + AHEAD else now

    def forecast(
        self,
        posts: Sequence[AcceptedPost],
        left: Sequence[datetime],
        now: datetime,
        *,
        max_age: timedelta | None = None,
    ) -> list[Wait]:
        """Foretell what each post waits for, if nothing is accepted or taken back meanwhile.

        Args:
            posts: accepted posts in the order in which they are sent.
            left: as for `next_slot`, at `now`.
            now: the time.
            max_age: age at which an accepted post is dropped; None for never.
        """
        accepted_at = {post.candidate_id: post.accepted_at for post in posts}
        waits = {
            post.candidate_id: Wait(reason=WaitReason.SONG, until=None, rival=post.rival)
            for post in posts
            if post.rival is not None
        }
        released = [
            (post.candidate_id, self.released_at(post.accepted_at, now)) for post in posts if post.rival is None
        ]
        times = sorted(left)
        while released:
            earliest = max(now, min(end for _, end in released))
            slot = self.next_slot(earliest, times)
            if slot.until is None:
                waits |= {name: slot for name, _ in released}
                break
            chosen = next(each for each in released if each[1] <= slot.until)
            released.remove(chosen)
            if max_age is not None and slot.until - accepted_at[chosen[0]] > max_age:
                waits[chosen[0]] = Wait(reason=WaitReason.AGE, until=accepted_at[chosen[0]] + max_age)
                continue
            waits[chosen[0]] = _told(slot, hold_ends=chosen[1], now=now)
            bisect.insort(times, slot.until)
        return [waits[post.candidate_id] for post in posts]


DEFAULT_PACE = Pace()


def _told(slot: Wait, *, hold_ends: datetime, now: datetime) -> Wait:
    """The wait of a post that leaves at a slot, by the reason that ends last."""
    if slot.reason is WaitReason.READY and hold_ends > now:
        return Wait(reason=WaitReason.HOLD, until=slot.until)
    return slot


def counted(times: Sequence[datetime], now: datetime) -> tuple[list[datetime], list[datetime]]:
    """Part the times of posts into those that count and those of a clock that was ahead, each in order."""
    ordered = sorted(times)
    first_ahead = bisect.bisect_right(ordered, now + AHEAD)
    return ordered[:first_ahead], ordered[first_ahead:]
