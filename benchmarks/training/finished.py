"""A finished training of the workspace, as benchmarks with simulated curators take it."""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path
from statistics import fmean, stdev

import numpy as np
from scipy.stats import t as student

from handlers.model.bundle import Bundle
from training.corpus import Corpus
from training.errors import SettingError
from training.pipeline.plan import TrainPlan
from training.pipeline.stage_keys import TrainingStages
from training.settings import TrainSettings


def finished_stages(corpus: Corpus, settings: TrainSettings, workspace: Path) -> TrainingStages:
    """Return the stages of a finished training.

    Raises:
        SettingError: the workspace holds none of this corpus with these settings.
    """
    stages = TrainingStages.of(corpus.content_hash, settings, TrainPlan(workspace=workspace, model_store=workspace))
    if missing := [each.name for each in stages.to_do()]:
        raise SettingError(
            f"{workspace} holds no finished training of this corpus with these settings (not done: "
            f"{', '.join(missing)}); run `deephypebot train` with the same --preset, --set and --workspace first"
        )
    return stages


def drawn_genres(corpus: Corpus, count: int, *, seed: int) -> list[Sequence[str]]:
    """Draw the genres of songs of the training part."""
    genres = corpus.part("train").genres
    return [genres[index] for index in np.random.default_rng(seed).choice(len(genres), count)]


def copied_share(bundle: Bundle, texts: Sequence[str]) -> float:
    """Return the share of sentences with a long run of words of the training text."""
    return 0.0 if bundle.copies is None else sum(map(bool, bundle.copies.count(texts))) / len(texts)


def interval_95(values: Sequence[float]) -> tuple[float, float, float]:
    """Return the mean of values, and the ends of its interval of 95% by Student's t; no numbers for a single value."""
    half = math.nan
    if len(values) > 1:
        half = float(student.ppf(0.975, len(values) - 1)) * stdev(values) / math.sqrt(len(values))
    mean = fmean(values)
    return mean, mean - half, mean + half
