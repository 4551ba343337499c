"""Traces as MLflow should have them: plain values that follow from the bot's store alone.

A trace of MLflow belongs to one model (`mlflow.modelId`), and a song may have samples of several versions. So a song
has a trace for each version, and `search_traces(model_id=...)` finds a version's verdicts; the traces of a song share a
session, by which MLflow's page puts them side by side.

Every id is a hash of what it stands for. Sending the same state twice therefore changes nothing, also from another
ledger or after a kill between MLflow's commit and ours.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from typing import Any, Self

from bot.domain.candidates import CandidateStatus, Verdict
from bot.ports import QueueRow
from experiments.tracking.songs import SongRecord
from experiments.tracking.word_diff import word_diff


@dataclass(frozen=True, slots=True, kw_only=True)
class JudgedSpan:
    """A judged sample: a span of its song's trace, and the feedback on it."""

    span_id: str
    assessment_id: str
    candidate_id: str
    number: int
    """Number of the sample in the song, from 1."""
    text: str
    seed: int
    token_count: int
    log_prob: float
    """Log-probability of the text, in nats."""
    flags: tuple[str, ...]
    accepted: bool
    curator: str
    rationale: str
    """Difference between sample and edit, or the reason of a rejection; empty if there is neither."""
    edited_text: str | None
    decided_ms: int
    """Time of the verdict, in milliseconds since 1970."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SongTrace:
    """One version's judged samples of a song."""

    trace_id: str
    root_id: str
    """Id of the root span."""
    place: str
    """Permanent id of the song, as in 17.1."""
    model: str
    version: str
    archive_sha256: str
    experiment: str
    """Experiment of the project that the samples were written for; empty if there was none."""
    artist: str
    title: str
    genres: tuple[str, ...]
    post_text: str
    post_author: str
    post_url: str
    created_ms: int
    """Time at which the samples were written, in milliseconds since 1970."""
    feedback_ids: tuple[str, ...]
    """Ids that the feedback on its samples has, judged or not."""
    spans: tuple[JudgedSpan, ...]
    """Judged samples whose version may be told: of an experiment's song none before its last verdict."""

    @property
    def accepted(self) -> int:
        """Number of accepted samples."""
        return sum(span.accepted for span in self.spans)

    def to_json(self) -> str:
        """Return the trace as text that is equal for equal traces."""
        return json.dumps(asdict(self), ensure_ascii=False, sort_keys=True, separators=(",", ":"))

    @classmethod
    def from_json(cls, text: str) -> Self:
        """Return the trace that a text of `to_json` describes."""
        document: dict[str, Any] = json.loads(text)
        spans = tuple(JudgedSpan(**{**span, "flags": tuple(span["flags"])}) for span in document.pop("spans"))
        tuples = {name: tuple(document[name]) for name in ("genres", "feedback_ids")}
        return cls(**{**document, **tuples, "spans": spans})


def traces_of(song: SongRecord) -> Iterator[SongTrace]:
    """Yield a trace for each version that wrote samples of a song, also if none of them is judged."""
    by_version: dict[tuple[str, str, str], list[QueueRow]] = {}
    for row in song.rows:
        candidate = row.candidate
        by_version.setdefault((candidate.model, candidate.model_version, candidate.archive_sha256), []).append(row)
    for key, rows in by_version.items():
        yield _trace(song.place, key, rows)


def _trace(place: str, key: tuple[str, str, str], rows: list[QueueRow]) -> SongTrace:
    model, version, archive_sha256 = key
    first = rows[0]
    # The time tells the same song in the stores of two bots apart.
    created_at = min(row.created_at for row in rows)
    seal = _hash("trace", place, *key, created_at)
    report, post = first.candidate.report, first.source_post
    return SongTrace(
        trace_id=f"tr-{seal[:32]}",
        root_id=seal[32:48],
        place=place,
        model=model,
        version=version,
        archive_sha256=archive_sha256,
        experiment=first.candidate.experiment,
        artist=report.artist,
        title=report.song.title,
        genres=report.genres,
        post_text=post.text,
        post_author=post.author,
        post_url=post.url,
        created_ms=_milliseconds(created_at),
        feedback_ids=tuple(_feedback_id(_seal_of_sample(seal, row)) for row in rows),
        spans=tuple(_span(seal, row, verdict) for row in rows if (verdict := counted_verdict(row)) is not None),
    )


def counted_verdict(row: QueueRow) -> Verdict | None:
    """Return the verdict on a candidate if it counts, and MLflow's page may tell the candidate's version.

    One that was withdrawn with its song does not count. One of an experiment waits for the other verdicts on its song.
    """
    candidate = row.candidate
    hidden = candidate.status is CandidateStatus.WAITING or candidate.withdrawn or candidate.is_blind
    return None if hidden else row.verdict


def _span(seal: str, row: QueueRow, verdict: Verdict) -> JudgedSpan:
    candidate = row.candidate
    own = _seal_of_sample(seal, row)
    is_edited = verdict.edited_text is not None and verdict.edited_text != candidate.sample.text
    return JudgedSpan(
        span_id=own[:16],
        assessment_id=_feedback_id(own),
        candidate_id=candidate.id,
        number=candidate.number,
        text=candidate.sample.text,
        seed=candidate.sample.seed,
        token_count=candidate.sample.token_count,
        log_prob=candidate.sample.log_prob,
        flags=tuple(map(str, candidate.flags)),
        accepted=candidate.status is CandidateStatus.ACCEPTED,
        curator=verdict.who,
        rationale=word_diff(candidate.sample.text, verdict.edited_text or "") if is_edited else verdict.reason,
        edited_text=verdict.edited_text if is_edited else None,
        decided_ms=_milliseconds(row.decided_at or row.created_at),
    )


def _seal_of_sample(seal: str, row: QueueRow) -> str:
    return _hash("sample", seal, row.candidate.id)


def _feedback_id(own: str) -> str:
    return f"a-{own[16:48]}"


def _hash(*parts: str) -> str:
    return hashlib.sha256("\0".join(parts).encode("utf-8", "surrogatepass")).hexdigest()


def _milliseconds(stamp: str) -> int:
    time = datetime.fromisoformat(stamp)
    return round((time if time.tzinfo else time.replace(tzinfo=UTC)).timestamp() * 1000)
