"""Reports of experiments in the folder `experiments/NAME/` of a workspace: `report.json` and `report.html`."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

from typing_extensions import override

from bot.ports import ExperimentReport, ExperimentReports, ReportedArm, UnreadableReport

FOLDER: Final = "experiments"
"""Folder of a workspace with a folder for each experiment."""
HEAD: Final = "report.json"
PAGE: Final = "report.html"
MAX_HEAD: Final = 4 * 2**20
MAX_PAGE: Final = 32 * 2**20
"""Bytes above which a file is not read: it is not a report."""
_NAME: Final = re.compile(r"[a-z0-9-]{1,40}")
"""Names of experiments, as their definitions have them; no other folder is looked into."""


class FileReports(ExperimentReports):
    """Reports in a workspace. The files are replaced as a whole, so that each is read as it was written.

    Args:
        workspace: the bot's workspace.
    """

    def __init__(self, workspace: Path) -> None:
        self._folder = workspace / FOLDER

    @override
    def is_empty(self) -> bool:
        return next(self._names(), None) is None

    @override
    def all(self) -> Sequence[ExperimentReport | UnreadableReport]:
        readable: list[ExperimentReport] = []
        unreadable: list[UnreadableReport] = []
        for name in self._names():
            try:
                readable.append(self._read(name))
            except (OSError, ValueError, RecursionError) as error:
                unreadable.append(UnreadableReport(name=name, reason=_reason(error)))
        readable.sort(key=lambda report: (-report.updated_at.timestamp(), report.name))
        return [*readable, *sorted(unreadable, key=lambda report: report.name)]

    @override
    def page(self, name: str) -> bytes | None:
        if not _NAME.fullmatch(name):
            return None
        try:
            return _bounded(self._folder / name / PAGE, MAX_PAGE)
        except (OSError, ValueError):
            return None

    def _names(self) -> Iterator[str]:
        """Names of the folders that have a head of a report."""
        try:
            folders = list(self._folder.iterdir())
        except OSError:
            return
        yield from (folder.name for folder in folders if _NAME.fullmatch(folder.name) and (folder / HEAD).is_file())

    def _read(self, name: str) -> ExperimentReport:
        document = json.loads(_bounded(self._folder / name / HEAD, MAX_HEAD))
        if not isinstance(document, dict):
            raise ValueError("it is not a JSON object")  # noqa: TRY004 -- of a file, not of an argument
        return ExperimentReport(
            name=name,
            model=_text(document, "model"),
            design=_text(document, "design"),
            state=_text(document, "state"),
            recommendation=_text(document, "recommendation"),
            updated_at=_time(_text(document, "updated_at")),
            arms=tuple(map(_arm, _list(document, "arms"))),
            has_page=(self._folder / name / PAGE).is_file(),
        )


def _bounded(path: Path, most: int) -> bytes:
    """Read a file of limited size."""
    with path.open("rb") as file:
        content = file.read(most + 1)
    if len(content) > most:
        raise ValueError(f"it has more than {most // 2**20} MiB")
    return content


def _arm(arm: object) -> ReportedArm:
    if not isinstance(arm, dict):
        raise ValueError("an arm is not an object")  # noqa: TRY004 -- of a file, not of an argument
    acceptance = arm.get("acceptance")
    shares = acceptance if isinstance(acceptance, dict) else {}
    return ReportedArm(
        version=_text(arm, "version"),
        role=_text(arm, "role"),
        songs=_count(arm, "songs"),
        samples=_count(arm, "samples"),
        accepted=_count(arm, "accepted"),
        share=_share(shares, "value"),
        low=_clipped(shares, "low"),
        high=_clipped(shares, "high"),
    )


def _text(document: Mapping[str, Any], key: str) -> str:
    value = document.get(key)
    if not isinstance(value, str):
        raise ValueError(f"{key} is not a text")  # noqa: TRY004 -- of a file, not of an argument
    return value


def _list(document: Mapping[str, Any], key: str) -> list[object]:
    value = document.get(key)
    if not isinstance(value, list):
        raise ValueError(f"{key} is not a list")  # noqa: TRY004 -- of a file, not of an argument
    return value


def _count(document: Mapping[str, Any], key: str) -> int:
    value = document.get(key)
    if not isinstance(value, int) or isinstance(value, bool) or value < 0:
        raise ValueError(f"{key} is not a count")
    return value


def _share(document: Mapping[str, Any], key: str) -> float | None:
    value = _number(document, key)
    if value is not None and not 0 <= value <= 1:
        raise ValueError(f"acceptance.{key} is not a number from 0 to 1")
    return value


def _clipped(document: Mapping[str, Any], key: str) -> float | None:
    """An end of an interval, which may lie beyond what a share can be."""
    value = _number(document, key)
    return None if value is None else min(max(value, 0.0), 1.0)


def _number(document: Mapping[str, Any], key: str) -> float | None:
    value = document.get(key)
    if value is None:
        return None
    if not isinstance(value, int | float) or isinstance(value, bool) or not math.isfinite(value):
        raise ValueError(f"acceptance.{key} is not a number from 0 to 1")
    return float(value)


def _time(text: str) -> datetime:
    time = datetime.fromisoformat(text)
    return time if time.tzinfo is not None else time.replace(tzinfo=UTC)


def _reason(error: Exception) -> str:
    if isinstance(error, json.JSONDecodeError | UnicodeDecodeError | RecursionError):
        return "it is not valid JSON"
    return (error.strerror or "it cannot be read") if isinstance(error, OSError) else str(error)
