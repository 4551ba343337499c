"""Exports of exposures: one Parquet or JSON lines file, and counts for a first look."""

from __future__ import annotations

import contextlib
import os
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, fields
from datetime import date
from itertools import islice
from pathlib import Path
from typing import Any, Final

import pyarrow as pa
import pyarrow.parquet as pq

from handlers.contract import SamplingParams
from serving.errors import ServingError
from serving.traffic.exposures import FORMAT, Exposure, Role, encode_exposure, exposure_values
from serving.traffic.policy import AssignedBy

FORMAT_KEY: Final = b"deephypebot.exposures"
"""Key of a Parquet file's metadata: the version of its columns."""
_ROWS_PER_GROUP: Final = 16_384
_TEXTS: Final = pa.list_(pa.string())
_TYPE_OF_DEFAULT: Final = {float: pa.float64(), int: pa.int32(), tuple: _TEXTS}


def _schema() -> pa.Schema:
    """Columns of an export: an exposure's fields, with its sampling parameters, whose types are those of the contract.

    Columns are optional where an exposure may have no value.
    """

    def text(name: str, *, nullable: bool = False) -> pa.Field:
        return pa.field(name, pa.string(), nullable=nullable)

    always = ("model", "version", "archive_sha256", "policy_revision")
    return pa.schema(
        [
            text("id"),
            pa.field("time", pa.timestamp("us", tz="UTC"), nullable=False),
            *(text(name) for name in ("host", "role")),
            *(text(name, nullable=True) for name in ("outcome", "mirrors")),
            *(text(name) for name in always),
            *(text(name, nullable=True) for name in ("assigned_by", "request_id", "unit")),
            *(pa.field(name, _TEXTS, nullable=False) for name in ("genres", "genres_used", "genres_unknown")),
            *(text(name, nullable=True) for name in ("artist", "title", "topic")),
            pa.field("num_samples", pa.int32(), nullable=False),
            pa.field("best_of", pa.int32()),
            pa.field("seed", pa.int64()),
            *(
                pa.field(each.name, _TYPE_OF_DEFAULT[type(each.default)], nullable=False)
                for each in fields(SamplingParams)
            ),
            pa.field("sample_seeds", pa.list_(pa.int64()), nullable=False),
            pa.field("queue_ms", pa.float64(), nullable=False),
            pa.field("decode_ms", pa.float64(), nullable=False),
            *(text(name) for name in ("rank_by", "experiment", "code", "trace_id", "ranked_by")),
        ],
        metadata={FORMAT_KEY: str(FORMAT).encode()},
    )


def export(exposures: Iterable[Exposure], out: Path) -> int:
    """Write exposures to a file, as Parquet or as JSON lines by its suffix, and return their number.

    The file appears when it is whole; one that was there before is replaced.

    Raises:
        ServingError: the suffix is neither `.parquet` nor `.jsonl`, or the file cannot be written.
    """
    writers = {".parquet": _write_parquet, ".jsonl": _write_lines}
    if out.suffix not in writers:
        raise ServingError(f"{out} must end in .parquet or .jsonl, which says how exposures are written")
    partial = out.with_name(f".{out.name}.{os.getpid()}")
    try:
        out.parent.mkdir(parents=True, exist_ok=True)
        number = writers[out.suffix](iter(exposures), partial)
        partial.replace(out)
    except OSError as cause:
        raise ServingError(f"{out} cannot be written: {cause.strerror or cause}") from cause
    finally:
        with contextlib.suppress(OSError):  # the error above is the one to tell
            partial.unlink(missing_ok=True)
    return number


def _write_parquet(exposures: Iterator[Exposure], path: Path) -> int:
    schema, number = _schema(), 0
    with pq.ParquetWriter(path, schema, compression="zstd") as writer:
        while rows := [exposure_values(exposure) for exposure in islice(exposures, _ROWS_PER_GROUP)]:
            writer.write_table(pa.Table.from_pylist(rows, schema=schema))
            number += len(rows)
    return number


def _write_lines(exposures: Iterator[Exposure], path: Path) -> int:
    number = 0
    with path.open("wb") as file:
        for exposure in exposures:
            file.write(encode_exposure(exposure) + b"\n")
            number += 1
    return number


@dataclass(frozen=True, slots=True, kw_only=True)
class ExposureCount:
    """Number of exposures of one version on one day (UTC)."""

    day: date
    model: str
    version: str
    answers: int
    """Answers that clients got."""
    assigned_by: dict[AssignedBy, int]
    """Answers by the reason for which the version was chosen."""
    shadows: int
    """Answers and failures beside those, which nobody saw."""
    failures: int = 0
    """Valid requests that the version failed."""

    def to_mapping(self) -> dict[str, Any]:
        """Return the count as a JSON document."""
        reasons = {reason.value: self.assigned_by.get(reason, 0) for reason in AssignedBy}
        return {
            "day": self.day.isoformat(),
            "model": self.model,
            "version": self.version,
            "answers": self.answers,
            "assigned_by": reasons,
            "shadows": self.shadows,
            "failures": self.failures,
        }


def count(exposures: Iterable[Exposure]) -> tuple[ExposureCount, ...]:
    """Count exposures by day, model and version, in this order."""
    reasons: dict[tuple[date, str, str], Counter[AssignedBy]] = {}
    shadows: Counter[tuple[date, str, str]] = Counter()
    failures: Counter[tuple[date, str, str]] = Counter()
    for exposure in exposures:
        key = (exposure.time.date(), exposure.model, exposure.version)
        counted = reasons.setdefault(key, Counter())
        if exposure.role is Role.SHADOW:
            shadows[key] += 1
        elif exposure.role is Role.FAILURE:
            failures[key] += 1
        elif exposure.assigned_by is not None:
            counted[exposure.assigned_by] += 1
    return tuple(
        ExposureCount(
            day=day,
            model=model,
            version=version,
            answers=counted.total(),
            assigned_by=dict(counted),
            shadows=shadows[day, model, version],
            failures=failures[day, model, version],
        )
        for (day, model, version), counted in sorted(
            reasons.items(), key=lambda item: (item[0][0], item[0][1], len(item[0][2]), item[0][2])
        )
    )
