"""Quality report from end to end: rows, figures, goals, plots."""

from __future__ import annotations

import time
from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, Final

from foundation.result_line import machine
from handlers.contract import field_values
from training.corpus import Corpus
from training.cvae.held_out import HeldOutPoint
from training.evaluation.charts import CurvePoint, over_training_time, quality_diversity, while_training
from training.evaluation.goals import deciding, goals, prior_of, row_of_kind
from training.evaluation.intervals import Resampler
from training.evaluation.judges import JudgeQuality, Judges, LdaJudge, fit_judges, judge_quality, read_labels
from training.evaluation.metrics import METRICS
from training.evaluation.models import LoadedModel
from training.evaluation.plan import DecodePlan, EvaluatePlan
from training.evaluation.readers.compare import compare
from training.evaluation.readers.ratings import read_ratings
from training.evaluation.report import Plot, Report
from training.evaluation.rows import RowKind, SampleSet, TextRow, desired_sets, read_baseline, real_sets
from training.evaluation.samples import decode_rows, temperature_rows
from training.evaluation.samples_page import SAMPLES_HTML, side_by_side
from training.evaluation.verdict import verdicts
from training.evaluation.yardstick import Measured, Yardstick
from training.progress import Progress, silent
from training.tracking.port import Tracker

_REAL: Final = "held-out real text"
_PROBE: Final = 32
_OVER_TIME: Final = ("two_sample_auc", "reverse_ppl", "forward_ppl")


def evaluate(
    corpus: Corpus, models: Sequence[LoadedModel], plan: EvaluatePlan, *, watch: Callable[[str], Progress]
) -> Report:
    """Measure real text, baselines and models.

    Args:
        corpus: the corpus; `training.evaluation.yardstick` explains the roles of its splits.
        models: models, each with a row of first candidates and a row of what its worker serves.
        plan: settings of the evaluation.
        watch: function that returns the progress of a named part.

    Raises:
        CorpusError: the corpus is too small, or a file of samples or labels cannot be used.
        RatingsError: a file of ratings cannot be used.
    """
    ratings = read_ratings(plan.ratings) if plan.ratings else []
    cache = None if plan.workspace is None else plan.workspace / "evaluation"
    judges = fit_judges(corpus, workspace=cache, progress=watch("judges"))
    within = _within_budget(corpus, models, plan)
    asked = real_sets(corpus, "test", within)
    rows = [TextRow(name=_REAL, kind=RowKind.REAL, sets=asked)]
    of_kind = desired_sets(corpus, "test", within, judges)
    rows += [TextRow(name=f"{_REAL}, desired kind", kind=RowKind.REAL_KIND, sets=of_kind)] if of_kind else []
    rows += [read_baseline(name, path, corpus, within) for name, path in plan.baselines.items()]
    for model in models:
        rows += decode_rows(model, asked, within, cache=cache, progress=watch(f"decode {model.name}"))
    progress = watch("measure")
    progress(0, len(rows), "fitting")
    yardstick = Yardstick(
        corpus=corpus,
        judges=judges,
        reward=models[0].bundle.topics if models else None,
        plan=within,
        resampler=Resampler(replicates=plan.replicates),
    )
    measured = []
    for number, row in enumerate(rows):
        progress(number, len(rows), row.name)
        measured.append(yardstick.measure(row))
    progress(len(rows), len(rows), "done")
    curves = _curves(models, rows[0], plan, yardstick, cache=cache, watch=watch)
    quality = _qualities(judges, models, plan)
    readers = compare(ratings, yardstick) if ratings else None
    real, real_of_kind = measured[0], row_of_kind(measured)
    checked = {each.row.name: goals(each, real, prior_of(each, measured), real_of_kind) for each in measured}
    return Report(
        rows=measured,
        goals=checked,
        verdicts=verdicts(measured, checked, real, real_of_kind),
        facts=_facts(corpus, within, yardstick, quality),
        plots=_plots(curves, measured),
        curves=curves,
        judges=quality,
        samples=side_by_side(measured, yardstick.text_measure.known),
        readers=readers,
        training=held_out_curves(measured),
    )


def track(report: Report, folder: Path, tracker: Tracker) -> int:
    """Log each registered model's figures and the report's files to its run, and return the number of runs.

    A figure that could not be computed is not among the metrics; the tag `evaluate.missing` names it with the reason.
    """
    runs = 0
    for row in report.rows:
        model = row.row.model
        if model is None or not model.run_id:
            continue
        run = tracker.reopen(model.run_id)
        prefix = "evaluate" if row.row.kind is RowKind.MODEL else "evaluate.served"
        named = {f"{prefix}.{name}": each.value for name, each in row.figures.items() if name not in row.missing}
        met = sum(goal.met for goal in deciding(report.goals[row.row.name]))
        run.log_metrics({**named, f"{prefix}.goals_met": float(met)})
        # One tag for all figures, so that a later evaluation with more samples replaces every reason.
        why = "; ".join(f"{name}: {reason}" for name, reason in row.missing.items())
        run.set_tags({f"{prefix}.missing": why or "none"})
        if row.row.kind is RowKind.MODEL:
            for path in (*sorted(folder.glob("report.*")), folder / SAMPLES_HTML):
                run.log_file(path, "evaluation")
            runs += 1
    return runs


def _within_budget(corpus: Corpus, models: Sequence[LoadedModel], plan: EvaluatePlan) -> DecodePlan:
    """Reduce the number of samples to what the budget allows, by the speed of a short decode."""
    if plan.budget_s is None or not models:
        return plan.decode
    probe = replace(plan.decode, num_samples=_PROBE, seeds=1)
    asked = real_sets(corpus, "test", probe)
    per_sample, per_first = (
        _seconds(models, asked, each) / each.num_samples for each in (probe, replace(probe, best_of=1))
    )
    # The curves over temperature need decoding too, with one candidate per sample.
    curves = len(plan.temperatures) * plan.curve_samples * per_first
    affordable = int(max(0.0, plan.budget_s - curves) / (per_sample * plan.decode.seeds))
    return replace(plan.decode, num_samples=min(plan.decode.num_samples, max(100, affordable)))


def _seconds(models: Sequence[LoadedModel], asked: Sequence[SampleSet], plan: DecodePlan) -> float:
    started = time.perf_counter()
    for model in models:
        decode_rows(model, asked, plan, cache=None, progress=silent)
    return time.perf_counter() - started


def _curves(
    models: Sequence[LoadedModel],
    real: TextRow,
    plan: EvaluatePlan,
    yardstick: Yardstick,
    *,
    cache: Path | None,
    watch: Callable[[str], Progress],
) -> dict[str, list[CurvePoint]]:
    """Measure each model at each temperature, and as many sentences of real text under its own name."""
    if not models or not plan.temperatures:
        return {}
    at = replace(plan.decode, num_samples=min(plan.curve_samples, len(real.sets[0])))
    one = real.sets[0]
    cut = replace(one, texts=one.texts[: at.num_samples], keys=one.keys[: at.num_samples])
    curves = {_REAL: [_point(0.0, yardstick.quick_figures(replace(real, sets=[cut])))]}
    for model in models:
        progress = watch(f"curve {model.name}")
        rows = temperature_rows(model, one, at, plan.temperatures, cache=cache, progress=progress)
        curves[model.name] = [_point(temperature, yardstick.quick_figures(row)) for temperature, row in rows]
    return curves


def _point(temperature: float, figures: Mapping[str, Any]) -> CurvePoint:
    values = {name: figures[name].value for name in ("forward_ppl", "reverse_ppl", "distinct_2", "two_sample_auc")}
    return CurvePoint(temperature=temperature, **values)


def _plots(curves: Mapping[str, Sequence[CurvePoint]], measured: Sequence[Measured]) -> list[Plot]:
    plots = []
    if curves:
        of_models = {name: points for name, points in curves.items() if name != _REAL}
        plots.append(
            Plot(
                title="Over temperature",
                note="One seed and the same number of texts at each point; the star is as much held-out real text.",
                svg=quality_diversity(of_models, curves[_REAL][0]),
            )
        )
    trained = held_out_curves(measured)
    if trained:
        plots.append(
            Plot(
                title="During training",
                note=(
                    "After each epoch, by the ELBO. A training starts as an autoencoder, in which nothing keeps the KL "
                    "low, so the KL and the bound start high."
                ),
                svg=while_training(trained),
            )
        )
    over_time = _over_time(measured)
    if over_time:
        real = measured[0].figures
        plots.append(
            Plot(
                title="Over training time",
                note="Versions of one model by the duration of their runs.",
                svg=over_training_time(over_time, {name: real[name].value for name in _OVER_TIME}),
            )
        )
    return plots


def held_out_curves(measured: Sequence[Measured]) -> dict[str, tuple[HeldOutPoint, ...]]:
    """Collect the held-out scores during training of the models that have them."""
    return {
        each.row.name: each.row.model.held_out
        for each in measured
        if each.row.kind is RowKind.MODEL and each.row.model is not None and each.row.model.held_out
    }


def _over_time(measured: Sequence[Measured]) -> dict[str, list[tuple[float, dict[str, float]]]]:
    """Collect the figures of models with several versions of known training times."""
    points: dict[str, list[tuple[float, dict[str, float]]]] = defaultdict(list)
    for each in measured:
        model = each.row.model
        if model is not None and model.seconds and each.row.kind is RowKind.MODEL:
            points[model.kind].append((model.seconds, {name: each.figures[name].value for name in _OVER_TIME}))
    return {name: sorted(curve, key=lambda point: point[0]) for name, curve in points.items() if len(curve) > 1}


def _qualities(judges: Judges, models: Sequence[LoadedModel], plan: EvaluatePlan) -> dict[str, JudgeQuality]:
    if plan.labels is None:
        return {}
    texts, labels = read_labels(plan.labels)
    every = [*judges.all(), *(LdaJudge(model.bundle.topics, f"reward of {model.name}") for model in models[:1])]
    return {judge.name: judge_quality(judge, texts, labels) for judge in every}


def _facts(
    corpus: Corpus, plan: DecodePlan, yardstick: Yardstick, quality: Mapping[str, JudgeQuality]
) -> dict[str, Any]:
    labels = next(iter(quality.values()), None)
    return {
        "samples": plan.num_samples,
        "seeds": plan.seeds,
        "best_of": plan.best_of,
        "served": plan.served,
        **field_values(plan.sampling),
        "corpus": corpus.content_hash,
        "train": len(corpus.indices("train")),
        "test": len(corpus.indices("test")),
        "labels": 0 if labels is None else labels.count,
        "label_share": 0.0 if labels is None else labels.label_share,
        "seconds": {name: round(seconds, 2) for name, seconds in yardstick.seconds.items()},
        "metrics": [metric.name for metric in METRICS],
        "machine": machine(),
    }
