"""The columns of the report: what each metric is called, means, and how its numbers read."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from training.evaluation.intervals import Figure


@dataclass(frozen=True, slots=True, kw_only=True)
class Metric:
    """A column."""

    name: str
    """In report.json and in MLflow."""
    title: str
    meaning: str
    percent: bool = False
    digits: int = 3
    missing: str = "there is nothing to compute it from"
    """Why a row may not have it."""

    def shown(self, value: float) -> str:
        """A value as the report shows it; a dash where there is none."""
        if not math.isfinite(value):
            return "–"
        return f"{100 * value:.1f}%" if self.percent else f"{value:.{self.digits}f}"


_TOO_FEW: Final = "too few texts, or of too few posts, for a classifier to learn from"

METRICS: Final = (
    Metric(
        name="forward_ppl", title="forward PPL", digits=0,
        meaning="Perplexity of the text under a trigram model of the training split. Bland text scores below real "
        "text: read it beside reverse PPL and the two-sample AUC.",
    ),
    Metric(
        name="reverse_ppl", title="reverse PPL", digits=0,
        meaning="Perplexity of held-out text under a trigram model of the row's own text: high when the row leaves out "
        "what real text says. The real row's model is trained on as many training sentences.",
    ),
    Metric(
        name="two_sample_auc", title="two-sample AUC",
        meaning="How well a linear classifier of word 1-3-grams, given 1,000 texts of each kind, tells the row from "
        "held-out text; .5 is not at all. Of rows with fewer texts: given those.",
        missing=_TOO_FEW,
    ),
    Metric(
        name="two_sample_auc_signs", title="AUC with signs",
        meaning="The same with case and punctuation in sight.",
        missing=_TOO_FEW,
    ),
    Metric(
        name="two_sample_auc_at_100", title="AUC at 100", meaning="The same given 100 texts of each kind.",
        missing=_TOO_FEW,
    ),
    Metric(
        name="two_sample_auc_at_all", title="AUC at all",
        meaning="The same given all texts of a seed. Training sentences are told from held-out ones at this size too: "
        "by what their songs are about.",
        missing="a seed has no more than the 1,000 texts of two_sample_auc",
    ),
    Metric(name="distinct_1", title="distinct-1", meaning="Share of words that differ, over one seed's samples."),
    Metric(name="distinct_2", title="distinct-2", meaning="Share of word pairs that differ, over one seed's samples."),
    Metric(name="distinct_1_at_100", title="d-1 at 100", meaning="distinct-1 of groups of 100 texts, for rows of few."),
    Metric(name="distinct_2_at_100", title="d-2 at 100", meaning="distinct-2 of groups of 100 texts."),
    Metric(
        name="self_bleu", title="self-BLEU", meaning="BLEU-4 of 100 texts against each other.",
        missing="a lone text has no others to be compared with",
    ),
    Metric(
        name="genre_accuracy", title="genre accuracy", percent=True,
        meaning="Share of texts that speak most for one of their own genres, by a classifier of real sentences.",
        missing="no text was written for a genre that the classifier knows",
    ),
    Metric(
        name="desired_share", title="desired, reward", percent=True,
        meaning="Share of texts whose main topic is the desired one, by the LDA that rewards the LC-GAN.",
        missing="no model is there, and so no LDA that rewards one",
    ),
    Metric(
        name="desired_share_second_lda", title="desired, 2nd LDA", percent=True,
        meaning="The same by an LDA of another seed and of half of the posts.",
    ),
    Metric(
        name="desired_share_classifier", title="desired, classifier", percent=True,
        meaning="The same by a classifier of the company that the seed words keep, the words themselves hidden.",
    ),
    Metric(name="repeats", title="repeats", percent=True, meaning="Share of texts with a word beside itself."),
    Metric(name="unk", title="unknown", percent=True, meaning="Share of texts that show the unknown mark."),
    Metric(
        name="unbalanced", title="open quotes", percent=True,
        meaning="Share of texts with a quote or bracket left open.",
    ),
    Metric(name="half", title="half", percent=True, meaning="Share of texts without an end."),
    Metric(name="broken", title="broken", percent=True, meaning="Share of texts that are either."),
    Metric(
        name="unseen_words", title="unseen words", percent=True,
        meaning="Share of words that the training split holds less than twice: names, or made up.",
        missing="no text holds a word",
    ),
    Metric(name="length", title="words", digits=1, meaning="Words per text."),
    Metric(
        name="copy_exact", title="exact copies", percent=True,
        meaning="Share of texts that are a training sentence word for word.",
    ),
    Metric(
        name="copy_4gram", title="copied 4-grams", percent=True, meaning="Share of 4-grams that training has.",
        missing="no text has 4 words",
    ),
    Metric(
        name="copy_8gram", title="copied 8-grams", percent=True, meaning="Share of 8-grams that training has.",
        missing="no text has 8 words",
    ),
    Metric(
        name="copy_longest", title="longest copy", digits=1,
        meaning="Words of a text's longest n-gram that a training sentence holds, on average.",
    ),
    Metric(name="copy_longest_of_all", title="longest of all", digits=0, meaning="The longest of them, over a seed."),
    Metric(
        name="tokens_per_sample", title="tokens drawn", digits=1,
        meaning="Tokens decoded per text that was kept.",
        missing="the texts were not decoded for this report",
    ),
    Metric(
        name="ms_per_sample", title="ms", digits=1,
        meaning="Milliseconds of decoding per text that was kept.",
        missing="the texts were not decoded for this report",
    ),
)  # fmt: skip
"""In the order of the report."""


def missing(figures: Mapping[str, Figure]) -> dict[str, str]:
    """The figures that a row does not have, or that are not numbers: name -> why."""
    return {
        metric.name: metric.missing
        for metric in METRICS
        if metric.name not in figures or not math.isfinite(figures[metric.name].value)
    }
