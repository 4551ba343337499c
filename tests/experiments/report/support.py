"""Evidence of made-up experiments, by a seeded curator."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import numpy as np

from experiments.definition import Experiment
from experiments.evidence import Call, Evidence, JudgedSample, JudgedSong, UnitCounts
from serving.traffic.experiment import ExperimentDesign

START = datetime(2026, 11, 30, 6, tzinfo=UTC)
REASONS = ("does not fit the song", "makes no sense", "")


def experiment(
    design: ExperimentDesign = ExperimentDesign.INTERLEAVED, *, treatments: tuple[str, ...] = ("2",), **fields: object
) -> Experiment:
    return Experiment(
        name="night-shift",
        model="lcgan",
        control="1",
        treatments=treatments,
        design=design,
        started=START,
        **fields,  # type: ignore[arg-type]
    )


def sample(
    version: str,
    accepted: bool | None,
    *,
    minute: float = 0.0,
    curator: str = "ada",
    flags: tuple[str, ...] = (),
    edited_text: str | None = None,
    reason: str = "",
) -> JudgedSample:
    return JudgedSample(
        candidate_id=f"{version}.{minute}",
        version=version,
        archive_sha256="",
        exposure_id="",
        seed=1,
        text="A lamp.",
        flags=flags,
        accepted=accepted,
        curator=curator if accepted is not None else "",
        decided_at=START + timedelta(minutes=minute) if accepted is not None else None,
        edited_text=edited_text,
        reason=reason if accepted is False else "",
    )


def song(number: int, *samples: JudgedSample, genres: tuple[str, ...] = ("dream pop",)) -> JudgedSong:
    return JudgedSong(
        place=f"{number}.1",
        unit=str(number),
        created_at=START + timedelta(minutes=number),
        genres=genres,
        artist="A",
        title="B",
        samples=samples,
    )


def evidence(
    rates: dict[str, float],
    *,
    songs: int,
    each: int = 2,
    seed: int = 1,
    design: ExperimentDesign = ExperimentDesign.INTERLEAVED,
    failures: float = 0.0,
    slowdown: float = 1.0,
    copies: float = 0.0,
    half: int = 0,
    **fields: object,
) -> Evidence:
    """Return evidence of `songs` whole songs, whose last version has the faults."""
    generator = np.random.default_rng(seed)
    versions = list(rates)
    made = []
    for number in range(songs + half):
        ease = generator.normal(0, 0.15)
        names = (
            versions if design is ExperimentDesign.INTERLEAVED else [versions[int(generator.integers(len(versions)))]]
        )
        samples = [
            sample(
                name,
                bool(generator.random() < rates[name] + ease) if number < songs or k == 0 else None,
                minute=number + k / 10,
                curator="ada" if generator.random() < 0.6 else "grace",
                flags=("copy",) if name == versions[-1] and generator.random() < copies else (),
                edited_text="A lamp, lit." if generator.random() < 0.1 else None,
                reason=str(generator.choice(REASONS)),
            )
            for name in names
            for k in range(each)
        ]
        made.append(song(number, *samples, genres=("dream pop", "shoegaze") if number % 3 == 0 else ("techno",)))
    calls = []
    for number in range(songs + half):
        for name in versions if design is ExperimentDesign.INTERLEAVED else [made[number].samples[0].version]:
            has_failed = name == versions[-1] and bool(generator.random() < failures)
            calls.append(
                Call(
                    time=START + timedelta(minutes=number),
                    version=name,
                    unit=str(number),
                    request=(str(number), 0),
                    failed=has_failed,
                    total_ms=0.0
                    if has_failed
                    else float(generator.lognormal(4, 0.4)) * (slowdown if name == versions[-1] else 1.0),
                )
            )
    units = None
    if design is ExperimentDesign.STICKY:
        observed = {name: sum(made[k].samples[0].version == name for k in range(songs + half)) for name in versions}
        units = UnitCounts(observed=observed, shares=dict.fromkeys(versions, 1 / len(versions)))
    return Evidence(
        experiment=experiment(design, treatments=tuple(versions[1:]), **fields),
        songs=tuple(made),
        calls=tuple(calls),
        units=units,
    )
