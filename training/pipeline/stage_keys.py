"""Stages of a training before it runs: their folders follow from the corpus and the settings alone."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final, Self

from handlers.contract import SamplingParams
from training.fingerprints import fingerprint
from training.packaging.calibration import CalibrationSettings
from training.packaging.score_weights import VERSION as SCORE_VERSION
from training.packaging.value_checks import ValueCheckSettings
from training.pipeline.plan import TrainPlan
from training.pipeline.stages import Stage
from training.settings import TrainSettings
from training.verdicts.learning import LEARNING_VERSION

_CALIBRATED: Final = (SCORE_VERSION, CalibrationSettings(), SamplingParams())
"""Code that a calibration depends on beside its settings: weights, checks, and the sampling of a request by default."""


@dataclass(frozen=True, slots=True, kw_only=True)
class TrainingStages:
    """Stages of one training; each key is a hash of everything that the stage depends on."""

    topics: Stage
    cvae: Stage
    acceptability_cvae: Stage
    lcgan: Stage
    acceptability_lcgan: Stage
    learned: Stage | None = None
    """Stage of an LC-GAN that learns from verdicts; None without any."""
    acceptability_learned: Stage | None = None

    @classmethod
    def of(cls, corpus_hash: str, settings: TrainSettings, plan: TrainPlan) -> Self:
        """Return the stages of a corpus and settings."""
        root, seed = plan.workspace / "stages", settings.seed

        def stage(name: str, *depends_on: object) -> Stage:
            return Stage(name=name, key=fingerprint(name, *depends_on), root=root)

        def completed(model: Stage) -> Stage:
            return stage(f"acceptability-{model.name}", model.key, settings.acceptability, seed, *_CALIBRATED)

        topics = stage("topics", corpus_hash, settings.topics, seed)
        cvae = stage("cvae", topics.key, settings.cvae, seed, plan.budget_s)
        lcgan = stage("lcgan", cvae.key, settings.lcgan, seed)
        acceptability_lcgan = completed(lcgan)
        learned = None
        if plan.verdicts is not None:
            verdicts = (plan.verdicts.sha256, plan.verdicts_weight)
            learned = stage("learned", acceptability_lcgan.key, LEARNING_VERSION, ValueCheckSettings(), *verdicts)
        return cls(
            topics=topics,
            cvae=cvae,
            acceptability_cvae=completed(cvae),
            lcgan=lcgan,
            acceptability_lcgan=acceptability_lcgan,
            learned=learned,
            acceptability_learned=None if learned is None else completed(learned),
        )

    def to_do(self) -> Iterator[Stage]:
        """Yield the stages that are not done."""
        stages = (self.topics, self.cvae, self.acceptability_cvae, self.lcgan, self.acceptability_lcgan)
        for each in (*stages, self.learned, self.acceptability_learned):
            if each is not None and not each.is_done:
                yield each
