"""Spans of time in settings: numbers of seconds, or numbers with a unit."""

from __future__ import annotations

from datetime import timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bot.domain.durations import long_duration, parse_duration, short_duration


@pytest.mark.parametrize(
    ("value", "seconds"),
    [(0, 0), ("0", 0), (90, 90), ("90", 90), ("90 s", 90), ("1.5 min", 90), (" 2h ", 7200), ("1 d", 86_400)],
)
def test_a_span_is_a_number_of_seconds_or_has_a_unit(value: object, seconds: float) -> None:
    assert parse_duration(value) == timedelta(seconds=seconds)


@given(st.timedeltas(min_value=timedelta(0), max_value=timedelta(days=3)))
def test_a_span_is_read_as_it_is_written(span: timedelta) -> None:
    whole = timedelta(seconds=round(span.total_seconds()))
    assert parse_duration(short_duration(whole)) == whole
    assert long_duration(whole).split()[0] == short_duration(whole).split()[0]


@pytest.mark.parametrize("value", ["soon", "2 fortnights", "", True, float("nan"), float("inf"), None, [], "1e9"])
def test_anything_else_is_refused_with_its_value(value: object) -> None:
    with pytest.raises(ValueError, match="a span of time is a number of seconds, or a number with a unit such as"):
        parse_duration(value)


@pytest.mark.parametrize("value", [-1, "-5 min", timedelta(seconds=-1)])
def test_a_negative_span_is_refused(value: object) -> None:
    with pytest.raises(ValueError, match="a span of time is 0 or longer, got"):
        parse_duration(value)
