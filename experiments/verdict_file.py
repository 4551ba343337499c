"""File of verdicts for a training: a line of JSON for each judged sample, with the settings that it was written by."""

from __future__ import annotations

import json
import os
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bot.domain.candidates import CandidateStatus
from bot.ports import Queue, QueueRow
from experiments.errors import ExperimentError
from handlers.contract import SamplingParams, field_values
from serving.traffic.exposures import Exposure


@dataclass(frozen=True, slots=True, kw_only=True)
class Written:
    """Contents of a file of verdicts."""

    accepted: int
    edited: int
    """Accepted samples whose text a curator changed; counted among the accepted ones as well."""
    rejected: int
    without_exposure: int
    """Samples whose exposure was not found: their settings are the contract's defaults, which the bot asks with."""

    @property
    def total(self) -> int:
        """Number of lines."""
        return self.accepted + self.rejected


def write_verdicts(out: Path, queue: Queue, exposures: Iterable[Exposure], *, model: str = "") -> Written:
    """Write all judged candidates of a queue; the file appears when it is whole.

    Candidates that were withdrawn are left out: their verdict says nothing about the text. So are those of an
    experiment's song that is not judged whole: their lines would tell a curator the versions of the rest.

    Args:
        out: file to write, JSON lines.
        queue: the bot's queue, which is read twice.
        exposures: rows of the gateway's exposures, for the sampling settings.
        model: registered model whose samples are written; all if it is empty.

    Raises:
        ExperimentError: the file cannot be written.
    """
    wanted = {row.candidate.exposure_id for row in _judged(queue, model)} - {""}
    known = {each.id: each for each in exposures if each.id in wanted} if wanted else {}
    partial = out.with_name(f".{out.name}.{os.getpid()}.partial")
    counts = dict.fromkeys(("accepted", "edited", "rejected", "without_exposure"), 0)
    try:
        with partial.open("w", encoding="utf-8") as file:
            for row in _judged(queue, model):
                exposure = known.get(row.candidate.exposure_id)
                values = verdict_row(row, exposure)
                file.write(json.dumps(values, ensure_ascii=False, separators=(",", ":")) + "\n")
                counts["accepted" if values["accepted"] else "rejected"] += 1
                counts["edited"] += bool(values["accepted"]) and values["edited_text"] is not None
                counts["without_exposure"] += exposure is None
        partial.replace(out)
    except OSError as cause:
        raise ExperimentError(f"{out} cannot be written: {cause.strerror}; give another file with --out") from cause
    finally:
        partial.unlink(missing_ok=True)
    return Written(**counts)


def verdict_row(row: QueueRow, exposure: Exposure | None) -> Mapping[str, Any]:
    """Return one line: a judged candidate with its verdict.

    Args:
        row: the candidate.
        exposure: exposure of the answer that it came with; None if it is not known.
    """
    candidate, verdict = row.candidate, row.verdict
    report = candidate.report
    sampling = field_values(exposure.sampling if exposure is not None else SamplingParams())
    return {
        "model": candidate.model,
        "version": candidate.model_version,
        "archive_sha256": candidate.archive_sha256,
        "seed": candidate.sample.seed,
        "genres": list(report.genres_asked or report.genres),
        "topic": exposure.topic if exposure is not None else None,
        **sampling,
        "bad_words": list(sampling["bad_words"]),
        "best_of": exposure.best_of if exposure is not None else None,
        "rank_by": exposure.rank_by if exposure is not None else "",
        "ranked_by": exposure.ranked_by if exposure is not None else "",
        "artist": report.artist,
        "title": report.song.title,
        "text": candidate.sample.text,
        "accepted": candidate.status is CandidateStatus.ACCEPTED,
        "edited_text": verdict.edited_text if verdict is not None else None,
        "curator": verdict.who if verdict is not None else "",
        "decided_at": row.decided_at,
        "experiment": candidate.experiment,
        "flags": [flag.value for flag in candidate.flags],
    }


def _judged(queue: Queue, model: str) -> Iterator[QueueRow]:
    for row in queue.rows():
        candidate = row.candidate
        is_hidden = candidate.status is CandidateStatus.WAITING or candidate.withdrawn or candidate.is_blind
        if not is_hidden and (not model or candidate.model == model):
            yield row
