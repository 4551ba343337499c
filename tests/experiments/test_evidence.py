"""Evidence: a song counts when every sample has a verdict, and its acceptance is a share of judged samples."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from experiments.definition import Guardrails
from experiments.errors import ExperimentError
from experiments.evidence import JudgedSample, JudgedSong

START = datetime(2026, 11, 30, tzinfo=UTC)


def sample(version: str, accepted: bool | None, minute: int = 0) -> JudgedSample:
    decided_at = START.replace(minute=minute) if accepted is not None else None
    return JudgedSample(
        candidate_id=f"1.1.{minute}",
        version=version,
        archive_sha256="",
        exposure_id="",
        seed=1,
        text="A lamp.",
        flags=(),
        accepted=accepted,
        decided_at=decided_at,
    )


def song(*samples: JudgedSample) -> JudgedSong:
    return JudgedSong(place="1.1", unit="1", created_at=START, genres=(), artist="A", title="B", samples=samples)


def test_a_song_is_whole_when_its_last_sample_has_a_verdict_and_is_dated_by_it() -> None:
    half = song(sample("1", True, 5), sample("2", None))
    assert not half.is_whole
    assert half.completed_at is None
    whole = song(sample("1", True, 5), sample("2", False, 3))
    assert whole.is_whole
    assert whole.completed_at == START.replace(minute=5)


def test_a_song_without_samples_is_not_whole() -> None:
    assert not song().is_whole


def test_acceptance_is_the_share_of_a_versions_judged_samples() -> None:
    judged = song(sample("1", True), sample("1", False), sample("1", None), sample("2", None))
    assert judged.acceptance("1") == 0.5
    assert judged.acceptance("2") is None
    assert judged.acceptance("3") is None


@pytest.mark.parametrize("limits", [{"max_error_increase": 0.0}, {"alpha": 1.0}, {"max_slowdown": 1.0}])
def test_a_limit_out_of_range_is_refused_by_name(limits: dict[str, float]) -> None:
    with pytest.raises(ExperimentError, match=next(iter(limits))):
        Guardrails(**limits)
