from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from serving.registry.owned_reasons import STALE_S, OwnedReasons, is_left_behind, reason_in, refusal_by

OURS, THEIRS = OwnedReasons(host="gateway-1"), OwnedReasons(host="gateway-2")
NOW = 1_796_000_000.0


@given(st.text(max_size=5000))
def test_a_reason_is_its_hosts_and_read_as_it_was_written(reason: str) -> None:
    text = OURS.sign(reason, NOW)
    assert len(text) <= 4000
    assert OURS.may_remove(text, NOW)
    assert reason_in(text) == reason[:3900]
    assert not reason or not THEIRS.may_remove(text, NOW + STALE_S - 1)


@pytest.mark.parametrize(
    "text", ["bad weights", "bad weights (on the disk)", "bad (on a, never)", "bad (on a, 2026-99-99T00:00:00Z)"]
)
def test_a_reason_without_a_host_is_nobodys(text: str) -> None:
    assert OURS.may_remove(text, NOW)


def test_a_reason_that_its_host_did_not_repeat_for_an_hour_is_nobodys() -> None:
    text = THEIRS.sign("no space left on device", NOW)
    assert not OURS.may_remove(text, NOW + STALE_S - 1)
    assert OURS.may_remove(text, NOW + STALE_S + 1)
    assert not is_left_behind(text, NOW + STALE_S - 1)
    assert is_left_behind(text, NOW + STALE_S + 1)


@given(st.text(min_size=1, max_size=200))
def test_a_refusal_is_believed_of_its_own_host_and_of_any_where_none_is_known(reason: str) -> None:
    text = THEIRS.sign(reason, NOW)
    assert refusal_by(THEIRS.host, text) == refusal_by("", text) == text
    assert refusal_by(OURS.host, text) == ""
    assert refusal_by(OURS.host, "") == ""
