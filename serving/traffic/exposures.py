"""Exposures: one row for each answered request, which says who was shown which version, and under which settings.

A row is in its file before the answer leaves the gateway, so an answer that a client has is in the files whatever
happens to the process afterwards. `serving.traffic.segments` keeps the files, `serving.traffic.reading` reads them.
"""

from __future__ import annotations

import json
import socket
import uuid
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, fields
from datetime import UTC, datetime
from enum import StrEnum
from typing import Any, Final, Protocol

from handlers.contract import CommentaryRequest, SamplingParams, field_values
from serving.registry.contents import ArchiveInfo
from serving.traffic.policy import AssignedBy
from serving.traffic.segments import Segments

FORMAT: Final = 1
"""Version of the rows, in their field `format`. A later one may have more fields; readers leave out unknown ones."""

_encode: Final = json.JSONEncoder(ensure_ascii=False, separators=(",", ":"), check_circular=False).encode


class Role(StrEnum):
    """Purpose of the answer of an exposure."""

    ANSWER = "answer"
    """It went to the client."""
    SHADOW = "shadow"
    """A shadow version gave it to a copy of the request, and nobody saw it."""
    FAILURE = "failure"
    """There is none: the version failed a valid request."""


class ShadowOutcome(StrEnum):
    """Fate of a copy of a request that was offered to a shadow version."""

    ANSWERED = "answered"
    FAILED = "failed"
    """The version returned an error, or nothing within the time limit."""
    DROPPED_FULL = "dropped_full"
    """The queue of the version was full."""
    DROPPED_BUSY = "dropped_busy"
    """A version that answers clients had no free worker."""
    DROPPED_UNABLE = "dropped_unable"
    """The request asks for a rule that the version cannot follow (`rank_by`)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Exposure:
    """One answer of one version, or its failure to give one.

    The sampling parameters are those that applied, defaults included.
    """

    id: str
    """Key that no other exposure has, on whichever host: 16 random hexadecimal digits of the process, and a count."""
    time: datetime
    """Moment at which the answer was complete (UTC, microseconds), by the clock of the host."""
    host: str
    """Name of the gateway's host."""
    role: Role
    outcome: ShadowOutcome | None
    """Outcome of a shadow: answered or failed; None for an answer."""
    mirrors: str | None
    """Key of the exposure of which this shadow is the copy; None for an answer."""
    model: str
    version: str
    archive_sha256: str
    policy_revision: str
    """Digest of the traffic policy under which the version was chosen; empty where the model had none."""
    assigned_by: AssignedBy | None
    """Reason for the version; None for a shadow, which answers beside the version that was chosen."""
    request_id: str | None
    unit: str | None
    genres: tuple[str, ...]
    """Genres as they were asked for."""
    genres_used: tuple[str, ...]
    genres_unknown: tuple[str, ...]
    artist: str | None
    title: str | None
    topic: str | None
    """Topic that was asked for; None for the model's own."""
    num_samples: int
    best_of: int | None
    """Candidates that were asked for; None left the number to the model."""
    seed: int | None
    """Seed with which the version was asked; None where the worker drew one."""
    sampling: SamplingParams
    """Sampling parameters; each is a field of its own in a row and a column of its own in an export."""
    sample_seeds: tuple[int, ...]
    """Seed of each sample as it was returned."""
    queue_ms: float
    """Time outside of the worker's computation; of a failure, the time until it."""
    decode_ms: float
    rank_by: str = ""
    """Rule that was asked for; empty if none was. `ranked_by` is the one that applied."""
    experiment: str = ""
    """Experiment to which the answer belongs; empty if it belongs to none."""
    code: str = ""
    """Status of a failure by its name in gRPC; empty for an answer."""
    trace_id: str = ""
    """Trace of the request, 32 hexadecimal digits; empty if it belongs to none."""
    ranked_by: str = ""
    """Rule by which candidates were ranked: the one that was asked for, or the version's own. Empty for a failure, and
    in rows of earlier releases."""


class Answer(Protocol):
    """Parts of an answer that an exposure holds; the contract's response and the protocol's message have them."""

    @property
    def samples(self) -> Sequence[Any]:
        """Samples, each with its `seed`."""

    @property
    def genres_used(self) -> Iterable[str]:
        """Labels to which the genres were mapped."""

    @property
    def genres_unknown(self) -> Iterable[str]:
        """Genres without a label."""

    @property
    def timings(self) -> Any:
        """Durations: `queue_ms` and `decode_ms`."""


class Recorder:
    """Writer of exposures.

    Args:
        segments: files to write to; None counts exposures and keeps none.
        host: name of this machine.
        now: clock, in UTC.
    """

    def __init__(
        self, segments: Segments | None, *, host: str = "", now: Callable[[], datetime] = lambda: datetime.now(UTC)
    ) -> None:
        self._segments = segments
        self._host = host or socket.gethostname()
        self._now = now
        self._process = uuid.uuid4().hex[:16]
        self._count = 0

    @property
    def written(self) -> int:
        """Number of rows written."""
        return self._segments.written if self._segments else 0

    @property
    def lost(self) -> int:
        """Number of rows that could not be written."""
        return self._segments.lost if self._segments else 0

    def record(
        self,
        request: CommentaryRequest,
        answer: Answer,
        *,
        info: ArchiveInfo,
        by: AssignedBy,
        revision: str = "",
        experiment: str = "",
        trace_id: str = "",
    ) -> str:
        """Write the exposure of an answer that is about to leave, and return its key. No fault of a disk raises.

        Args:
            request: the request as the version got it.
            answer: the answer, with its final durations.
            info: version that answered.
            by: reason for the version.
            revision: revision of the traffic policy.
            experiment: experiment to which the answer belongs; empty if it belongs to none.
            trace_id: trace of the request; empty if it belongs to none.
        """
        circumstances: dict[str, str | None] = {
            "role": Role.ANSWER,
            "outcome": None,
            "mirrors": None,
            "assigned_by": by,
        }
        return self._write(request, answer, info, _named(circumstances, revision, experiment, trace_id))

    def record_failure(
        self,
        request: CommentaryRequest,
        *,
        code: str,
        elapsed_s: float,
        info: ArchiveInfo,
        by: AssignedBy,
        revision: str = "",
        experiment: str = "",
        trace_id: str = "",
    ) -> str:
        """Write that a version failed a valid request, and return the row's key. No fault of a disk raises.

        Args:
            request: the request as the version got it.
            code: status by its name in gRPC.
            elapsed_s: time until the failure.
            info: version that failed.
            by: reason for the version.
            revision: revision of the traffic policy.
            experiment: experiment to which the request belongs; empty if it belongs to none.
            trace_id: trace of the request; empty if it belongs to none.
        """
        circumstances: dict[str, str | None] = {
            "role": Role.FAILURE,
            "outcome": None,
            "mirrors": None,
            "assigned_by": by,
            "code": code,
        }
        named = _named(circumstances, revision, experiment, trace_id)
        return self._write(request, None, info, named, elapsed_ms=1000 * elapsed_s)

    def record_shadow(
        self, request: CommentaryRequest, answer: Answer | None, *, info: ArchiveInfo, mirrors: str, revision: str = ""
    ) -> str:
        """Write the exposure of a shadow's answer, or of its failure, and return its key. No fault of a disk raises.

        Args:
            request: the copy as the shadow got it.
            answer: the answer; None for a failure.
            info: the shadow version.
            mirrors: key of the exposure of the request that was copied.
            revision: revision of the traffic policy.
        """
        outcome = ShadowOutcome.ANSWERED if answer is not None else ShadowOutcome.FAILED
        circumstances: dict[str, str | None] = {
            "role": Role.SHADOW,
            "outcome": outcome,
            "mirrors": mirrors,
            "assigned_by": None,
        }
        return self._write(request, answer, info, _named(circumstances, revision))

    def _write(
        self,
        request: CommentaryRequest,
        answer: Answer | None,
        info: ArchiveInfo,
        circumstances: dict[str, str | None],
        *,
        elapsed_ms: float = 0.0,
    ) -> str:
        self._count += 1
        key = f"{self._process}{self._count:016x}"
        if self._segments is None:
            return key
        # A dictionary costs a third of an `Exposure`, and every request pays for it.
        row = {
            "format": FORMAT,
            "id": key,
            "time": self._now().isoformat(timespec="microseconds"),
            "host": self._host,
            **circumstances,
            "model": info.model,
            "version": info.version,
            "archive_sha256": info.sha256,
            "request_id": request.request_id,
            "unit": request.unit,
            "genres": request.genres,
            "genres_used": tuple(answer.genres_used) if answer else (),
            "genres_unknown": tuple(answer.genres_unknown) if answer else (),
            "artist": request.artist,
            "title": request.title,
            "topic": request.topic,
            "num_samples": request.num_samples,
            "best_of": request.best_of,
            "seed": request.seed,
            **field_values(request.sampling),
            **({} if request.rank_by is None else {"rank_by": request.rank_by}),
            "sample_seeds": [sample.seed for sample in answer.samples] if answer else (),
            "queue_ms": round(answer.timings.queue_ms if answer else elapsed_ms, 3),
            "decode_ms": round(answer.timings.decode_ms, 3) if answer else 0.0,
            **({"ranked_by": request.rank_by or info.rank_by} if answer else {}),
        }
        # A worker may send half a surrogate pair, which UTF-8 lacks: it becomes a question mark.
        self._segments.append(_encode(row).encode(errors="replace"))
        return key


def _named(
    circumstances: dict[str, str | None], revision: str, experiment: str = "", trace_id: str = ""
) -> dict[str, str | None]:
    """Add the fields of a row that name policy, experiment and trace; one without them is as long as ever."""
    circumstances["policy_revision"] = revision
    if experiment:
        circumstances["experiment"] = experiment
    if trace_id:
        circumstances["trace_id"] = trace_id
    return circumstances


_SAMPLING: Final = tuple(each.name for each in fields(SamplingParams))
_LISTS: Final = ("genres", "genres_used", "genres_unknown", "sample_seeds")
_LATER: Final = ("rank_by", "experiment", "code", "trace_id", "ranked_by")
"""Fields that rows of earlier releases lack, and that are left out where they are empty."""
_CONVERTED: Final = {"time", "role", "outcome", "assigned_by", "sampling", *_LISTS, *_LATER}
_PLAIN: Final = tuple(each.name for each in fields(Exposure) if each.name not in _CONVERTED)


def parse_exposure(line: bytes) -> Exposure:
    """Decode a row; fields that this version does not know are left out.

    Raises:
        ValueError: the line is not the JSON object of an exposure.
    """
    try:
        row: Mapping[str, Any] = json.loads(line)
        values = {name: row[name] for name in _PLAIN} | {name: tuple(row[name]) for name in _LISTS}
        return Exposure(
            **values,
            **{name: row.get(name, "") for name in _LATER},
            time=datetime.fromisoformat(row["time"]).astimezone(UTC),
            role=Role(row["role"]),
            outcome=ShadowOutcome(row["outcome"]) if row["outcome"] is not None else None,
            assigned_by=AssignedBy(row["assigned_by"]) if row["assigned_by"] is not None else None,
            sampling=SamplingParams(**{name: row[name] for name in _SAMPLING if name in row}),
        )
    except (KeyError, TypeError, ValueError, RecursionError) as cause:
        raise ValueError(f"not an exposure ({cause!r}): {line[:80]!r}") from cause


def exposure_values(exposure: Exposure) -> dict[str, Any]:
    """Return the fields of a row by their names, flat, with the time as a datetime."""
    values = field_values(exposure)
    sampling = field_values(values.pop("sampling"))
    return {**values, **sampling, "bad_words": tuple(sampling["bad_words"])}


def encode_exposure(exposure: Exposure) -> bytes:
    """Encode an exposure as a row; the inverse of `parse_exposure`."""
    values = exposure_values(exposure)
    return _encode({"format": FORMAT, **values, "time": exposure.time.isoformat(timespec="microseconds")}).encode()
