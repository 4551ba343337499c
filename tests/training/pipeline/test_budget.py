from __future__ import annotations

import dataclasses

import pytest

from tests.training.conftest import SampleCorpus
from training.errors import SettingError
from training.pipeline.budget import Budget
from training.pipeline.estimate import estimate
from training.presets import PRESETS, preset

ESTIMATE = {
    "topics": 20.0, "cvae": 200.0, "labels": 30.0, "lcgan": 30.0, "candidates": 10.0, "comparison": 20.0,
    "archives": 20.0,
}  # fmt: skip
STAGES = ("topics", "cvae", "acceptability-cvae", "lcgan", "acceptability-lcgan")


class Clock:
    def __init__(self) -> None:
        self.now = 50.0

    def __call__(self) -> float:
        return self.now


def test_the_stages_together_end_within_the_limit() -> None:
    clock = Clock()
    budget = Budget(seconds=120.0, estimate=ESTIMATE, clock=clock)
    clock.now += 20  # topics
    for limit in (budget.for_cvae, budget.for_labels, budget.for_lcgan):
        seconds = limit()
        assert seconds is not None
        assert seconds > 0
        clock.now += seconds
    assert clock.now - 50 + 10 + 20 <= 120


def test_without_a_limit_there_is_none() -> None:
    budget = Budget(seconds=None, estimate=ESTIMATE)
    assert (budget.for_cvae(), budget.for_labels(), budget.for_lcgan()) == (None, None, None)


@pytest.mark.parametrize("seconds", [1.0, 5.0, 90.0])
def test_a_limit_that_cannot_hold_what_has_none_is_refused_with_the_least_that_can(seconds: float) -> None:
    with pytest.raises(SettingError, match=r"needs about 70 s .* most of it for topics \(20 s\); .* --budget 2m"):
        Budget(seconds=seconds, estimate=ESTIMATE)
    Budget(seconds=120.0, estimate=ESTIMATE)


def test_a_training_whose_long_stages_are_done_is_never_refused() -> None:
    Budget(seconds=5.0, estimate={"comparison": 20.0, "archives": 20.0})
    Budget(seconds=5.0, estimate={})


def test_late_stages_get_a_tenth_of_the_limit_if_the_early_ones_took_it_all() -> None:
    clock = Clock()
    budget = Budget(seconds=200.0, estimate=ESTIMATE, clock=clock)
    clock.now += 500
    assert budget.for_lcgan() == 20.0


@pytest.mark.parametrize("name", PRESETS)
def test_every_part_of_every_preset_is_estimated(name: str, sample_corpus: SampleCorpus) -> None:
    found = estimate(sample_corpus.corpus, preset(name), STAGES)
    assert found.keys() == ESTIMATE.keys()
    assert all(seconds > 0 for seconds in found.values())


def test_more_epochs_take_longer_and_stages_that_are_done_nothing(sample_corpus: SampleCorpus) -> None:
    demo = preset("demo")
    longer = dataclasses.replace(demo, cvae=dataclasses.replace(demo.cvae, epochs=10 * demo.cvae.epochs))
    short, long = (estimate(sample_corpus.corpus, settings, STAGES) for settings in (demo, longer))
    assert long["cvae"] > 3 * short["cvae"]  # the probe of the machine varies
    assert estimate(sample_corpus.corpus, demo, ["acceptability-lcgan"]).keys() == {
        "candidates", "comparison", "archives"
    }  # fmt: skip
    assert estimate(sample_corpus.corpus, demo, []) == {}
