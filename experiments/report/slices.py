"""Figures by genre and by curator."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Sequence
from dataclasses import replace
from typing import Final

from experiments.definition import Experiment
from experiments.evidence import Evidence, JudgedSample, JudgedSong
from experiments.report.pairing import acceptance_differences
from experiments.report.values import Point, Slice
from experiments.statistics.betting import confidence_sequence

LEAST_SONGS: Final = 10
"""Whole songs that a genre needs to be listed."""
LEAST_SAMPLES: Final = 10
"""Verdicts on each version that a curator needs to be compared with others."""
UNNAMED: Final = "not named"


def by_genre(evidence: Evidence) -> tuple[Slice, ...]:
    """Return figures of the genres with at least `LEAST_SONGS` whole songs. A song counts for each of its genres.

    Args:
        evidence: evidence of the experiment.

    Returns:
        Genres by their number of songs, descending.
    """
    songs_by_genre: defaultdict[str, list[JudgedSong]] = defaultdict(list)
    for song in evidence.songs:
        for genre in sorted(set(song.genres)) if song.is_whole else ():
            songs_by_genre[genre].append(song)
    rows = [
        _genre(genre, replace(evidence, songs=tuple(songs)))
        for genre, songs in songs_by_genre.items()
        if len(songs) >= LEAST_SONGS
    ]
    return tuple(sorted(rows, key=lambda row: (-row.songs, row.name)))


def by_curator(evidence: Evidence) -> tuple[Slice, ...]:
    """Return the verdicts of each curator on whole songs.

    Args:
        evidence: evidence of the experiment.

    Returns:
        Curators by their number of verdicts, descending.
    """
    versions = evidence.experiment.versions
    samples_by_curator: defaultdict[str, list[JudgedSample]] = defaultdict(list)
    songs_by_curator: Counter[str] = Counter()
    for song in filter(lambda each: each.is_whole, evidence.songs):
        judged = [sample for sample in song.samples if sample.accepted is not None]
        songs_by_curator.update({sample.curator or UNNAMED for sample in judged})
        for sample in judged:
            samples_by_curator[sample.curator or UNNAMED].append(sample)
    rows = [_row(name, songs_by_curator[name], samples, versions) for name, samples in samples_by_curator.items()]
    return tuple(sorted(rows, key=lambda row: (-sum(row.samples.values()), row.name)))


def agreement(experiment: Experiment, curators: Sequence[Slice]) -> str:
    """Return sentences on how far curators agree, as far as that can be known.

    Args:
        experiment: definition.
        curators: figures of `by_curator`.

    Returns:
        Sentences.
    """
    if not curators:
        return "Nobody has given a verdict yet."
    if len(curators) == 1:
        return "One curator has given all verdicts, so nothing is known of what others would accept."
    known = (
        "Each sample is judged once, so it is not known how often two curators would agree on the same text. "
        "What can be compared is the share that each of them accepts."
    )
    enough = [row for row in curators if all(row.samples.get(each, 0) >= LEAST_SAMPLES for each in experiment.versions)]
    if len(enough) < 2:
        return f"{known} Too few curators have {LEAST_SAMPLES} verdicts on each version to do so."
    shares = sorted(sum(row.accepted.values()) / sum(row.samples.values()) for row in enough)
    parts = [f"{known} Those with {LEAST_SAMPLES} verdicts on each version accept {shares[0]:.0%} to {shares[-1]:.0%}."]
    for treatment in experiment.treatments:
        ahead = sum(_share(row, treatment) > _share(row, experiment.control) for row in enough)
        parts.append(
            f"{ahead} of {len(enough)} accept a greater share of version {treatment} than of version "
            f"{experiment.control}."
        )
    return " ".join(parts)


def _genre(name: str, evidence: Evidence) -> Slice:
    experiment = evidence.experiment
    samples = [sample for song in evidence.songs for sample in song.samples]
    row = _row(name, len(evidence.songs), samples, experiment.versions)
    differences = {
        version: _difference(found, alpha=experiment.alpha)
        for version in experiment.treatments
        if (found := acceptance_differences(evidence, version))
    }
    return replace(row, differences=differences)


def _difference(differences: Sequence[float], *, alpha: float) -> Point:
    lower_N, upper_N = confidence_sequence(list(differences), low=-1.0, high=1.0, alpha=alpha)
    mean = sum(differences) / len(differences)
    return Point(songs=len(differences), value=mean, low=float(lower_N[-1]), high=float(upper_N[-1]))


def _row(name: str, songs: int, samples: Sequence[JudgedSample], versions: Sequence[str]) -> Slice:
    judged = Counter(sample.version for sample in samples)
    accepted = Counter(sample.version for sample in samples if sample.accepted)
    return Slice(
        name=name,
        songs=songs,
        samples={version: judged[version] for version in versions},
        accepted={version: accepted[version] for version in versions},
        differences={},
    )


def _share(row: Slice, version: str) -> float:
    return row.accepted[version] / row.samples[version]
