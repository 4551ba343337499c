"""Words for what an accepted post waits for, the same in terminal, log and studio."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, tzinfo

from bot.domain.durations import long_duration
from bot.domain.outgoing_posts import OutgoingPostStatus
from bot.domain.pace import Pace, Rival, Wait, WaitReason


def wait_words(wait: Wait, pace: Pace, *, now: datetime) -> str:
    """Say what a post waits for and until when, in the zone of the posting hours, or else in that of this machine.

    >>> from datetime import UTC, timedelta
    >>> from bot.domain.posting_hours import PostingHours
    >>> now, pace = datetime(2026, 5, 1, 14, 30, tzinfo=UTC), Pace(hours=PostingHours.parse("9-22 UTC"))
    >>> wait_words(Wait(reason=WaitReason.HOLD, until=now + timedelta(minutes=2)), pace, now=now)
    'held until 14:32 UTC so that it can be taken back'
    """
    zone = pace.hours.zone if pace.hours is not None else None
    if wait.reason is WaitReason.SONG:
        return _rival_words(wait.rival, now, zone)
    if wait.until is None:
        return "nothing leaves, because per_day is 0"
    if wait.reason is WaitReason.READY:
        return "leaves with the next pass of the bot"
    if wait.reason is WaitReason.HOLD:
        return f"held until {time_words(wait.until, now, zone)} so that it can be taken back"
    if wait.reason is WaitReason.AGE:
        return f"is dropped {_at(wait.until, now, zone)} (max_age_days), before its turn comes"
    return f"leaves {_at(wait.until, now, zone)} ({_cause(wait.reason, pace)})"


def pace_words(pace: Pace) -> str:
    """A pace in one line.

    >>> pace_words(Pace(per_day=3))
    'at most 3 in 24 hours'
    """
    hours = f", {pace.hours}" if pace.hours is not None else ""
    gap = f", {long_duration(pace.min_gap)} apart" if pace.min_gap else ""
    hold = f", held for {long_duration(pace.hold)}" if pace.hold else ""
    return f"at most {pace.per_day} in 24 hours{gap}{hours}{hold}"


def ahead_words(times: Sequence[datetime]) -> str:
    """Say what is wrong with times of posts that are too far ahead of now, the last one at the end."""
    count = f"{len(times)} post{'' if len(times) == 1 else 's'}"
    last = f"{times[-1]:%Y-%m-%d %H:%M} UTC"
    return f"{count} left while this machine's clock was ahead, the last one at {last}: they do not count for the pace"


def dropped_words(number: int) -> str:
    """Say how many accepted posts were dropped because their verdicts are too old."""
    dropped = "1 accepted post was dropped" if number == 1 else f"{number} accepted posts were dropped"
    whose, them = ("its verdict is", "it") if number == 1 else ("their verdicts are", "them")
    return f"{dropped}, because {whose} older than max_age_days: accept {them} again to post {them} after all"


def unconfirmed_words(number: int) -> str:
    """Say how many posts wait for a curator because of others about their songs."""
    wait = "1 accepted post waits" if number == 1 else f"{number} accepted posts wait"
    whose = "its song" if number == 1 else "their songs"
    return (
        f"{wait} for a curator, because there is another post about {whose}:"
        " `deephypebot queue list --status accepted` shows which, `queue confirm` lets it leave"
    )


def time_words(moment: datetime, now: datetime, zone: tzinfo | None = None) -> str:
    """A time of day, with its day if that is not today's.

    Args:
        moment: the time.
        now: the present time.
        zone: time zone in which it is told; by default this machine's.
    """
    local, today = moment.astimezone(zone), now.astimezone(zone)
    clock = f"{local.hour}:{local:%M %Z}"
    if local.date() == today.date():
        return clock
    year = "" if local.year == today.year else f" {local.year}"
    return f"{local.day} {local:%b}{year}, {clock}"


def _at(moment: datetime, now: datetime, zone: tzinfo | None) -> str:
    words = time_words(moment, now, zone)
    return f"on {words}" if "," in words else f"at {words}"


def _cause(reason: WaitReason, pace: Pace) -> str:
    match reason:
        case WaitReason.GAP:
            return f"gap of {long_duration(pace.min_gap)}"
        case WaitReason.HOURS:
            return f"posting hours {pace.hours}"
        case _:
            return f"{pace.per_day} post{'' if pace.per_day == 1 else 's'} in 24 hours reached"


def _rival_words(rival: Rival | None, now: datetime, zone: tzinfo | None) -> str:
    assert rival is not None  # noqa: S101 -- the reason of such a wait
    if rival.at is None or rival.status is OutgoingPostStatus.PENDING:
        return f"another post about this song is before it ({rival.candidate_id})"
    left = "left" if rival.status is OutgoingPostStatus.SENT else "may have left"
    return f"a post about this song {left} {_at(rival.at, now, zone)} ({rival.candidate_id})"
