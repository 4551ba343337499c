"""Goals of a model's samples, each met or missed by the figures of the report.

Deciding goals count; the others are shown with the reason why they do not. Blind readers order the rows of models that
move z otherwise than two-sample area and perplexities do (docs/concepts/quality.md#agreement-with-readers), so for
these models they do not decide.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from training.evaluation.rows import RowKind
from training.evaluation.yardstick import Measured

DISTINCT_2: Final = 0.9
"""Goal for distinct-2 over that of as many real sentences."""
DESIRED_SHARE: Final = 0.60
"""Goal for the share of the desired kind, by each judge."""
BROKEN: Final = 0.02
"""Goal for the share of texts with open quotes or without an end."""
_MOST_OFTEN: Final = 500
"""Number of texts among which a sentence may stand once."""
_READERS_DISAGREE: Final = "blind readers order models that move z otherwise"


@dataclass(frozen=True, slots=True, kw_only=True)
class Goal:
    """Goal with its result for a row."""

    text: str
    shown: str
    """Figure that decides; a goal is missed if the figure could not be computed."""
    met: bool
    decides: bool = True
    reason: str = ""
    """Reason why a goal does not decide."""


def goals(measured: Measured, real: Measured, prior: Measured | None, of_kind: Measured | None = None) -> list[Goal]:
    """Check the goals of a row of a model's samples; other rows have no goals.

    Args:
        measured: the row.
        real: the row of held-out real text.
        prior: the row of the same decoder from z of the prior, for a model that moves z.
        of_kind: the row of held-out real text of the desired kind.
    """
    if measured.row.model is None:
        return []
    moves = measured.row.model.moves
    same_kind = (of_kind if moves else None) or real
    found = [
        *_sentences(measured, real),
        *_faults(measured),
        *_fit(measured, real, same_kind),
        *_diversity(measured, "of that kind" if same_kind is not real else ""),
    ]
    if moves:
        found += steering_goals(measured, prior)
    return [*found, *_language(measured, real, decides=not moves)]


def deciding(found: Sequence[Goal]) -> list[Goal]:
    """Return the goals that decide."""
    return [goal for goal in found if goal.decides]


def prior_of(measured: Measured, rows: Sequence[Measured]) -> Measured | None:
    """Find the row of the cvae whose z a row's model moves, by its version, or else the first cvae.

    The row is of first candidates, which is what the LC-GAN starts from.
    """
    model = measured.row.model
    if model is None or not model.moves:
        return None
    unmoved = [each for each in rows if each.row.kind is RowKind.MODEL and each.row.model and not each.row.model.moves]
    named = [each for each in unmoved if each.row.model and each.row.model.name == f"cvae {model.cvae_version}"]
    return next(iter((*named, *unmoved)), None)


def row_of_kind(rows: Sequence[Measured]) -> Measured | None:
    """Find the row of held-out real text of the desired kind."""
    return next((each for each in rows if each.row.kind is RowKind.REAL_KIND), None)


def _value(measured: Measured, name: str) -> float:
    figure = measured.figures.get(name)
    return math.nan if figure is None else figure.value


def _part(measured: Measured, of: Measured, name: str) -> float:
    """Ratio of a figure to another row's; NaN if that one is zero."""
    return _value(measured, name) / (_value(of, name) or math.nan)


def _shown(text: str, *values: float) -> str:
    """Text of a figure, or a note that it could not be computed from these values."""
    return text if all(map(math.isfinite, values)) else "could not be computed"


def _at_most(measured: Measured, real: Measured, name: str, text: str) -> Goal:
    """Goal of a share that is at most the upper bound of real text's."""
    own, bound = _value(measured, name), real.figures[name].high
    shown = _shown(f"{100 * own:.2f}% against {100 * bound:.2f}%", own, bound)
    return Goal(text=text, shown=shown, met=own <= bound)


def _sentences(measured: Measured, real: Measured) -> list[Goal]:
    return [
        _at_most(measured, real, "made_up_words", "made-up words at most real text's upper bound"),
        _at_most(measured, real, "made_up_lower", "made-up words in lower case at most real text's"),
        _at_most(measured, real, "name_repeats", "repeated names at most real text's upper bound"),
    ]


def _faults(measured: Measured) -> list[Goal]:
    texts = {"unk": "no unknown mark", "repeats": "no repeated word"}
    found = [
        Goal(text=text, shown=f"{100 * _value(measured, name):.2f}%", met=_value(measured, name) == 0)
        for name, text in texts.items()
    ]
    broken = _value(measured, "broken")
    text = f"open quotes or cut sentences under {100 * BROKEN:.0f}%"
    return [*found, Goal(text=text, shown=f"{100 * broken:.2f}%", met=broken < BROKEN)]


def _fit(measured: Measured, real: Measured, same_kind: Measured) -> list[Goal]:
    accuracy = _part(measured, real, "genre_accuracy")
    # Sentences of the desired kind share more phrases than others do, and so do two of their writers.
    kind = " of that kind" if same_kind is not real else ""
    return [
        Goal(
            text="genre accuracy at least 0.8 of real text's",
            shown="no genres" if math.isnan(accuracy) else f"{accuracy:.2f} of it",
            met=accuracy >= 0.8,
        ),
        *(
            _at_most(measured, same_kind, f"copy_{size}gram", f"copied {size}-grams at most as in held-out text{kind}")
            for size in (4, 8)
        ),
    ]


def _diversity(measured: Measured, of_kind: str) -> list[Goal]:
    often = round(_value(measured, "sentence_top") * measured.num_texts)
    distinct = _value(measured, "distinct_2_of_real")
    same = measured.same_size
    own, bound = same.own["opening_shared"].value, same.real["opening_shared"].high
    real = f"real text's {of_kind}".rstrip()
    return [
        Goal(
            text=f"no sentence more often than once in {_MOST_OFTEN}",
            shown=f"{often} of {measured.num_texts}",
            met=often <= max(1, measured.num_texts / _MOST_OFTEN),
        ),
        Goal(
            text=f"distinct-2 at least {DISTINCT_2:g} of {real}",
            shown=_shown(f"{distinct:.3f} of it", distinct),
            met=distinct >= DISTINCT_2,
        ),
        Goal(
            text=f"shared openings at most {real}",
            shown=_shown(f"{100 * own:.1f}% against {100 * bound:.1f}%", own, bound),
            met=own <= bound,
        ),
    ]


def steering_goals(measured: Measured, prior: Measured | None) -> list[Goal]:
    """Check the goals of what an lcgan is for: the share of the desired kind, without loss of variety.

    Args:
        measured: the row.
        prior: the row of the same decoder from z of the prior, if any.
    """
    found = []
    for judge in ("second_lda", "classifier"):
        share = _value(measured, f"desired_share_{judge}")
        text = f"desired share at least {DESIRED_SHARE:.2f} by the {judge.replace('_', ' ').replace('lda', 'LDA')}"
        found.append(Goal(text=text, shown=_shown(f"{share:.3f}", share), met=share >= DESIRED_SHARE))
    if prior is None:
        return found
    distinct = _part(measured, prior, "distinct_2")
    return [
        *found,
        Goal(
            text=f"distinct-2 at least {DISTINCT_2:g} of {prior.row.name}'s",
            shown=_shown(f"{distinct:.3f} of it", distinct),
            met=distinct >= DISTINCT_2,
        ),
    ]


def _language(measured: Measured, real: Measured, *, decides: bool) -> list[Goal]:
    area = _value(measured, "two_sample_auc")
    forward = _part(measured, real, "forward_ppl")
    reason = "" if decides else _READERS_DISAGREE
    checks = (
        ("two-sample AUC at most 0.70", _shown(f"{area:.3f}", area), area <= 0.70),
        (
            "forward perplexity 0.7 to 1.3 times real text's",
            _shown(f"{forward:.2f} times", forward),
            0.7 <= forward <= 1.3,
        ),
        (
            "reverse perplexity at most 1.5 times real text's",
            _shown(f"{measured.reverse_ratio:.2f} times", measured.reverse_ratio),
            measured.reverse_ratio <= 1.5,
        ),
    )
    return [Goal(text=text, shown=shown, met=met, decides=decides, reason=reason) for text, shown, met in checks]
