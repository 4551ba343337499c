"""Page of a report: one HTML file without scripts, and its JSON beside it."""

from __future__ import annotations

import json
import math
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

from jinja2 import Environment, PackageLoader, StrictUndefined

from experiments.report.plots import NARROW, WIDE, plot_acceptance, plot_evidence
from experiments.report.sentences import explain, explain_ratio
from experiments.report.slices import LEAST_SONGS
from experiments.report.values import Report
from training.files import atomic_path

REPORT_JSON: Final = "report.json"
REPORT_HTML: Final = "report.html"
_SPECIAL_FLAGS: Final = ("copy", "too long")


def render(report: Report) -> str:
    """Return the page of a report.

    Args:
        report: figures.

    Returns:
        HTML with everything in it, for widths from 390 pixels, light and dark.
    """
    environment = Environment(
        loader=PackageLoader("experiments.report", ""),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters.update(
        points=_signed, share=_share, ms=_ms, evalue=e_value, moment=_moment, visible=visible, chance=_chance
    )
    return environment.get_template(f"{REPORT_HTML}.j2").render(
        report=report,
        experiment=report.experiment,
        plots=[
            ("Acceptance by version", [plot_acceptance(report, size) for size in (WIDE, NARROW)]),
            ("Evidence for a difference", [plot_evidence(report, size) for size in (WIDE, NARROW)]),
        ],
        flags=_flags(report),
        reasons=list(dict.fromkeys(reason for arm in report.arms for reason in arm.reasons)),
        breaches=[
            (each.version, explain(breach))
            for each in report.treatments
            for breach in each.breaches
            if explain(breach) not in report.recommendation
        ],
        ratio_fault=explain_ratio(report.ratio) if report.ratio is not None and report.ratio.is_suspect else "",
        least_songs=LEAST_SONGS,
    )


def write_report(report: Report, folder: Path) -> tuple[Path, Path]:
    """Write a report into a folder, each file at once, so that a reader never sees half of one.

    Args:
        report: figures.
        folder: folder of the experiment; made if it is not there.

    Returns:
        Paths of `report.json` and `report.html`.

    Raises:
        OutputError: the folder cannot be written to.
    """
    json_path, html_path = folder / REPORT_JSON, folder / REPORT_HTML
    document = json.dumps(report.to_mapping(), indent=1, allow_nan=False)
    for path, text in ((json_path, document + "\n"), (html_path, render(report))):
        with atomic_path(path) as partial:
            partial.write_text(text, encoding="utf-8", errors="replace")
    return json_path, html_path


def e_value(log_e: float) -> str:
    """Return an e-value from its logarithm, in three digits.

    >>> e_value(math.log(40)), e_value(math.log(0.0123)), e_value(800.0)
    ('40.0', '0.0123', '10^347')
    """
    if log_e > math.log(1e6):
        return f"10^{log_e / math.log(10):.0f}"
    value = math.exp(log_e)
    if value >= 100:
        return f"{value:,.0f}"
    return f"{value:.3g}" if value < 1 else f"{value:.1f}"


def visible(text: object) -> str:
    r"""Return a text with a visible mark instead of each character that nobody sees.

    >>> visible("a\x00b")
    'a\ufffdb'
    """
    return "".join(each if each.isprintable() else "\N{REPLACEMENT CHARACTER}" for each in str(text))


def _flags(report: Report) -> list[str]:
    """Return the flags, those first that a reader looks for."""
    found = dict.fromkeys(flag for arm in report.arms for flag in arm.flags)
    return [*_SPECIAL_FLAGS, *(flag for flag in found if flag not in _SPECIAL_FLAGS)]


def _signed(share: float) -> str:
    return f"{100 * share:+.1f}".replace("-", "\N{MINUS SIGN}")


def _share(count: int, total: int) -> str:
    return f"{count / total:.1%}" if total else "\N{EN DASH}"


def _chance(probability: float) -> str:
    """Return a probability that is never certain."""
    if probability > 0.999:
        return "more than 99.9%"
    return "less than 0.1%" if probability < 0.001 else f"{probability:.1%}"


def _ms(value: float | None) -> str:
    return "\N{EN DASH}" if value is None else f"{value:,.0f} ms"


def _moment(time: datetime) -> str:
    return time.astimezone(UTC).strftime("%Y-%m-%d %H:%M UTC")
