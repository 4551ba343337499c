"""Hours of the day at which posts may leave, in a time zone of their own."""

from __future__ import annotations

import difflib
import re
from dataclasses import dataclass
from datetime import UTC, datetime, time, timedelta
from typing import Self
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError, available_timezones

_FORM = re.compile(r"(\d{1,2})(?::(\d{2}))?\s*[-\u2013]\s*(\d{1,2})(?::(\d{2}))?(?:\s+(\S+))?")
_EXAMPLE = '"9:00-22:00 Europe/Berlin"'
_DAY = 24 * 60


@dataclass(frozen=True, slots=True)
class PostingHours:
    """A window of each day. One that ends before it begins goes over midnight.

    >>> str(PostingHours.parse("22-6:30 America/New_York"))
    '22:00–6:30 America/New_York'
    """

    opens: int
    """First minute of the day, 0 to 1439."""
    closes: int
    """First minute after the window, 1 to 1440."""
    zone: ZoneInfo

    @classmethod
    def parse(cls, text: str) -> Self:
        """Parse a window such as "9:00-22:00 Europe/Berlin".

        Raises:
            ValueError: it is not a window, is empty, or has no known time zone.
        """
        found = _FORM.fullmatch(text.strip())
        if found is None:
            raise ValueError(f"posting hours look like {_EXAMPLE}, and are empty for always, got {text!r}")
        opens, closes = (
            _minute(hour, minute or "0", text) for hour, minute in ((found[1], found[2]), (found[3], found[4]))
        )
        if opens == closes or (opens == _DAY and closes == 0):
            raise ValueError(f"posting hours end after they begin; leave them empty for always, got {text!r}")
        if found[5] is None:
            raise ValueError(f"posting hours need a time zone, as in {_EXAMPLE}, got {text!r}")
        return cls(opens % _DAY, closes or _DAY, _zone(found[5]))

    def contains(self, moment: datetime) -> bool:
        """Whether posts may leave at a moment."""
        local = moment.astimezone(self.zone)
        minute = 60 * local.hour + local.minute
        if self.opens < self.closes:
            return self.opens <= minute < self.closes
        return minute >= self.opens or minute < self.closes

    def next_open(self, moment: datetime) -> datetime:
        """The first moment from `moment` on at which posts may leave, in UTC."""
        if self.contains(moment):
            return moment.astimezone(UTC)
        begin = self._next_begin(moment)
        if begin.astimezone(self.zone).utcoffset() == moment.astimezone(self.zone).utcoffset():
            return begin
        # In between, the clock is put forward into the window, or back into it: then no window begins by the clock.
        minute = moment.astimezone(UTC).replace(second=0, microsecond=0)
        while not self.contains(minute):
            minute += timedelta(minutes=1)
        return minute

    def _next_begin(self, moment: datetime) -> datetime:
        """The first moment behind `moment` at which the clock shows the window's begin, in UTC."""
        today = moment.astimezone(self.zone).date()
        for days in range(4):
            day = datetime.combine(today + timedelta(days=days), time(*divmod(self.opens, 60)), self.zone)
            # Twice in the night in which the clock is put back.
            for begin in (day.astimezone(UTC), day.replace(fold=1).astimezone(UTC)):
                # A clock that is put forward skips an hour, and with it a window that lies within.
                if begin > moment and self.contains(begin):
                    return begin
        raise AssertionError(f"{self} opens on none of four days")

    def __str__(self) -> str:
        opens, closes = (f"{minute // 60}:{minute % 60:02}" for minute in (self.opens, self.closes))
        return f"{opens}\u2013{closes} {self.zone.key}"


def _minute(hour: str, minute: str, text: str) -> int:
    number = 60 * int(hour) + int(minute)
    if number > _DAY or int(minute) > 59:
        raise ValueError(f"the times of posting hours are 0:00 to 24:00, got {text!r}")
    return number


def _zone(name: str) -> ZoneInfo:
    try:
        return ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError, OSError):
        known = available_timezones()
    if not known:
        raise ValueError(f"this machine knows no time zones, so not {name!r} either; run pip install tzdata")
    by_small = {each.casefold(): each for each in known}
    by_city = {each.rpartition("/")[2].casefold(): each for each in sorted(known, key=len, reverse=True)}
    small = name.casefold()
    near = by_small.get(small) or by_city.get(small.rpartition("/")[2])
    close = [near] if near else difflib.get_close_matches(name, known, n=1)
    meant = f"; did you mean {close[0]}?" if close else "; names are those of the IANA database, such as Europe/Berlin"
    raise ValueError(f"unknown time zone {name!r}{meant}")
