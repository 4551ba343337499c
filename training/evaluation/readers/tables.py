"""Terminal tables of blind ratings."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Final

from rich.table import Table

from training.evaluation.metrics import METRICS
from training.evaluation.readers.agreement import Agreement, Kappa, SourceRatings

_SHOWN: Final = 10
_OTHER_TITLES: Final = {"two_sample_score": "two-sample score"}
TITLES: Final = {**{metric.name: metric.title for metric in METRICS}, **_OTHER_TITLES}
"""Titles of the figures that are compared with readers, by name."""


def number(value: float, digits: int = 2) -> str:
    """Format a number; a dash if it is not one."""
    return f"{value:.{digits}f}" if math.isfinite(value) else "–"


def sources_table(sources: Sequence[SourceRatings], kappas: Sequence[Kappa]) -> Table:
    """Table with a row per source; its caption shows the agreement of readers."""
    table = Table(title="Blind readers", title_justify="left", caption_justify="left")
    table.add_column("source", overflow="fold", min_width=18)
    for heading in ("sentences", "grammar", "sense", "flavour", "would post", "over real", "flavour over real"):
        table.add_column(heading, justify="right")
    for each in sources:
        table.add_row(
            each.source,
            str(each.sentences),
            *(number(grade) for grade in (each.grammar, each.sense, each.flavour)),
            f"{number(each.accept)} ({number(each.low)} – {number(each.high)})",
            number(each.accept_of_real),
            number(each.flavour_of_real),
        )
    table.caption = "\n".join(map(kappa_line, kappas)) or None
    return table


def kappa_line(each: Kappa) -> str:
    """State the agreement of two readers."""
    one, other = each.readers
    return f"{one} and {other} agree on {each.agreed:.2f} of {each.sentences} sentences: kappa {number(each.kappa)}"


def agreement_table(figures: Sequence[Agreement]) -> Table:
    """Table of the figures that agree best with readers, the best first; the report has all of them."""
    table = Table(title="Agreement of figures with readers", title_justify="left")
    table.add_column("figure", overflow="fold")
    for heading in ("grammar", "sense", "flavour", "AUC, would post", "without real", "sources"):
        table.add_column(heading, justify="right")
    for each in figures[:_SHOWN]:
        table.add_row(
            TITLES.get(each.figure, each.figure),
            *(number(rho) for rho in (each.grammar, each.sense, each.flavour)),
            number(each.auc.value),
            number(each.auc_samples.value),
            number(each.over_sources),
        )
    return table
