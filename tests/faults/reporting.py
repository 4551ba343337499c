"""Rows of the fault suite, and the page that is made of them."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Final

ROWS: Final = Path("build/faults/rows")
"""Folder of the rows, one file each, below the working directory."""
CALLS: Final = Path("build/faults/calls")
"""Folder of the logs of calls, one line of JSON for each call."""

AREAS: Final = {
    "processes": "Processes that die or hang",
    "registry": "The registry away, locked, emptied, wrong",
    "archives": "Bad archives",
    "clients": "Clients: too many, impatient, vanishing, malformed",
    "machine": "Disk, folders, clock, limits",
    "soak": "A long run",
}
"""Sections of the page by the area of a row."""

ELSEWHERE: Final = (
    ("bot killed at any point: no tweet lost, no row and no post twice", "`make kills`"),
    ("X, Spotify, Sheets: 429, 5xx, time-outs, HTML", "tests/bot/services/test_board_faults.py"),
    ("one row of exposure for each answer, whenever the gateway is killed", "tests/serving/traffic/test_kills.py"),
    ("a version that hangs while it loads delays nobody", "tests/serving/test_last_good_state.py"),
    ("a connection that falls silent is replaced", "tests/serving/test_silent_connection.py"),
    ("text from the outside is never a formula", "tests/bot/adapters/sheets/test_board.py"),
    ("an unknown client is refused, and no token reaches a log", "tests/serving/gateway/test_guard.py"),
    ("a password of the tracking URI reaches no log", "tests/serving/registry/test_client.py"),
)
"""Promises that other tests show, and where."""


@dataclass(kw_only=True)
class Row:
    """What one fault did."""

    name: str
    area: str
    fault: str
    promise: str
    calls: dict[str, dict[str, int]] = field(default_factory=dict)
    """Number of calls by kind of client and code."""
    gap_s: float = 0.0
    """Longest time without an answer to anybody."""
    wrong: int = 0
    """Answers with another text than the one that the version writes for the seed."""
    health: str = ""
    normal_s: float = 0.0
    """Time from the fault (or from its end, where it lasts) until every call succeeds and no worker is missing."""
    left: list[str] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    missed: str = ""
    """Part of the promise that is known to be missed, for which the test does not fail; empty if there is none."""
    verdict: str = ""
    """Kept, or the reason for which the promise was missed."""
    seconds: float = 0.0
    """Time that the test took."""

    @property
    def answered(self) -> int:
        return sum(by_code.get("OK", 0) for by_code in self.calls.values())

    def write(self, folder: Path = ROWS) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        (folder / f"{self.name}.json").write_text(json.dumps(asdict(self), indent=1) + "\n", encoding="utf-8")


def read_rows(folder: Path = ROWS) -> list[Row]:
    """Read all rows, in the order of the page."""
    rows = [Row(**json.loads(path.read_text(encoding="utf-8"))) for path in sorted(folder.glob("*.json"))]
    return sorted(rows, key=lambda row: (list(AREAS).index(row.area), row.name))


def page(rows: Sequence[Row], machine: Mapping[str, Any], day: str) -> str:
    """Return the page of all rows as Markdown."""
    kept = sum(1 for row in rows if row.verdict == "kept")
    wrong = sum(row.wrong for row in rows)
    outcomes = _outcomes(rows)
    answered = outcomes.pop("OK", 0)
    refused = ", ".join(f"{number:,} {code}" for code, number in outcomes.most_common())
    lines = [
        "# Faults",
        "",
        "```sh",
        "make faults                    # every fault below, some 20 minutes; writes this page",
        "make faults ARGS='-k jvm'      # some of them",
        "make soak                      # 200,000 requests with changes of the version",
        "```",
        "",
        "<!-- Written by `make faults`: tests/faults/reporting.py. -->",
        "",
        "Each row is a test in `tests/faults`: a running service gets a fault under a continuous load, and the test",
        "fails if the promise is not kept. The service is `deephypebot serve` with two workers a version and small",
        "models of random weights, decoded by the real engine. The load is five clients with some milliseconds between",
        "their calls: three make *one attempt*, and two are the client *with retries*, for which the promises are",
        "made. Every call is logged with its time, code and version, and every text is compared with the one that the",
        "engine wrote for the version and the seed before the fault.",
        "",
        f"**{kept} of {len(rows)} promises kept, and {wrong} wrong answers** among {answered:,}.",
        f"Other outcomes: {refused or 'none'}.",
        *_not_run(rows),
        "",
        f"{day}; {machine['cores']} cores {machine['cpu']}, {machine['memory_gib']:.0f} GiB, shared with the load",
        "and with other work. Times are those of one run.",
        "",
        "- **Gap**: the longest time without an answer to any client.",
        "- **Normal**: the time from the fault, or from its end where the test itself ends it, until every call",
        "  succeeds, health says SERVING and no worker is missing.",
        "- **Health**: when the standard health service did not say SERVING, in seconds after the fault.",
        "- **Left**: processes, temporary files and descriptors that were not there before.",
        "",
    ]
    for area, title in AREAS.items():
        chosen = [row for row in rows if row.area == area]
        if chosen:
            lines += [f"## {title}", "", *_table(chosen), ""]
    lines += [
        "## Shown elsewhere",
        "",
        "| promise | test |",
        "| --- | --- |",
        *(f"| {promise} | {where if where.startswith('`') else f'`{where}`'} |" for promise, where in ELSEWHERE),
        "",
    ]
    return "\n".join(lines)


def _not_run(rows: Sequence[Row]) -> list[str]:
    """Lines that name the sections without a row, so that a part of the suite does not look like the whole."""
    missing = [title for area, title in AREAS.items() if not any(row.area == area for row in rows)]
    return [f"**Not run yet, and not in these numbers:** {'; '.join(missing)}."] if missing else []


def _outcomes(rows: Iterable[Row]) -> Counter[str]:
    total: Counter[str] = Counter()
    for row in rows:
        for by_code in row.calls.values():
            total.update(by_code)
    return total


def _table(rows: Iterable[Row]) -> list[str]:
    lines = [
        "| fault | promise | clients saw | gap | health | normal | left | |",
        "| --- | --- | --- | --- | --- | --- | --- | --- |",
    ]
    for row in rows:
        seen = "; ".join(f"{client}: {_numbers(by_code)}" for client, by_code in row.calls.items())
        cells = (
            row.fault,
            row.promise,
            "<br>".join([seen, *row.notes]) if seen else "<br>".join(row.notes),
            f"{row.gap_s:.1f} s" if row.calls else "",
            row.health,
            f"{row.normal_s:.1f} s" if row.calls else "",
            ", ".join(row.left) or "nothing",
            row.verdict,
        )
        lines.append("| " + " | ".join(cell.replace("|", "\\|").replace("\n", " ") for cell in cells) + " |")
    return lines


def _numbers(by_code: Mapping[str, int]) -> str:
    return ", ".join(f"{number:,} {code}" for code, number in by_code.items())


def health_text(periods: Sequence[tuple[float, float]]) -> str:
    """Say when health did not say SERVING."""
    if not periods:
        return "SERVING"
    return "not from " + ", ".join(f"{began:.1f} to {ended:.1f} s" for began, ended in periods)
