from __future__ import annotations

from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from handlers.contract import CommentaryResponse, ModelIdentity, Sample, Timings
from serving.interleaving import ArmAnswer, InterleavedResponse, interleave, samples_per_arm, shuffled


def arm(version: str, *, error: str = "") -> ArmAnswer:
    model = ModelIdentity(name="lcgan", version=version)
    return ArmAnswer(model=model, timings=Timings(), exposure_id=f"key {version}", error=error)


def response(version: str, count: int = 3) -> CommentaryResponse:
    return CommentaryResponse(
        samples=tuple(
            Sample(text=f"{version}.{number}", token_count=1, log_prob=-1.0, topics=(), seed=number)
            for number in range(count)
        ),
        model=ModelIdentity(name="lcgan", version=version),
        genres_used=(f"used by {version}",),
        genres_unknown=(),
    )


def of(*responses: CommentaryResponse | None, unit: str | None = "post:1", seed: int | None = 7) -> InterleavedResponse:
    arms = [
        arm(str(number), error="" if each is not None else "down") for number, each in enumerate(responses, start=1)
    ]
    return interleave(responses, arms, experiment="shorter", seed=seed, unit=unit, request_id="r")


@given(num_samples=st.integers(1, 64), num_arms=st.integers(1, 8))
def test_arms_get_equal_shares_that_make_up_the_number_and_no_sample_more_than_that_takes(
    num_samples: int, num_arms: int
) -> None:
    share = samples_per_arm(num_samples, num_arms)
    assert share * num_arms >= num_samples > (share - 1) * num_arms


def test_every_sample_is_there_once_beside_its_arm() -> None:
    answer = of(response("1"), response("2"))
    assert Counter(sample.text for sample in answer.samples) == Counter(
        f"{version}.{number}" for version in "12" for number in range(3)
    )
    for place, sample in enumerate(answer.samples):
        assert answer.arm_of(place).model.version == sample.text[0]
    assert (answer.first.model.version, answer.genres_used) == ("1", ("used by 1",))


def test_the_order_follows_from_experiment_seed_and_unit() -> None:
    assert of(response("1"), response("2")) == of(response("1"), response("2"))
    orders = {of(response("1"), response("2"), unit=f"post:{number}").sample_arms for number in range(200)}
    assert len(orders) == 20, "all ways of placing three among six occur"
    assert len({of(response("1"), response("2"), seed=seed).sample_arms for seed in range(200)}) == 20
    assert shuffled(6, experiment="a", seed=7, unit="u") != shuffled(6, experiment="b", seed=7, unit="u")


def test_the_place_of_a_sample_is_independent_of_its_arm() -> None:
    songs = 4000
    at_place: Counter[int] = Counter()
    for number in range(songs):
        at_place.update(
            place
            for place, each in enumerate(of(response("1"), response("2"), unit=f"post:{number}").sample_arms)
            if each == 0
        )
    # Half of the songs at each place; four standard deviations of a fair coin.
    allowed = 4 * (songs / 4) ** 0.5
    assert all(abs(at_place[place] - songs / 2) < allowed for place in range(6)), at_place


def test_an_arm_that_failed_is_told_and_has_no_sample() -> None:
    answer = of(None, response("2"))
    assert [each.error for each in answer.arms] == ["down", ""]
    assert set(answer.sample_arms) == {1}
    assert (answer.first.model.version, answer.genres_used) == ("2", ("used by 2",))


@pytest.mark.parametrize("sample_arms", [(0, 1), (2,), (-1,), ()])
def test_arms_that_are_not_there_are_refused(sample_arms: tuple[int, ...]) -> None:
    sample = response("1").samples[0]
    with pytest.raises(ValueError, match="arms"):
        InterleavedResponse(samples=(sample,), sample_arms=sample_arms, arms=(arm("1"), arm("2")))
