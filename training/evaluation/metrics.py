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
    digits: int | None = None
    """Digits after the point; by default 1 of a percentage and 3 of another number."""
    missing: str = "there is nothing to compute it from"
    """Reason for which a row may lack the metric."""

    def shown(self, value: float) -> str:
        """Format a value for the report; a dash if it is not a number."""
        if not math.isfinite(value):
            return "–"
        if self.percent:
            return f"{100 * value:.{1 if self.digits is None else self.digits}f}%"
        return f"{value:.{3 if self.digits is None else self.digits}f}"


_TOO_FEW: Final = "too few texts, or texts of too few posts, to train a classifier"

_NOT_OF_KIND: Final = "only models that move z, and real text of the desired kind, are compared with that kind"

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
        name="reverse_ppl_kind", title="reverse PPL, kind", digits=0,
        meaning="Reverse perplexity of the held-out text of the desired kind alone.",
        missing=_NOT_OF_KIND,
    ),
    Metric(
        name="two_sample_auc", title="two-sample AUC",
        meaning="Area under the ROC curve of a linear classifier of word 1-3-grams between the row and held-out text, "
        "with 1,000 texts of each kind, or fewer if the row has fewer; 0.5 means indistinguishable.",
        missing=_TOO_FEW,
    ),
    Metric(
        name="two_sample_auc_kind", title="AUC, kind",
        meaning="Two-sample AUC against held-out text of the desired kind alone.",
        missing=_NOT_OF_KIND,
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
    Metric(
        name="distinct_2_of_real", title="distinct-2 / real",
        meaning="distinct-2 over that of as many real sentences: of the desired kind for a model that moves z, of "
        "every kind otherwise.",
    ),
    Metric(
        name="opening_shared", title="shared openings", percent=True,
        meaning="Share of texts whose first five words are also those of another text of the seed.",
    ),
    Metric(
        name="opening_shared_of_real", title="openings / real", digits=2,
        meaning="Share of shared openings over that of as many real sentences, of the same kind as for distinct-2.",
        missing="no two of as many real sentences share an opening",
    ),
    Metric(
        name="opening_top", title="top opening", percent=True,
        meaning="Share of texts with the most frequent opening of five words.",
    ),
    Metric(
        name="sentence_top", title="top sentence", percent=True, digits=2,
        meaning="Share of texts that are the most frequent sentence.",
    ),
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
    Metric(
        name="made_up_words", title="made-up words", percent=True, digits=2,
        meaning="Share of words that no training sentence holds and the dictionary does not know. In real text they "
        "are names.",
        missing="no text has a word",
    ),
    Metric(
        name="made_up_lower", title="in lower case", percent=True, digits=2,
        meaning="Share of words that are made up and in lower case, which names are not.",
        missing="no text has a word",
    ),
    Metric(
        name="made_up_texts", title="texts with one", percent=True, meaning="Share of texts with a made-up word.",
    ),
    Metric(
        name="name_repeats", title="repeated names", percent=True,
        meaning="Share of texts that hold a name, a word with a capital within a sentence, twice.",
    ),
    Metric(
        name="name_lists", title="lists of names", percent=True,
        meaning="Share of texts with three or more names in a row.",
    ),
    Metric(
        name="log_prob_per_word", title="log p / word", digits=2,
        meaning="Mean over texts of log p per word, in nats, under a trigram model of the valid split, which no model "
        "is trained on. Bland text has a high one.",
    ),
    Metric(
        name="slor", title="SLOR", digits=2,
        meaning="Mean over texts of the log-odds ratio per word, in nats: log p less that of the same words in any "
        "order. High: words fit together, whether frequent or rare.",
    ),
    Metric(
        name="least_likely", title="least likely word", digits=2,
        meaning="Mean over texts of the log p, in nats, of a text's least likely word under the same model.",
    ),
    Metric(
        name="unseen_bigrams", title="unseen word pairs", percent=True,
        meaning="Share of word pairs that no training sentence holds. A worker may rank candidates by it.",
        missing="no text has two words",
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
