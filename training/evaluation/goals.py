"""Goals of a model's samples, each met or missed by the figures of the report."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from training.evaluation.samples import RowKind
from training.evaluation.yardstick import Measured


@dataclass(frozen=True, slots=True, kw_only=True)
class Goal:
    """Goal with its result for a row."""

    text: str
    shown: str
    """Figure that decides; a goal is missed if the figure could not be computed."""
    met: bool


def goals(measured: Measured, real: Measured, prior: Measured | None) -> list[Goal]:
    """Check the goals of a row of a model's samples; other rows have no goals.

    Args:
        measured: the row.
        real: the row of held-out real text.
        prior: the row of the same decoder from z of the prior, for a model that moves z.
    """
    if measured.row.model is None:
        return []
    found = [*_language(measured, real), *_faults(measured), *_fit(measured, real)]
    if measured.row.model.moves:
        found += _steering(measured, prior)
    return found


def prior_of(measured: Measured, rows: Sequence[Measured]) -> Measured | None:
    """Find the row of the cvae whose z a row's model moves, by its version, or else the first cvae."""
    model = measured.row.model
    if model is None or not model.moves:
        return None
    unmoved = [each for each in rows if each.row.kind is RowKind.MODEL and each.row.model and not each.row.model.moves]
    named = [each for each in unmoved if each.row.name == f"cvae {model.cvae_version}"]
    return next(iter((*named, *unmoved)), None)


def _value(measured: Measured, name: str) -> float:
    figure = measured.figures.get(name)
    return math.nan if figure is None else figure.value


def _part(measured: Measured, of: Measured, name: str) -> float:
    """Ratio of a figure to another row's; NaN if that one is zero."""
    return _value(measured, name) / (_value(of, name) or math.nan)


def _shown(text: str, *values: float) -> str:
    """Text of a figure, or a note that it could not be computed from these values."""
    return text if all(map(math.isfinite, values)) else "could not be computed"


def _language(measured: Measured, real: Measured) -> list[Goal]:
    area = _value(measured, "two_sample_auc")
    forward = _part(measured, real, "forward_ppl")
    return [
        Goal(text="two-sample AUC at most 0.70", shown=_shown(f"{area:.3f}", area), met=area <= 0.70),
        Goal(
            text="forward perplexity 0.7 to 1.3 times real text's",
            shown=_shown(f"{forward:.2f} times", forward),
            met=0.7 <= forward <= 1.3,
        ),
        Goal(
            text="reverse perplexity at most 1.5 times real text's",
            shown=_shown(f"{measured.reverse_ratio:.2f} times", measured.reverse_ratio),
            met=measured.reverse_ratio <= 1.5,
        ),
    ]


def _faults(measured: Measured) -> list[Goal]:
    texts = {"unk": "no unknown mark", "repeats": "no repeated word"}
    found = [
        Goal(text=text, shown=f"{100 * _value(measured, name):.2f}%", met=_value(measured, name) == 0)
        for name, text in texts.items()
    ]
    broken = _value(measured, "broken")
    text = "open quotes or cut sentences under 2%"
    return [*found, Goal(text=text, shown=f"{100 * broken:.2f}%", met=broken < 0.02)]


def _fit(measured: Measured, real: Measured) -> list[Goal]:
    accuracy = _part(measured, real, "genre_accuracy")
    found = [
        Goal(
            text="genre accuracy at least 0.8 of real text's",
            shown="no genres" if math.isnan(accuracy) else f"{accuracy:.2f} of it",
            met=accuracy >= 0.8,
        )
    ]
    for size in (4, 8):
        copied, in_real = _value(measured, f"copy_{size}gram"), real.figures[f"copy_{size}gram"]
        found.append(
            Goal(
                text=f"copied {size}-grams at most as in held-out text",
                shown=_shown(f"{100 * copied:.2f}% against {100 * in_real.value:.2f}%", copied, in_real.value),
                met=copied <= in_real.high,
            )
        )
    return found


def _steering(measured: Measured, prior: Measured | None) -> list[Goal]:
    found = []
    for judge in ("second_lda", "classifier"):
        share = _value(measured, f"desired_share_{judge}")
        text = f"desired share at least 0.60 by the {judge.replace('_', ' ').replace('lda', 'LDA')}"
        found.append(Goal(text=text, shown=_shown(f"{share:.3f}", share), met=share >= 0.60))
    if prior is None:
        return found
    distinct = _part(measured, prior, "distinct_2")
    forward, before = _value(measured, "forward_ppl"), _value(prior, "forward_ppl")
    return [
        *found,
        Goal(
            text=f"distinct-2 at least 0.95 of {prior.row.name}'s",
            shown=_shown(f"{distinct:.3f} of it", distinct),
            met=distinct >= 0.95,
        ),
        Goal(
            text=f"forward perplexity at most {prior.row.name}'s",
            shown=f"{forward:.0f} against {before:.0f}",
            met=forward <= before,
        ),
    ]
