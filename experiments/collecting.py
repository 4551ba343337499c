"""Collecting of the evidence of an experiment from the bot's queue and the gateway's exposures."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from itertools import combinations

from bot.domain.candidates import CandidateStatus
from bot.ports import Queue, QueueRow
from experiments.definition import Experiment
from experiments.evidence import Call, Evidence, JudgedSample, JudgedSong, UnitCounts
from handlers.contract import CHAMPION, MAX_TEXT_LENGTH
from serving.registry.versions import EXPERIMENT_TAG, SALT_TAG, WEIGHT_TAG, RegisteredVersion
from serving.traffic.experiment import ExperimentDesign
from serving.traffic.exposures import Exposure, Role
from serving.traffic.policy import AssignedBy, TrafficPolicy, make_policy


def collect(experiment: Experiment, queue: Queue, exposures: Iterable[Exposure] | None) -> Evidence:
    """Return all that is known of an experiment.

    Args:
        experiment: the experiment.
        queue: the bot's queue, which is read once, a candidate at a time.
        exposures: rows of the gateway's exposures by time; None if there are none to read.

    Returns:
        Its songs, its requests, and the counts of its units in the sticky design.
    """
    requests = _Requests(experiment)
    for exposure in exposures or ():
        requests.add(exposure)
    songs = _Songs(experiment)
    for row in queue.rows():
        songs.add(row)
    notes = [*requests.notes(), *songs.notes()]
    if exposures is None:
        notes.insert(0, "There are no exposures: failures and times of answers are not known.")
    return Evidence(
        experiment=experiment,
        songs=songs.ordered(),
        calls=tuple(sorted(requests.calls, key=lambda call: call.time)),
        units=requests.unit_counts(),
        notes=tuple(notes),
    )


def unit_of(row: QueueRow) -> str:
    """Return the unit by which the request of a candidate was dealt out."""
    return row.candidate.report.source_post_id[:MAX_TEXT_LENGTH]


@dataclass(slots=True)
class _Requests:
    """Requests of an experiment, from exposures."""

    experiment: Experiment
    calls: list[Call] = field(default_factory=list)
    _replaced: int = 0
    """Requests that another version answered, because that of their unit was not live."""
    _first: dict[str, str] = field(default_factory=dict)
    """Version of each unit's first answer."""
    _mismatches: set[str] = field(default_factory=set)
    _unknown: set[str] = field(default_factory=set)
    """Units that were dealt out by a policy that is not the experiment's."""
    _policies: Mapping[str, TrafficPolicy] = field(init=False)
    _counted_until: datetime | None = field(init=False)

    def __post_init__(self) -> None:
        self._policies = known_policies(self.experiment)
        ends = [*(each.at for each in self.experiment.actions), self.experiment.stopped]
        self._counted_until = min((end for end in ends if end is not None), default=None)

    def add(self, exposure: Exposure) -> None:
        """Count an exposure if it belongs to the experiment."""
        experiment = self.experiment
        if exposure.model != experiment.model or exposure.version not in experiment.versions:
            return
        if exposure.role is Role.SHADOW:
            return
        if exposure.time < experiment.started or (
            experiment.stopped is not None and exposure.time > experiment.stopped
        ):
            return
        if exposure.experiment != experiment.name:
            self._replaced += exposure.assigned_by is AssignedBy.FALLBACK
            return
        failed = exposure.role is Role.FAILURE
        self.calls.append(
            Call(
                time=exposure.time,
                version=exposure.version,
                unit=exposure.unit,
                failed=failed,
                total_ms=0.0 if failed else exposure.queue_ms + exposure.decode_ms,
                exposure_id=exposure.id,
                request=(exposure.unit or "", exposure.seed or 0),
            )
        )
        if experiment.design is ExperimentDesign.STICKY and exposure.unit and not failed:
            self._count_unit(exposure, exposure.unit)

    def _count_unit(self, exposure: Exposure, unit: str) -> None:
        # After a version was taken off, the shares are others.
        if exposure.assigned_by is not AssignedBy.UNIT or (
            self._counted_until is not None and exposure.time > self._counted_until
        ):
            return
        self._first.setdefault(unit, exposure.version)
        policy = self._policies.get(exposure.policy_revision)
        if policy is None:
            self._unknown.add(unit)
        elif (given := policy.assign(unit, lambda: 0.0)) is not None and given.version != exposure.version:
            self._mismatches.add(unit)

    def unit_counts(self) -> UnitCounts | None:
        """Return the units by their versions; None in the interleaved design."""
        if self.experiment.design is not ExperimentDesign.STICKY:
            return None
        counts = Counter(self._first.values())
        versions = self.experiment.versions
        return UnitCounts(
            observed={version: counts[version] for version in versions},
            shares=dict.fromkeys(versions, 1 / len(versions)),
            mismatches=len(self._mismatches),
        )

    def notes(self) -> Iterator[str]:
        """Sentences on what was left out or could not be checked."""
        if self._unknown:
            yield (
                f"{_number(len(self._unknown), 'unit was', 'units were')} dealt out under other shares, shadows or "
                "units by name than the experiment's own: their versions are counted and could not be recomputed."
            )
        if self._replaced and self.experiment.design is ExperimentDesign.STICKY:
            yield (
                f"{_number(self._replaced, 'request was', 'requests were')} answered by another version than that of "
                "the unit, which was not live; they do not count, and `deephypebot models list` says why."
            )


@dataclass(slots=True)
class _Songs:
    """Songs of an experiment, from candidates."""

    experiment: Experiment
    _samples: dict[str, list[JudgedSample]] = field(default_factory=dict)
    _first: dict[str, QueueRow] = field(default_factory=dict)
    _num_withdrawn: int = 0

    def add(self, row: QueueRow) -> None:
        """Count a candidate if it belongs to the experiment."""
        candidate = row.candidate
        if not self._belongs(row):
            return
        if candidate.withdrawn:
            self._num_withdrawn += 1
            return
        place = f"{candidate.report.source_post_id}.{candidate.report.number}"
        self._first.setdefault(place, row)
        self._samples.setdefault(place, []).append(judged_sample(row))

    def _belongs(self, row: QueueRow) -> bool:
        candidate, experiment = row.candidate, self.experiment
        # The gateway names the experiment of an answer that it dealt out, and of no other: not where the version was
        # pinned, named for the unit or in the place of another, nor for what a curator tried and added to the queue.
        if candidate.experiment != experiment.name:
            return False
        if candidate.model != experiment.model or candidate.model_version not in experiment.versions:
            return False
        return experiment.stopped is None or _time(row.created_at) <= experiment.stopped

    def ordered(self) -> tuple[JudgedSong, ...]:
        """Return the songs by the time of their last verdict, and those that are not whole at the end."""
        songs = [_song(place, self._first[place], samples) for place, samples in self._samples.items()]

        def key(song: JudgedSong) -> tuple[bool, datetime, str]:
            return (song.completed_at is None, song.completed_at or song.created_at, song.place)

        return tuple(sorted(songs, key=key))

    def notes(self) -> Iterator[str]:
        """Sentences on what was left out."""
        if self._num_withdrawn:
            yield (
                f"{_number(self._num_withdrawn, 'sample is', 'samples are')} left out: a curator said that the post "
                "names another song, or none."
            )


def judged_sample(row: QueueRow) -> JudgedSample:
    """Return a candidate with the verdict that holds on it."""
    candidate, verdict = row.candidate, row.verdict
    is_judged = candidate.status is not CandidateStatus.WAITING and verdict is not None
    return JudgedSample(
        candidate_id=candidate.id,
        version=candidate.model_version,
        archive_sha256=candidate.archive_sha256,
        exposure_id=candidate.exposure_id,
        seed=candidate.sample.seed,
        text=candidate.sample.text,
        flags=tuple(flag.value for flag in candidate.flags),
        accepted=candidate.status is CandidateStatus.ACCEPTED if is_judged else None,
        curator=verdict.who if verdict is not None and is_judged else "",
        decided_at=_time(row.decided_at) if row.decided_at and is_judged else None,
        edited_text=verdict.edited_text if verdict is not None and is_judged else None,
        reason=verdict.reason if verdict is not None and is_judged else "",
    )


def known_policies(experiment: Experiment) -> dict[str, TrafficPolicy]:
    """Return the policies that the sticky design has by itself, by their revisions: the shares are those of the start.

    None in the interleaved design, which deals nothing out.
    """
    if experiment.design is not ExperimentDesign.STICKY:
        return {}
    policies = [_policy(experiment, arms) for arms in _arms(experiment)]
    return {policy.revision: policy for policy in policies}


def _arms(experiment: Experiment) -> Iterator[tuple[str, ...]]:
    """Versions that may take part at one time: the control, and all treatments or those that are left of them."""
    for number in range(len(experiment.treatments), 0, -1):
        for treatments in combinations(experiment.treatments, number):
            yield (experiment.control, *treatments)


def _policy(experiment: Experiment, arms: tuple[str, ...]) -> TrafficPolicy:
    share = f"{100 / len(experiment.versions):.10g}"
    text = str(experiment.mark)
    versions = [
        RegisteredVersion(
            model=experiment.model,
            version=version,
            aliases=(CHAMPION,) if version == experiment.control else (),
            run_id="",
            archive_path="archive",
            archive_sha256="archive",
            sync_error="",
            traffic={
                EXPERIMENT_TAG: text,
                **({SALT_TAG: experiment.salt} if version == experiment.control else {WEIGHT_TAG: share}),
            },
        )
        for version in arms
    ]
    return make_policy(experiment.model, champion=experiment.control, versions=versions, now=0.0)


def _song(place: str, first: QueueRow, samples: list[JudgedSample]) -> JudgedSong:
    report = first.candidate.report
    return JudgedSong(
        place=place,
        unit=unit_of(first),
        created_at=_time(first.created_at),
        genres=report.genres_asked or report.genres,
        artist=report.artist,
        title=report.song.title,
        samples=tuple(samples),
    )


def _time(text: str) -> datetime:
    return datetime.fromisoformat(text).astimezone(UTC)


def _number(count: int, singular: str, plural: str) -> str:
    return f"{count} {singular if count == 1 else plural}"
