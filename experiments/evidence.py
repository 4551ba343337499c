"""Evidence of an experiment: judged songs and answered requests, as the report and the guardrails read them.

Plain values without a network: `experiments.collecting` makes them of the bot's store and the gateway's exposures.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime

from experiments.definition import Experiment


@dataclass(frozen=True, slots=True, kw_only=True)
class JudgedSample:
    """One sample of a song, with the verdict that holds on it."""

    candidate_id: str
    version: str
    archive_sha256: str
    exposure_id: str
    """Exposure of the answer that it came with; empty if the gateway named none."""
    seed: int
    text: str
    """The sample as it was generated."""
    flags: tuple[str, ...]
    """Flags of its text when it was generated, by their names (`bot.domain.candidates.Flag`)."""
    accepted: bool | None = None
    """The curator's verdict; None while it waits."""
    curator: str = ""
    decided_at: datetime | None = None
    edited_text: str | None = None
    """Text that the curator made of it; None if it was accepted as it is."""
    reason: str = ""
    """Reason of a rejection; empty if none was given."""


@dataclass(frozen=True, slots=True, kw_only=True)
class JudgedSong:
    """A song with its samples in the order in which the curators saw them."""

    place: str
    """Place of the song in the queue."""
    unit: str
    """Unit by which its requests were dealt out."""
    created_at: datetime
    genres: tuple[str, ...]
    """Genres of its request."""
    artist: str
    title: str
    samples: tuple[JudgedSample, ...]

    @property
    def is_whole(self) -> bool:
        """Whether every sample has a verdict. Only such songs count: nobody can stop in the middle of one."""
        return bool(self.samples) and all(sample.accepted is not None for sample in self.samples)

    @property
    def versions(self) -> frozenset[str]:
        """Versions of its samples."""
        return frozenset(sample.version for sample in self.samples)

    @property
    def completed_at(self) -> datetime | None:
        """Time of the last verdict; None while a sample waits."""
        times = [sample.decided_at for sample in self.samples if sample.decided_at is not None]
        return max(times) if times and self.is_whole else None

    def acceptance(self, version: str) -> float | None:
        """Return the share of a version's judged samples that were accepted, from 0 to 1; None without any."""
        judged = [sample.accepted for sample in self.samples if sample.version == version]
        verdicts = [accepted for accepted in judged if accepted is not None]
        return sum(verdicts) / len(verdicts) if verdicts else None


@dataclass(frozen=True, slots=True, kw_only=True)
class Call:
    """One request that a version answered or failed, in the experiment's time."""

    time: datetime
    version: str
    unit: str | None
    failed: bool
    total_ms: float
    """Time of the answer in milliseconds, waiting included; 0 for a failure."""
    exposure_id: str = ""
    request: tuple[str, int] = ("", 0)
    """Unit and seed of the request, which all arms of an interleaved request share."""


@dataclass(frozen=True, slots=True, kw_only=True)
class UnitCounts:
    """Units by the version that answered them, of those that the hash deals out (the sticky design)."""

    observed: Mapping[str, int]
    """Number of units whose first answer came from each version."""
    shares: Mapping[str, float]
    """Share that each version should have."""
    mismatches: int = 0
    """Units whose version is not the one that the hash gives under the policy of their exposure."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Evidence:
    """All that is known of an experiment at one moment."""

    experiment: Experiment
    songs: tuple[JudgedSong, ...]
    """Songs by the time at which their last verdict was given; those that are not whole at the end."""
    calls: tuple[Call, ...]
    """Requests by time."""
    units: UnitCounts | None = None
    """Counts of the sticky design; None for the interleaved one, where nothing is dealt out."""
    notes: tuple[str, ...] = ()
    """Sentences on data that could not be read or was left out."""
