"""Terminal tables of a training."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from pathlib import Path

from rich.table import Table

from training.evaluation.promotion import REAL
from training.pipeline.descriptions import key_figures
from training.pipeline.plan import StageReport, TrainReport


def stages_table(reports: Sequence[StageReport]) -> Table:
    """Make a table with one row per stage: its time, or reuse, and its main figures."""
    table = Table(title="Training", title_justify="left")
    for heading in ("stage", "time", "figures"):
        table.add_column(heading)
    for report in reports:
        figures = "  ".join(f"{name} {value:.3g}" for name, value in key_figures(report).items())
        table.add_row(report.name, "reused" if report.reused else f"{report.seconds:.0f} s", figures)
    return table


def versions_table(report: TrainReport) -> Table:
    """Make a table with one row per published version, with the language that it writes."""
    table = Table(title="Versions", title_justify="left")
    for heading in ("version", "champion", "forward PPL", "made-up words", "archive"):
        table.add_column(heading, overflow="fold")
    for each in report.published:
        version = f"{each} (existed)" if each.reused else str(each)
        champion = "yes" if each.is_champion else f"no, {each.name}/{each.champion} is" if each.champion else "no"
        table.add_row(version, champion, _perplexity(each.language), _share(each.language), Path(each.archive).name)
    return table


def _perplexity(language: Mapping[str, float]) -> str:
    own, real = language.get("forward_ppl", math.nan), language.get(f"{REAL}forward_ppl", math.nan)
    return f"{own:.1f} (real {real:.1f})" if math.isfinite(own) and math.isfinite(real) else "–"


def _share(language: Mapping[str, float]) -> str:
    own = language.get("made_up_words", math.nan)
    return f"{own:.1%}" if math.isfinite(own) else "–"
