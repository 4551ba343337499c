"""Files of the report with the same figures: report.html for people and report.json for programs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Final

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup

from training.cvae.held_out import HeldOutPoint
from training.evaluation.charts import CurvePoint
from training.evaluation.goals import Goal, deciding
from training.evaluation.judges import JudgeQuality
from training.evaluation.metrics import METRICS, Metric
from training.evaluation.readers.agreement import ReadersReport
from training.evaluation.readers.tables import TITLES, kappa_line, number
from training.evaluation.samples_page import SAMPLES_HTML, Asked, write_samples
from training.evaluation.verdict import Verdict
from training.evaluation.yardstick import Measured
from training.files import atomic_path, finite, write_json

REPORT_HTML: Final = "report.html"
REPORT_JSON: Final = "report.json"
_SHOWN: Final = 100
"""Maximum number of samples that the report shows of a row."""

_TABLES: Final = (
    (
        "Sentences",
        (
            "Made-up words, loops of names, and fluency by a language model that no model was trained with. Held-out "
            "names that no training sentence has count as made up, so real text is the level to compare with."
        ),
        (
            "made_up_words", "made_up_lower", "made_up_texts", "name_repeats", "name_lists", "log_prob_per_word",
            "slor", "least_likely", "unseen_bigrams", "length",
        ),
    ),
    (
        "The desired kind",
        (
            "Share of texts about the sound of the music, by the LDA of the reward and by two independent judges; "
            "and the cost of a kept text."
        ),
        (
            "desired_share", "desired_share_second_lda", "desired_share_classifier", "tokens_per_sample",
            "ms_per_sample",
        ),
    ),
    (
        "Diversity",
        (
            "Compare rows of similar size, since distinct-n falls and shared openings rise with more texts. The "
            "columns against real text have as many real sentences. Compare rows of 100 texts by the columns at 100; "
            "self-BLEU always has 100 texts."
        ),
        (
            "distinct_2", "distinct_2_of_real", "opening_shared", "opening_shared_of_real", "opening_top",
            "sentence_top", "distinct_1", "distinct_1_at_100", "distinct_2_at_100", "self_bleu",
        ),
    ),
    (
        "Likeness to real text",
        (
            "Likelihood of the text, coverage of real text, and distinguishability from it. Blind readers do not order "
            "models that move z as these figures do. Compare such a model with real text of its kind."
        ),
        (
            "forward_ppl", "reverse_ppl", "reverse_ppl_kind", "two_sample_auc", "two_sample_auc_kind",
            "two_sample_auc_signs", "two_sample_auc_at_100", "two_sample_auc_at_all", "genre_accuracy", "unseen_words",
        ),
    ),
    ("Faults", "Share of texts, as they are shown.", ("unk", "repeats", "unbalanced", "half", "broken")),
    (
        "Copying",
        (
            "Copies from the training split. Held-out text shows how much two writers have in common; its exact copies "
            "were removed when the corpus was built."
        ),
        ("copy_4gram", "copy_8gram", "copy_longest", "copy_longest_of_all", "copy_exact"),
    ),
)  # fmt: skip


@dataclass(frozen=True, slots=True, kw_only=True)
class Plot:
    """Plot of the report."""

    title: str
    note: str
    svg: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Report:
    """Content of the report."""

    rows: Sequence[Measured]
    goals: Mapping[str, Sequence[Goal]]
    """Goals by the row's name."""
    facts: Mapping[str, Any]
    """Sizes, settings, machine and seconds."""
    verdicts: Sequence[Verdict] = ()
    """Comparisons of versions of one model."""
    plots: Sequence[Plot] = ()
    curves: Mapping[str, Sequence[CurvePoint]] = field(default_factory=dict)
    judges: Mapping[str, JudgeQuality] = field(default_factory=dict)
    samples: Sequence[Asked] = ()
    """First samples of every model, side by side."""
    readers: ReadersReport | None = None
    """Blind ratings, and the figures that agree with them."""
    training: Mapping[str, Sequence[HeldOutPoint]] = field(default_factory=dict)
    """Held-out scores during training, by the model's name."""

    def document(self) -> dict[str, Any]:
        """Return the document of report.json; figures that are not numbers are under `missing`, with the reason."""
        return {
            "rows": [self._row(row) for row in self.rows],
            "judges": {name: asdict(quality) for name, quality in self.judges.items()},
            "verdicts": [each.document() for each in self.verdicts],
            "readers": None if self.readers is None else finite(asdict(self.readers)),
            "temperature": {name: [point.document() for point in curve] for name, curve in self.curves.items()},
            "training": {name: [point.document() for point in curve] for name, curve in self.training.items()},
            "facts": dict(self.facts),
        }

    def sentences(self) -> dict[str, list[str]]:
        """Return the sentences of every row by its name, of the first seed."""
        return {row.row.name: row.row.sets[0].texts for row in self.rows}

    def _row(self, row: Measured) -> dict[str, Any]:
        model = row.row.model
        figures = {
            metric.name: row.figures[metric.name].document() for metric in METRICS if metric.name not in row.missing
        }
        return {
            "row": row.row.name,
            "kind": row.row.kind,
            "texts_per_seed": row.num_texts,
            "model": None if model is None else {"uri": model.uri, "sha256": model.sha256, "seconds": model.seconds},
            **figures,
            "missing": dict(row.missing),
            "reverse_ratio": row.reverse_ratio,
            "frequent": {name: asdict(frequent) for name, frequent in row.frequent.items()},
            "same_size": {
                "texts": row.same_size.size,
                "own": {name: figure.document() for name, figure in row.same_size.own.items()},
                "real": {name: figure.document() for name, figure in row.same_size.real.items()},
            },
            "goals": [asdict(goal) for goal in self.goals.get(row.row.name, ())],
        }


def write_report(report: Report, folder: Path) -> None:
    """Write report.html, report.json and samples.html, each complete or not at all.

    Raises:
        OutputError: the folder cannot be written to.
    """
    write_json(folder / REPORT_JSON, report.document())
    write_samples(report.samples, folder)
    with atomic_path(folder / REPORT_HTML) as partial:
        partial.write_text(render(report), encoding="utf-8")


def render(report: Report) -> str:
    """Render the page; all text of models is escaped."""
    environment = Environment(
        loader=PackageLoader("training.evaluation", ""), autoescape=True, undefined=StrictUndefined, trim_blocks=True
    )
    by_name = {metric.name: metric for metric in METRICS}
    return environment.get_template(f"{REPORT_HTML}.j2").render(
        facts=report.facts,
        verdicts=report.verdicts,
        samples_page=SAMPLES_HTML if report.samples else "",
        metrics=METRICS,
        rows=[_shown_row(row, report.goals.get(row.row.name, ())) for row in report.rows],
        tables=[
            {
                "title": title,
                "note": note,
                "metrics": _present(names, by_name, report.rows),
                "gaps": gaps([by_name[name] for name in names], report.rows),
            }
            for title, note, names in _TABLES
        ],
        # SVG of this package, from numbers and names that the drawing escapes.
        plots=[{"title": plot.title, "note": plot.note, "svg": Markup(plot.svg)} for plot in report.plots],  # noqa: S704
        readers=report.readers,
        titles=TITLES,
        number=number,
        kappa_line=kappa_line,
        judges=[{"name": name, **asdict(quality)} for name, quality in report.judges.items()],
    )


def gaps(metrics: Sequence[Metric], rows: Sequence[Measured]) -> list[str]:
    """Explain the dashes of a table, a line for each reason: columns (rows): reason."""
    columns: dict[tuple[str, tuple[str, ...]], list[str]] = {}
    for metric in metrics:
        without = tuple(row.row.name for row in rows if metric.name in row.missing)
        # A column that no row has is not in the table, but a reader may expect it there.
        if without:
            columns.setdefault((metric.missing, without), []).append(metric.title)
    return [
        f"{', '.join(titles)} ({'every row' if len(without) == len(rows) else ', '.join(without)}): {reason}."
        for (reason, without), titles in columns.items()
    ]


def _present(names: Sequence[str], by_name: Mapping[str, Metric], rows: Sequence[Measured]) -> list[Metric]:
    return [by_name[name] for name in names if any(name not in row.missing for row in rows)]


def _shown_row(row: Measured, goals: Sequence[Goal]) -> dict[str, Any]:
    first = row.row.sets[0]
    genres = first.genres or [[]] * len(first)
    shown = [] if row.row.kind.is_real else list(zip(first.texts, genres, strict=True))[:_SHOWN]
    return {
        "name": row.row.name,
        "kind": row.row.kind.value,
        "num_texts": row.num_texts,
        "figures": row.figures,
        "missing": row.missing,
        "goals": goals,
        "deciding": deciding(goals),
        "frequent": row.frequent,
        "samples": [{"text": text, "genres": asked} for text, asked in shown],
    }
