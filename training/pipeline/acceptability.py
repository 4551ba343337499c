"""Stage that completes a model's bundle with what ranks candidates: phrases, discriminator, and the score itself.

Shapes: V tokens of the vocabulary.
"""

from __future__ import annotations

import dataclasses
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np

from handlers.contract import RankBy
from handlers.model.bundle import MODEL_CARD, Bundle
from handlers.model.phrases import PhraseTable
from training.acceptability.samples import Sentences, real_sentences, sampled_sentences
from training.acceptability.training import train_discriminator
from training.corpus import Corpus
from training.cvae.batches import EncodedSentences
from training.files import atomic_path
from training.packaging.calibration import CalibrationSettings, calibrate
from training.packaging.export import save_bundle, unselected_samples
from training.packaging.reference import make_reference
from training.packaging.value_checks import chosen_by_both
from training.pipeline.artifacts import BUNDLE, load_bundle
from training.pipeline.reports import report_discriminator
from training.pipeline.stages import Stage
from training.progress import Progress
from training.settings import AcceptabilitySettings
from training.tracking.curves import RecordingRun

_REAL_PER_SAMPLE = 2
"""Maximum number of real sentences per sample. There may be more of them, since they are weighted."""


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class AcceptabilityStage:
    """Training of the score of one model."""

    corpus: Corpus
    encoded: EncodedSentences
    """Training split, whose frequencies of genres and tokens are those of the model."""
    settings: AcceptabilitySettings
    seed: int
    device: str
    watch: Callable[[str], Progress]
    """Makes the progress callback of a named piece of work."""

    def train(self, model: Stage, stage: Stage, run: RecordingRun) -> dict[str, float]:
        """Train and calibrate, write the complete bundle into the stage's folder, and return the stage's figures.

        Args:
            model: finished stage of the model.
            stage: this stage.
            run: gets metrics, curves and files.
        """
        real, settings = self.corpus.part("train"), self.settings
        ranked = dataclasses.replace(load_bundle(model), phrases=PhraseTable.of(real.texts))
        figures: dict[str, float] = {}
        if settings.discriminator:
            ranked, figures = self._with_discriminator(ranked, stage, run)
        calibration = calibrate(
            ranked,
            token_counts_V=self.encoded.token_counts(len(ranked.vocabulary)),
            genres=real.genres,
            settings=CalibrationSettings(num_groups=settings.calibration_samples, seed=self.seed),
            progress=self.watch(f"{stage.name} candidates"),
        )
        complete = dataclasses.replace(ranked, acceptability=calibration.acceptability)
        by_both = complete.config.rank_by is RankBy.BOTH
        samples = chosen_by_both(complete, calibration.groups) if by_both else calibration.samples
        reference = make_reference(complete, genres=real.genres, samples=samples)
        complete = dataclasses.replace(complete, reference=reference)
        figures |= calibration.figures
        self._export(complete, model, stage, run, figures)
        return figures

    def _with_discriminator(self, bundle: Bundle, stage: Stage, run: RecordingRun) -> tuple[Bundle, dict[str, float]]:
        """Train a discriminator; return the bundle with it, and its figures."""
        settings, progress = self.settings, self.watch(f"{stage.name} samples")
        train = self._sentences(bundle, "train", settings.num_samples, self.seed + 2, progress)
        held_out = self._sentences(bundle, "valid", settings.held_out_samples, self.seed + 3, progress)
        discriminator, scores = train_discriminator(
            bundle, train, held_out, settings, seed=self.seed, run=run, progress=self.watch(stage.name)
        )
        report_discriminator(stage, run)
        figures = scores.metrics() | {"samples": float(len(train[1]))}
        return dataclasses.replace(bundle, discriminator=discriminator), figures

    def _sentences(
        self, bundle: Bundle, split: str, count: int, seed: int, progress: Progress
    ) -> tuple[Sentences, Sentences]:
        """Return real sentences of a split, and samples."""
        texts = self.corpus.part(split).texts
        chosen = np.random.default_rng(seed).permutation(len(texts))[: _REAL_PER_SAMPLE * count]
        real = real_sentences(bundle, [texts[number] for number in chosen])
        return real, sampled_sentences(bundle, self.encoded, count, seed=seed, progress=progress, device=self.device)

    def _export(self, bundle: Bundle, model: Stage, stage: Stage, run: RecordingRun, figures: dict[str, float]) -> None:
        """Write the bundle with the files beside the model's own, a model card, and unselected samples."""
        with model.reading():
            known = dict((model.result() or {})["figures"])
        samples = unselected_samples(bundle, seed=1)
        with atomic_path(stage.directory / "samples.txt") as partial:
            partial.write_text("\n".join(samples) + "\n", encoding="utf-8")
        named = {f"acceptability.{name}": value for name, value in figures.items()}
        save_bundle(bundle, stage.directory / BUNDLE, figures=known | named, samples=samples)
        for path in sorted((model.directory / BUNDLE).iterdir()):
            target = stage.directory / BUNDLE / path.name
            if not target.exists():
                shutil.copyfile(path, target)
        for path in (Path("samples.txt"), Path(BUNDLE) / MODEL_CARD):
            run.log_file(stage.directory / path)
