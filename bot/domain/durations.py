"""Spans of time as people write them in settings and read them in messages."""

from __future__ import annotations

import re
from datetime import timedelta

_UNITS = {
    "s": timedelta(seconds=1),
    "min": timedelta(minutes=1),
    "h": timedelta(hours=1),
    "d": timedelta(days=1),
}
_NAMES = {"d": "day", "h": "hour", "min": "minute", "s": "second"}
_FORM = re.compile(r"(-?\d{1,9}(?:\.\d{1,9})?)\s*([a-z]*)")
_WAY_OUT = 'a span of time is a number of seconds, or a number with a unit such as "90 s", "30 min", "2 h", "1 d"'


def parse_duration(value: object) -> timedelta:
    """Parse a span of time: a number of seconds, or a number with a unit.

    >>> parse_duration("30 min") == parse_duration(1800) == parse_duration("1800")
    True

    Raises:
        ValueError: it is neither, or it is negative.
    """
    if isinstance(value, timedelta):
        span = value
    else:
        # A truth value is an integer to Python, and nobody means one second by it.
        found = None if isinstance(value, bool) else _FORM.fullmatch(str(value).strip())
        unit = _UNITS.get((found[2] or "s") if found else "")
        if found is None or unit is None:
            raise ValueError(f"{_WAY_OUT}, got {value!r}")
        span = float(found[1]) * unit
    if span < timedelta(0):
        raise ValueError(f"a span of time is 0 or longer, got {value!r}")
    return span


def short_duration(span: timedelta) -> str:
    """Write a span of time as settings have it.

    >>> short_duration(timedelta(minutes=30)), short_duration(timedelta(0)), short_duration(timedelta(seconds=90))
    ('30 min', '0 s', '90 s')
    """
    unit = next((unit for unit in _NAMES if span and span % _UNITS[unit] == timedelta(0)), "s")
    return f"{span / _UNITS[unit]:g} {unit}"


def long_duration(span: timedelta) -> str:
    """Write a span of time in words.

    >>> long_duration(timedelta(minutes=30)), long_duration(timedelta(hours=1))
    ('30 minutes', '1 hour')
    """
    number, unit = short_duration(span).split()
    return f"{number} {_NAMES[unit]}" + ("" if number == "1" else "s")
