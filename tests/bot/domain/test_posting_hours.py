"""Posting hours: windows of the day in a time zone of their own."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bot.domain.posting_hours import PostingHours

MINUTE = timedelta(minutes=1)


def utc(text: str) -> datetime:
    return datetime.fromisoformat(text).replace(tzinfo=UTC)


@pytest.mark.parametrize(
    ("hours", "moment", "opens"),
    [
        ("9:00-22:00 Europe/Berlin", "2026-05-01 07:00", "2026-05-01 07:00"),
        ("9:00-22:00 Europe/Berlin", "2026-05-01 06:59", "2026-05-01 07:00"),
        ("9:00-22:00 Europe/Berlin", "2026-05-01 20:00", "2026-05-02 07:00"),
        ("9 – 22 Europe/Berlin", "2026-12-01 20:59", "2026-12-01 20:59"),
        # Over midnight, in a zone in which it is another day.
        ("22:00-6:00 America/New_York", "2026-05-01 09:59", "2026-05-01 09:59"),
        ("22:00-6:00 America/New_York", "2026-05-01 10:00", "2026-05-02 02:00"),
        ("18:00-24:00 UTC", "2026-05-01 23:59", "2026-05-01 23:59"),
        ("18:00-24:00 UTC", "2026-05-02 00:00", "2026-05-02 18:00"),
        ("0:00-24:00 Asia/Kathmandu", "2026-05-02 00:00", "2026-05-02 00:00"),
        # The night in which clocks are put forward has no window from 2:10 to 2:50, the next one has.
        ("2:10-2:50 Europe/Berlin", "2026-03-28 12:00", "2026-03-30 00:10"),
        # From 1:59 the clock goes on to 3:00, which is within the window.
        ("2:30-8:00 Europe/Berlin", "2026-03-28 12:00", "2026-03-29 01:00"),
        # The night in which they are put back has 2:30 twice.
        ("2:30-3:00 Europe/Berlin", "2026-10-24 12:00", "2026-10-25 00:30"),
        ("2:30-3:00 Europe/Berlin", "2026-10-25 01:05", "2026-10-25 01:30"),
        # From 2:59 the clock goes back to 2:00, which is within the window again.
        ("9-2:30 Europe/Berlin", "2026-10-25 00:40", "2026-10-25 01:00"),
    ],
)
def test_the_window_opens_by_the_clock_of_its_zone(hours: str, moment: str, opens: str) -> None:
    assert PostingHours.parse(hours).next_open(utc(moment)) == utc(opens)


@given(
    opens=st.integers(0, 1439),
    length=st.integers(1, 1439),
    minutes=st.integers(0, 366 * 1440),
    zone=st.sampled_from(["UTC", "Europe/Berlin", "America/New_York", "Australia/Lord_Howe"]),
)
def test_the_next_opening_lies_within_the_window_and_is_not_before(
    opens: int, length: int, minutes: int, zone: str
) -> None:
    closes = (opens + length) % 1440
    hours = PostingHours.parse(f"{opens // 60}:{opens % 60:02}-{closes // 60}:{closes % 60:02} {zone}")
    moment = utc("2026-01-01 00:00") + timedelta(minutes=minutes)
    opened = hours.next_open(moment)
    assert opened >= moment
    assert hours.contains(opened)
    # Nothing before it is open: what is told is what the bot does.
    assert not any(hours.contains(moment + step * MINUTE) for step in range(0, int((opened - moment) / MINUTE), 5))
    assert PostingHours.parse(str(hours)) == hours


@pytest.mark.parametrize(
    ("hours", "message"),
    [
        ("always", r"look like \"9:00-22:00 Europe/Berlin\", and are empty for always, got 'always'"),
        ("9-22", r"need a time zone, as in .*, got '9-22'"),
        ("9:00-9:00 UTC", "end after they begin; leave them empty for always, got '9:00-9:00 UTC'"),
        ("25:00-3:00 UTC", "are 0:00 to 24:00, got '25:00-3:00 UTC'"),
        ("9:60-10:00 UTC", "are 0:00 to 24:00"),
        ("-1:00-3:00 UTC", "look like"),
        ("9-22 europe/berlin", "unknown time zone 'europe/berlin'; did you mean Europe/Berlin?"),
        ("9-22 Berlin", r"did you mean Europe/Berlin\?"),
        ("9-22 Europe", "unknown time zone 'Europe'"),
        ("9-22 Mars/Olympus", "unknown time zone 'Mars/Olympus'; names are those of the IANA database"),
        ("9-22 ../../etc/passwd", "unknown time zone"),
        ("9-22 /etc/passwd", "unknown time zone"),
    ],
)
def test_hours_that_are_none_are_refused_with_the_value_and_the_way_out(hours: str, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        PostingHours.parse(hours)
