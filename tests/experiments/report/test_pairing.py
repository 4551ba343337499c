from __future__ import annotations

import pytest

from experiments.evidence import Evidence
from experiments.report.pairing import acceptance_differences, copy_differences, find_breaches
from experiments.statistics.limits import Limit
from serving.traffic.experiment import ExperimentDesign
from tests.experiments.report.support import evidence, experiment, sample, song


def test_songs_are_compared_with_themselves_when_interleaved() -> None:
    songs = (
        song(1, sample("1", True), sample("1", False), sample("2", True), sample("2", True)),
        song(2, sample("1", True), sample("2", False)),
    )
    found = Evidence(experiment=experiment(), songs=songs, calls=())
    assert acceptance_differences(found, "2") == (0.5, -1.0)


def test_half_judged_songs_and_songs_without_a_version_do_not_count() -> None:
    songs = (
        song(1, sample("1", True), sample("2", None)),
        song(2, sample("1", True), sample("1", True)),
        song(3, sample("1", False), sample("2", True)),
    )
    found = Evidence(experiment=experiment(), songs=songs, calls=())
    assert acceptance_differences(found, "2") == (1.0,)


def test_the_ith_song_of_each_is_compared_when_sticky() -> None:
    songs = (
        song(1, sample("1", True), sample("1", False)),
        song(2, sample("1", True)),
        song(3, sample("2", True)),
        song(4, sample("2", False)),
        song(5, sample("2", True)),
    )
    found = Evidence(experiment=experiment(ExperimentDesign.STICKY), songs=songs, calls=())
    assert acceptance_differences(found, "2") == (0.5, -1.0)


def test_copies_are_compared_without_verdicts() -> None:
    songs = (song(1, sample("1", None), sample("2", None, flags=("copy", "link")), sample("2", None)),)
    assert copy_differences(Evidence(experiment=experiment(), songs=songs, calls=()), "2") == (0.5,)


def test_a_version_within_all_limits_has_no_breach() -> None:
    assert find_breaches(evidence({"1": 0.5, "2": 0.5}, songs=150), "2") == ()


@pytest.mark.parametrize(
    ("fault", "limit"),
    [
        ({"failures": 0.2}, Limit.FAILURES),
        ({"slowdown": 3.0}, Limit.SLOWNESS),
        ({"copies": 0.5}, Limit.COPIES),
    ],
)
@pytest.mark.parametrize("design", ExperimentDesign)
def test_each_fault_is_found_within_200_requests_of_the_version(
    fault: dict[str, float], limit: Limit, design: ExperimentDesign
) -> None:
    songs = 200 if design is ExperimentDesign.INTERLEAVED else 390
    found = find_breaches(evidence({"1": 0.5, "2": 0.5}, songs=songs, design=design, **fault), "2")  # type: ignore[arg-type]
    assert [breach.limit for breach in found] == [limit]
    assert found[0].observations <= 200


def test_a_great_loss_of_acceptance_is_a_breach() -> None:
    (breach,) = find_breaches(evidence({"1": 0.7, "2": 0.1}, songs=60), "2")
    assert breach.limit is Limit.ACCEPTANCE
    assert breach.excess > breach.allowed == 0.2


def test_nothing_known_is_no_breach() -> None:
    assert find_breaches(Evidence(experiment=experiment(), songs=(), calls=()), "2") == ()
