"""Names and descriptions of a training in the tracking server: short, and different where the trainings differ."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from typing import Any, Final

from training.evaluation.promotion import REAL
from training.pipeline.plan import StageReport
from training.pipeline.published import Published
from training.presets import changes
from training.settings import SECTIONS, TrainSettings

KEY_FIGURES: Final = {
    "topics": ("num_topics", "coherence"),
    "cvae": ("valid.perplexity_bound", "valid.kl", "valid.active_units", "samples.desired_share"),
    "lcgan": ("predictor.explained", "prior.desired_share", "moved.desired_share", "moved.distinct_2"),
    "learned": ("verdicts", "value.auc", "value.before", "value.after", "moved.desired_share", "moved.distinct_2"),
    "acceptability-cvae": ("steps_of_one", "steps_per_sample", "score_of_one", "score", "auc"),
    "acceptability-lcgan": ("steps_of_one", "steps_per_sample", "score_of_one", "score", "auc"),
    "acceptability-learned": ("steps_of_one", "steps_per_sample", "score_of_one", "score", "auc"),
}
"""Main figures of each stage, where it has them: for the terminal and the training's own run."""
_SECTIONS: Final = {"cvae": ("topics", "cvae", "acceptability"), "lcgan": SECTIONS}
"""Settings that a model depends on."""
_LANGUAGE: Final = {"forward_ppl": ("forward PPL", "{:.1f}"), "made_up_words": ("made-up words", "{:.1%}")}
_SHARES: Final = ("samples.desired_share", "prior.desired_share", "moved.desired_share")
_NAME_LENGTH: Final = 60
"""Characters of settings in the name of a run."""
_KEY_LENGTH: Final = 8


def key_figures(report: StageReport) -> dict[str, float]:
    """Return the main figures of a stage."""
    return {name: report.figures[name] for name in KEY_FIGURES[report.name] if name in report.figures}


def training_name(settings: TrainSettings, when: datetime) -> str:
    """Name a training's run by preset, date and the settings that differ: demo 11-29 14:05 seed=3.

    MLflow's table shows about 18 characters, and the year in a column of its own.
    """
    return f"{settings.preset} {when:%m-%d %H:%M} {_shortened(changes(settings))}".rstrip()


def stage_name(name: str, key: str, settings: TrainSettings) -> str:
    """Name a stage's run by the key of its folder and the settings that differ: cvae 3f9a1c0b z_size=24."""
    section = name.partition("-")[0]
    own = changes(settings, section) if section in SECTIONS else {}
    return f"{name} {key[:_KEY_LENGTH]} {_shortened(own, section)}".rstrip()


def settings_text(model: str, settings: TrainSettings, budget_s: float | None) -> str:
    """Return the settings of a model that differ from the preset's, as `--set` takes them; empty if none do."""
    differing = changes(settings, *_SECTIONS[model])
    limit = [] if budget_s is None else [f"budget={budget_s:g}s"]
    return ", ".join([*_assignments(differing), *limit])


def figures_text(trained: Mapping[str, float], language: Mapping[str, float]) -> str:
    """Return the key figures of a version in one line.

    Args:
        trained: figures of the training of its model.
        language: figures of the language that it writes, and of real text.

    >>> figures_text({"prior.desired_share": 0.41, "moved.desired_share": 0.97}, {"forward_ppl": 11.23})
    'forward PPL 11.2, desired share 0.41 to 0.97'
    """
    parts = []
    for name, (label, pattern) in _LANGUAGE.items():
        own, real = language.get(name, math.nan), language.get(f"{REAL}{name}", math.nan)
        if math.isfinite(own):
            beside = f" (real {pattern.format(real)})" if math.isfinite(real) else ""
            parts.append(f"{label} {pattern.format(own)}{beside}")
    if shares := [f"{trained[name]:.2f}" for name in _SHARES if name in trained]:
        parts.append(f"desired share {' to '.join(shares)}")
    if (bound := trained.get("valid.perplexity_bound")) is not None:
        parts.append(f"held-out perplexity {bound:.1f}")
    return ", ".join(parts)


def version_summary(published: Published, tags: Mapping[str, str], figures: str) -> str:
    """Describe a version in a paragraph: its origin, the settings that differ, figures, and whether it was promoted.

    Args:
        published: the version.
        tags: its tags.
        figures: its key figures.
    """
    preset, corpus = tags.get("preset", "unknown"), tags.get("corpus", "unknown")[:12]
    differing = f"with {tags['settings']}" if tags.get("settings") else "unchanged"
    moves = f"; moves the latent vectors of cvae/{tags['cvae_version']}" if tags.get("cvae_version") else ""
    learned = f"; learned from {tags['verdicts']}" if tags.get("verdicts") else ""
    origin = f"preset {preset} {differing}, corpus {corpus}{moves}{learned}"
    # MLflow's table shows the beginning alone.
    told, *more = (each.rstrip(".") for each in (figures, origin, published.decision) if each)
    return " ".join([f"{published}: {told}.", *(f"{_capital(each)}." for each in more)])


def training_summary(
    settings: TrainSettings,
    corpus: str,
    stages: Sequence[tuple[StageReport, str]],
    versions: Iterable[Published],
) -> str:
    """Describe a training in Markdown, with a row for each stage, the reused ones included.

    Args:
        settings: settings of the training.
        corpus: the corpus in words.
        stages: reports so far, each with the address of the stage's run; empty where it has none.
        versions: versions that were registered or reused.
    """
    differing = ", ".join(_assignments(changes(settings))) or "none"
    lines = [
        f"Preset {settings.preset}, settings that differ: {differing}. Corpus: {corpus}.",
        "",
        "| stage | run | figures |",
        "| --- | --- | --- |",
    ]
    for report, page in stages:
        told = "reused" if report.reused else f"{report.seconds:.0f} s"
        figures = ", ".join(f"{name} {value:.3g}" for name, value in key_figures(report).items())
        lines.append(f"| {report.name} | {f'[{told}]({page})' if page else told} | {figures} |")
    for each in versions:
        page = f"#/models/{each.name}/versions/{each.version}"
        known = ", registered before" if each.reused else ""
        role = "the champion" if each.is_champion else "not the champion"
        lines += ["", f"[{each}]({page}){known}, {role}. {_capital(each.decision)}".rstrip()]
    return "\n".join(lines)


def _capital(sentence: str) -> str:
    """Begin a sentence with a capital, unless it begins with the name of a version."""
    return sentence if "/" in sentence.partition(" ")[0] else sentence[:1].upper() + sentence[1:]


def _assignments(settings: Mapping[str, Any], section: str = "") -> list[str]:
    """Settings as `--set` takes them, without the name of their section."""

    def text(value: Any) -> str:
        return ",".join(map(str, value)) if isinstance(value, tuple) else str(value)

    return [f"{name.removeprefix(f'{section}.')}={text(value)}" for name, value in settings.items()]


def _shortened(settings: Mapping[str, Any], section: str = "") -> str:
    """Join settings, up to a length; the others are counted."""
    shown: list[str] = []
    assignments = _assignments(settings, section)
    for assignment in assignments:
        if len(", ".join([*shown, assignment])) > _NAME_LENGTH:
            break
        shown.append(assignment)
    hidden = len(assignments) - len(shown)
    more = [] if not hidden else [f"and {hidden} more" if shown else f"{hidden} settings"]
    return " ".join(filter(None, [", ".join(shown), *more]))
