"""Shares with their intervals."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bot.domain.rates import Rate


def test_the_interval_is_wilsons() -> None:
    # Newcombe, "Two-sided confidence intervals for the single proportion", Statistics in Medicine 17 (1998), table I.
    for count, total, low, high in ((81, 263, 0.2553, 0.3662), (15, 148, 0.0624, 0.1605), (1, 29, 0.0061, 0.1718)):
        rate = Rate(count=count, total=total)
        assert (round(rate.low, 4), round(rate.high, 4)) == (low, high)
    assert round(Rate(count=0, total=20).high, 4) == 0.1611


@given(st.integers(1, 10**6), st.data())
def test_the_interval_holds_the_share_and_stays_within_0_and_1(total: int, data: st.DataObject) -> None:
    rate = Rate(count=data.draw(st.integers(0, total)), total=total)
    assert rate.share is not None
    assert 0 <= rate.low <= rate.share <= rate.high <= 1
    assert rate.low < rate.high


def test_of_nothing_there_is_no_share() -> None:
    rate = Rate(count=0, total=0)
    assert (rate.share, rate.low, rate.high, f"{rate:.1%}") == (None, 0, 1, "-")


@pytest.mark.parametrize(("count", "total"), [(-1, 3), (4, 3)])
def test_more_than_all_is_refused(count: int, total: int) -> None:
    with pytest.raises(ValueError, match=f"got {count} of {total}"):
        Rate(count=count, total=total)
