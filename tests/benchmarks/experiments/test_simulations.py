"""Simulations in small numbers: the claims of the statistics, and the command."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from typer.testing import CliRunner

from benchmarks.cli import app_bench
from benchmarks.experiments.assignment import ratio_faults
from benchmarks.experiments.curators import (
    CORRELATION,
    false_decisions,
    paired_differences,
    sticky_shares,
    verdicts_needed,
)
from benchmarks.experiments.goals import GOALS, simulate
from benchmarks.experiments.harm import HARM, Sabotage, detection, false_rollbacks, simulate_day
from experiments.statistics.limits import Limit


def _generator(seed: int) -> np.random.Generator:
    return np.random.default_rng(seed)


def test_verdicts_of_a_song_have_the_correlation_and_the_rates() -> None:
    treated, control = sticky_shares(_generator(1), runs=1, songs=40_000, rates=(0.55, 0.45), each=2)
    assert treated.mean() == pytest.approx(0.55, abs=0.01)
    assert control.mean() == pytest.approx(0.45, abs=0.01)
    # The variance of the mean of two with this correlation.
    assert treated.var() == pytest.approx(0.55 * 0.45 * (1 + CORRELATION) / 2, rel=0.05)
    differences = paired_differences(_generator(2), runs=1, songs=40_000, rates=(0.55, 0.45))
    assert differences.mean() == pytest.approx(0.1, abs=0.01)


def test_looking_after_every_song_finds_few_differences_where_there_are_none() -> None:
    figures = false_decisions(_generator(3), runs=200, songs=200)
    assert figures["paired_betting"] <= 0.05
    assert figures["sticky_betting"] <= 0.05
    assert figures["paired_z_test"] > 0.25
    assert figures["sticky_z_test"] > 0.25


def test_the_paired_design_needs_fewer_verdicts() -> None:
    figures = verdicts_needed(_generator(4), runs=60, songs=1000)
    assert figures["paired_found"] == 1.0
    assert figures["paired_over_sticky"] <= 0.6
    assert figures["paired_over_sticky_short"] <= 0.6


def test_a_fault_of_48_to_52_is_mostly_found_and_equal_shares_are_not() -> None:
    figures = ratio_faults(_generator(5), runs=30, units=5000)
    assert figures["units_median"] <= 5000
    assert figures["false_alarms"] <= 0.1


def test_a_version_that_is_identical_is_not_stopped() -> None:
    assert false_rollbacks(_generator(6), days=30, requests=300)["identical"] == 0.0


@pytest.mark.parametrize("name", HARM)
def test_harm_is_stopped_within_200_requests(name: str) -> None:
    figures = detection(_generator(7), runs=20, requests=200)[name]
    assert figures["found"] >= 0.9
    assert figures["requests_median"] <= 120


def test_a_version_that_nobody_likes_is_stopped_by_its_acceptance() -> None:
    assert Limit.ACCEPTANCE in simulate_day(_generator(8), Sabotage(acceptance=0.05), 200)


@pytest.mark.slow
def test_every_goal_has_a_figure_and_the_same_seed_gives_the_same() -> None:
    figures = simulate(runs=20)
    assert figures == simulate(runs=20)
    for goal in GOALS:
        assert isinstance(goal.value(figures), float)


@pytest.mark.slow
def test_the_command_prints_and_writes_its_figures(tmp_path: Path) -> None:
    path = tmp_path / "figures.json"
    result = CliRunner().invoke(app_bench, ["experiments", "--runs", "20", "--json", str(path)])
    assert result.exit_code == 0, result.output
    document = json.loads(path.read_text(encoding="utf-8"))
    assert document == json.loads(result.output.strip().splitlines()[-1])
    assert document["figures"]["runs"] == 20
    assert "false decisions, paired" in result.output
