from __future__ import annotations

import contextlib
import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from serving.traffic.ramp import Ramp, RampStep, parse_span_s, parse_weight

START_S = 1795_982_400.0  # 2026-11-29T20:00:00Z
UP = Ramp(first=10, last=45, step=10, every_s=1800, start_s=START_S)

weights = st.floats(0, 1e6)
ramps = st.builds(
    lambda first, last, steps, every_s: Ramp(
        first=first, last=last, step=max(abs(last - first) / steps, 1e-9), every_s=every_s, start_s=START_S
    ),
    weights,
    weights,
    st.floats(0.3, 50),
    st.floats(0.5, 86_400),
)


@pytest.mark.parametrize(
    ("after_s", "weight"),
    [(-1e9, 10), (-0.1, 10), (0, 10), (1799, 10), (1800, 20), (5399, 30), (5400, 40), (7200, 45), (1e12, 45)],
)
def test_a_ramp_has_its_weight_at_every_moment(after_s: float, weight: float) -> None:
    assert UP.weight(START_S + after_s) == weight


def test_the_next_step_is_named_until_the_last_is_taken() -> None:
    assert UP.next_step(START_S - 5) == RampStep(weight=20, at_s=START_S + 1800)
    assert UP.next_step(START_S + 5400) == RampStep(weight=45, at_s=START_S + 7200)
    assert UP.next_step(START_S + 7200) is None
    assert UP.end_s == START_S + 7200


def test_a_ramp_goes_down_as_well() -> None:
    down = Ramp(first=50, last=0, step=20, every_s=60, start_s=START_S)
    assert [down.weight(START_S + seconds) for seconds in (0, 60, 120, 180, 240)] == [50, 30, 10, 0, 0]


def test_a_ramp_to_where_it_is_has_no_step() -> None:
    flat = Ramp(first=20, last=20, step=5, every_s=60, start_s=START_S)
    assert (flat.weight(0), flat.weight(2 * START_S), flat.next_step(0)) == (20, 20, None)


@given(ramps, st.floats(-1e6, 1e7), st.floats(-1e6, 1e7))
def test_a_weight_lies_between_first_and_last_and_depends_on_the_clock_alone(
    ramp: Ramp, one_s: float, other_s: float
) -> None:
    early, late = sorted((one_s, other_s))
    before, after = ramp.weight(START_S + early), ramp.weight(START_S + late)
    assert min(ramp.first, ramp.last) <= before <= max(ramp.first, ramp.last)
    assert (after - before) * (ramp.last - ramp.first) >= 0
    # A clock that went back gives the weight of that time again.
    assert ramp.weight(START_S + early) == before
    assert ramp.weight(ramp.end_s + 1) == ramp.last


@given(ramps, st.floats(-1e6, 1e7))
def test_a_next_step_is_the_weight_from_then_on(ramp: Ramp, after_s: float) -> None:
    step = ramp.next_step(START_S + after_s)
    if step is not None:
        assert step.at_s >= START_S + after_s - 1e-3
        assert math.isclose(ramp.weight(step.at_s + 1e-3), step.weight)


def test_a_ramp_is_read_as_it_was_written() -> None:
    text = "from=10 to=45 step=10 every=1800 start=2026-11-29T20:00:00Z"
    assert Ramp.parse(text) == UP
    assert str(UP) == text
    assert Ramp.parse(" start=2026-11-29T21:00:00+01:00 every=30m  step=10% from=10% to=45% ") == UP


@pytest.mark.parametrize(
    ("changed", "said"),
    [
        ({"step": "0"}, "step must be more than 0, got 0: the ramp would never end"),
        ({"every": "0"}, "every must be more than 0"),
        ({"step": "1e-300"}, "more than 366 days"),
        ({"every": "120d"}, "more than 366 days"),
        ({"from": "-1"}, "negative"),
        ({"to": "nan"}, "not a number"),
        ({"to": "1e999"}, "more than 1e"),
        ({"every": "soon"}, "'soon' is not a length of time: write 1800, 30m"),
        ({"start": "noon"}, "'noon' is not a time: write it in UTC"),
        ({"start": ""}, "'' is not a time"),
        ({"stop": "1"}, "a ramp has from, to, step, every, start, each once"),
    ],
)
def test_a_ramp_that_is_not_one_is_refused_with_the_reason(changed: dict[str, str], said: str) -> None:
    parts = {"from": "10", "to": "45", "step": "10", "every": "1800", "start": "2026-11-29T20:00:00Z"} | changed
    with pytest.raises(ValueError, match=said):
        Ramp.parse(" ".join(f"{name}={value}" for name, value in parts.items()))


@pytest.mark.parametrize("text", ["", "from", "10", "from=1 from=2 to=3 step=1 every=1", "=" * 9])
def test_a_text_of_another_form_is_refused_with_an_example(text: str) -> None:
    with pytest.raises(ValueError, match="as in 'from=10 to=50"):
        Ramp.parse(text)


@given(st.text() | st.from_regex(r"from=\S* to=\S* step=\S* every=\S* start=\S*"))
def test_no_text_raises_anything_but_its_refusal(text: str) -> None:
    with contextlib.suppress(ValueError):
        assert Ramp.parse(text).weight(START_S) >= 0


@pytest.mark.parametrize(("text", "weight"), [("20", 20), (" 12.5 % ", 12.5), ("0", 0), ("1e2", 100), (".5", 0.5)])
def test_a_weight_is_a_number_and_perhaps_a_percent_sign(text: str, weight: float) -> None:
    assert parse_weight(text) == weight


@pytest.mark.parametrize("text", ["", "many", "nan", "inf", "-inf", "1_0", "٢", "0x10", "1 0", "20%%", "-1", "1e10"])
def test_what_is_no_weight_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match=r"number|more than|negative"):
        parse_weight(text)


def test_lengths_of_time_have_units() -> None:
    assert [parse_span_s(text) for text in ("90", "90s", "30m", "1.5h", "1d")] == [90, 90, 1800, 5400, 86_400]
