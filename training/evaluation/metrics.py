"""Metrics of the report's columns: name, title, meaning and number format."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from training.evaluation.intervals import Figure


@dataclass(frozen=True, slots=True, kw_only=True)
class Metric:
    """Metric of a column."""

    name: str
    """Name in report.json and MLflow."""
    title: str
    meaning: str
    percent: bool = False
    digits: int = 3
    missing: str = "there is nothing to compute it from"
    """Reason for which a row may lack the metric."""

    def shown(self, value: float) -> str:
        """Format a value for the report; a dash if it is not a number."""
        if not math.isfinite(value):
            return "–"
        return f"{100 * value:.1f}%" if self.percent else f"{value:.{self.digits}f}"


_TOO_FEW: Final = "too few texts, or texts of too few posts, to train a classifier"

METRICS: Final = (
    Metric(
        name="forward_ppl", title="forward PPL", digits=0,
        meaning="Perplexity of the text under a trigram model of the training split. Bland text scores below real "
        "text, so read it with reverse PPL and the two-sample AUC.",
    ),
    Metric(
        name="reverse_ppl", title="reverse PPL", digits=0,
        meaning="Perplexity of held-out text under a trigram model of the row's own text: high if the row lacks "
        "content of real text. The real row's model is trained on as many training sentences.",
    ),
    Metric(
        name="two_sample_auc", title="two-sample AUC",
        meaning="Area under the ROC curve of a linear classifier of word 1-3-grams between the row and held-out text, "
        "with 1,000 texts of each kind, or fewer if the row has fewer; 0.5 means indistinguishable.",
        missing=_TOO_FEW,
    ),
    Metric(
        name="two_sample_auc_signs", title="AUC with signs",
        meaning="Two-sample AUC with case and punctuation.",
        missing=_TOO_FEW,
    ),
    Metric(
        name="two_sample_auc_at_100", title="AUC at 100", meaning="Two-sample AUC with 100 texts of each kind.",
        missing=_TOO_FEW,
    ),
    Metric(
        name="two_sample_auc_at_all", title="AUC at all",
        meaning="Two-sample AUC with all texts of a seed. At this size training sentences too are distinguishable from "
        "held-out ones, by the subjects of their songs.",
        missing="a seed has no more than the 1,000 texts of two_sample_auc",
    ),
    Metric(name="distinct_1", title="distinct-1", meaning="Share of distinct words in one seed's samples."),
    Metric(name="distinct_2", title="distinct-2", meaning="Share of distinct word pairs in one seed's samples."),
    Metric(name="distinct_1_at_100", title="d-1 at 100", meaning="distinct-1 of groups of 100 texts, for small rows."),
    Metric(name="distinct_2_at_100", title="d-2 at 100", meaning="distinct-2 of groups of 100 texts."),
    Metric(
        name="self_bleu", title="self-BLEU", meaning="BLEU-4 of 100 texts against each other.",
        missing="a single text has no others to compare with",
    ),
    Metric(
        name="genre_accuracy", title="genre accuracy", percent=True,
        meaning="Share of texts with one of their own genres as the best label of a classifier of real sentences.",
        missing="no text was written for a genre of the classifier",
    ),
    Metric(
        name="desired_share", title="desired, reward", percent=True,
        meaning="Share of texts whose main topic is the desired one, by the LDA that rewards the LC-GAN.",
        missing="without a model there is no LDA of a reward",
    ),
    Metric(
        name="desired_share_second_lda", title="desired, 2nd LDA", percent=True,
        meaning="Share of desired texts by an LDA with another seed, of half of the posts.",
    ),
    Metric(
        name="desired_share_classifier", title="desired, classifier", percent=True,
        meaning="Share of desired texts by a classifier of the contexts of the seed words, without these words.",
    ),
    Metric(name="repeats", title="repeats", percent=True, meaning="Share of texts with a word repeated at once."),
    Metric(name="unk", title="unknown", percent=True, meaning="Share of texts that show the unknown mark."),
    Metric(
        name="unbalanced", title="open quotes", percent=True,
        meaning="Share of texts with a quote or bracket left open.",
    ),
    Metric(name="half", title="half", percent=True, meaning="Share of texts without the end of a sentence."),
    Metric(name="broken", title="broken", percent=True, meaning="Share of texts with open quotes or without an end."),
    Metric(
        name="unseen_words", title="unseen words", percent=True,
        meaning="Share of words that are less than twice in the training split: names or invented words.",
        missing="no text has a word",
    ),
    Metric(name="length", title="words", digits=1, meaning="Words per text."),
    Metric(
        name="copy_exact", title="exact copies", percent=True,
        meaning="Share of texts that are a training sentence word for word.",
    ),
    Metric(
        name="copy_4gram", title="copied 4-grams", percent=True, meaning="Share of 4-grams of the training split.",
        missing="no text has 4 words",
    ),
    Metric(
        name="copy_8gram", title="copied 8-grams", percent=True, meaning="Share of 8-grams of the training split.",
        missing="no text has 8 words",
    ),
    Metric(
        name="copy_longest", title="longest copy", digits=1,
        meaning="Mean number of words of a text's longest n-gram that a training sentence holds.",
    ),
    Metric(name="copy_longest_of_all", title="longest of all", digits=0, meaning="Longest copy of a seed's texts."),
    Metric(
        name="tokens_per_sample", title="tokens drawn", digits=1,
        meaning="Tokens decoded per kept text.",
        missing="the texts were not decoded for this report",
    ),
    Metric(
        name="ms_per_sample", title="ms", digits=1,
        meaning="Milliseconds of decoding per kept text.",
        missing="the texts were not decoded for this report",
    ),
)  # fmt: skip
"""Metrics in the order of the report."""


def missing(figures: Mapping[str, Figure]) -> dict[str, str]:
    """Return the names of the figures that a row lacks or that are not numbers, with reasons."""
    return {
        metric.name: metric.missing
        for metric in METRICS
        if metric.name not in figures or not math.isfinite(figures[metric.name].value)
    }
