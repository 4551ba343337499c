"""Training of topics, CVAE, LC-GAN and acceptability as stages, which are reused while their inputs stay the same."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

import numpy as np

from handlers.decoding.engine import SequenceSpec
from handlers.model.copies import CopyTable
from handlers.model.decoder import DecoderConfig
from handlers.model.topics import TopicModel
from training.corpus import Corpus
from training.cvae.batches import EncodedSentences
from training.cvae.held_out import HELD_OUT_FILE, save_held_out
from training.cvae.latent import encoded_mixture
from training.cvae.model import Cvae
from training.cvae.scores import score_cvae
from training.cvae.training import decoder_config, train_cvae
from training.cvae.vocabulary import learn_vocabulary
from training.errors import CorpusError
from training.evaluation.promotion import Promoter
from training.lcgan.labels import genre_rows
from training.measures import measure_samples
from training.packaging.export import Parts, make_bundle
from training.packaging.lexicon import learn_lexicon
from training.pipeline.acceptability import AcceptabilityStage
from training.pipeline.artifacts import (
    BUNDLE,
    CHECKPOINT,
    checkpoint_step,
    export_bundle,
    load_topics,
    load_vocabulary,
    restore_cvae,
    save_cvae,
    save_topics,
)
from training.pipeline.budget import Budget
from training.pipeline.descriptions import settings_text
from training.pipeline.estimate import estimate
from training.pipeline.lcgan import CHECK_GROUPS, DECODED_PER_S, LcganStage
from training.pipeline.plan import TrainPlan, TrainReport
from training.pipeline.publish import Publisher
from training.pipeline.published import FinishedModel
from training.pipeline.reports import report_curves, report_topics
from training.pipeline.stage_keys import TrainingStages
from training.pipeline.stage_runs import StageRuns
from training.pipeline.stages import Stage
from training.progress import Progress
from training.settings import TrainSettings
from training.topics.lda import fit_topics
from training.tracking.curves import RecordingRun
from training.tracking.port import Run, Tracker
from training.verdicts.learning import Learning

_MIN_SENTENCES: Final = 2


@dataclass(slots=True, kw_only=True)
class Training:
    """Training on one corpus; `run` executes all of it."""

    corpus: Corpus
    settings: TrainSettings
    plan: TrainPlan
    tracker: Tracker
    watch: Callable[[str], Progress]
    """Makes the progress callback of a named piece of work."""
    _stages: TrainingStages = field(init=False)
    _runs: StageRuns = field(init=False)
    _promoter: Promoter = field(init=False)
    _budget: Budget = field(init=False)
    _encoded_splits: dict[str, EncodedSentences] = field(default_factory=dict)

    def __post_init__(self) -> None:
        cache = self.plan.workspace / "evaluation"
        self._stages = TrainingStages.of(self.corpus.content_hash, self.settings, self.plan)
        self._promoter = Promoter(corpus=self.corpus, cache=cache, watch=self.watch)
        self._runs = StageRuns(corpus=self.corpus, settings=self.settings, plan=self.plan, tracker=self.tracker)

    def expected(self) -> dict[str, float]:
        """Return the estimated seconds of each part that is not done."""
        return estimate(self.corpus, self.settings, {each.name for each in self._stages.to_do()})

    def resumes_at(self) -> int:
        """Return the step from which an interrupted CVAE continues; 0 if it begins at the start."""
        return checkpoint_step(self._stages.cvae) if self.plan.resume else 0

    def run(self, expected: Mapping[str, float] | None = None) -> TrainReport:
        """Train every stage that is not done yet; then register and pack the models.

        Args:
            expected: result of `expected`, if it is known already.

        Raises:
            CorpusError: a split has too few sentences, or the corpus is too small for topics.
            SettingError: the budget cannot hold the training.
            NotLearnedError: a stage does not outperform a constant.
            CheckpointError: files of an earlier training are damaged.
        """
        for split in ("train", "valid"):
            if (count := len(self.corpus.indices(split))) < _MIN_SENTENCES:
                raise CorpusError(
                    f"the corpus has {count} sentences in its {split} split ({len(self.corpus)} in all); "
                    "give more posts: the split is by song, so a few songs may leave a split empty"
                )
        self._budget = Budget(
            seconds=self.plan.budget_s, estimate=self.expected() if expected is None else dict(expected)
        )
        with self._runs:
            topics = self._topics()
            parts, cvae = self._cvae(topics)
            self._acceptability(self._stages.cvae, self._stages.acceptability_cvae, parts)
            self._lcgan(parts, cvae)
            self._acceptability(self._stages.lcgan, self._stages.acceptability_lcgan, parts)
            self._learned(parts, cvae)
            publisher = Publisher(
                tracker=self.tracker,
                model_store=self.plan.model_store,
                champion=self.plan.champion,
                promoter=self._promoter,
                signing_key=self.plan.signing_key,
            )
            models = [
                self._finished("cvae", self._stages.acceptability_cvae, self._stages.cvae),
                self._finished("lcgan", self._stages.acceptability_lcgan, self._stages.lcgan),
            ]
            if self._stages.learned is not None and self._stages.acceptability_learned is not None:
                learned_from = str(self.plan.verdicts)
                models.append(
                    self._finished("lcgan", self._stages.acceptability_learned, self._stages.learned, learned_from)
                )
            tags = {"corpus": self.corpus.content_hash, "preset": self.settings.preset}
            published = publisher.publish(models, tags=tags, watch=self.watch)
            self._runs.finish(published)
        return TrainReport(stages=tuple(self._runs.reports), published=published)

    # Topics

    def _topics(self) -> TopicModel:
        stage = self._stages.topics
        with self._runs.run(stage) as run:
            if run is not None:
                run.log_params(self.settings.flat("topics"))
                progress = self.watch("topics")
                train = self.corpus.part("train")
                fitted = fit_topics(
                    train.texts, self.settings.topics, seed=self.settings.seed, progress=progress, posts=train.post_ids
                )
                save_topics(fitted.model, stage)
                self._finish(stage, report_topics(fitted, train.texts, stage, run))
        return load_topics(stage)

    # CVAE

    def _cvae(self, topics: TopicModel) -> tuple[Parts, Cvae]:
        settings, stage = self.settings.cvae, self._stages.cvae
        vocabulary = load_vocabulary(stage) or learn_vocabulary(self.corpus.part("train").texts, settings)
        parts = Parts(vocabulary=vocabulary, genres=self.corpus.genre_table, topics=topics)
        config = decoder_config(settings, vocabulary_size=len(vocabulary), num_genres=len(parts.genres))
        with self._runs.run(stage) as run:
            self.plan.process_group.broadcast_object(None if run is None else vocabulary.tokens)
            if run is not None:
                self._train_cvae(stage, parts, config, run)
        model = Cvae(config, encoder_size=settings.encoder_size, mu_scale=settings.mu_scale)
        return parts, restore_cvae(model, stage)

    def _train_cvae(self, stage: Stage, parts: Parts, config: DecoderConfig, run: RecordingRun) -> None:
        settings = self.settings.cvae
        checkpoint = stage.directory / CHECKPOINT
        if not self.plan.resume:
            checkpoint.unlink(missing_ok=True)
        run.log_params(self.settings.flat("cvae"))
        run.log_metrics({"vocabulary_size": len(parts.vocabulary), "sentences": len(self.corpus)})
        valid = self._encoded("valid", parts)
        trained = train_cvae(
            config,
            settings,
            self._encoded("train", parts),
            valid,
            seed=self.settings.seed,
            checkpoint=checkpoint,
            run=run,
            progress=self.watch("cvae"),
            budget_s=self._budget.for_cvae(),
            device=self.plan.device,
            bf16=self.plan.bf16,
            process_group=self.plan.process_group,
        )
        model = trained.model.cpu()
        scores = score_cvae(model, valid, batch_size=settings.batch_size)
        texts = self.corpus.part("train").texts
        bundle = make_bundle(
            "cvae",
            model,
            parts,
            generator=None,
            lineage=self._lineage(run),
            copies=CopyTable.of(texts),
            lexicon=learn_lexicon(texts, parts.vocabulary),
            latent=encoded_mixture(model, self._encoded("train", parts), seed=self.settings.seed),
        )
        sequences = self._sequences(parts)
        started = time.monotonic()
        figures = measure_samples(bundle, sequences)
        per_second = len(sequences) / max(time.monotonic() - started, 1e-3)
        save_cvae(model, stage)
        report_curves(trained.held_out, stage, run)
        metrics = scores.metrics("valid") | figures.metrics("samples")
        export_bundle(bundle, stage, run, metrics, encoder=(model, self.settings.cvae.mu_scale))
        # For the quality report; archives leave it out.
        save_held_out(trained.held_out, stage.directory / BUNDLE)
        run.log_file(stage.directory / BUNDLE / HELD_OUT_FILE)
        self._finish(stage, metrics, topic_shares=figures.topic_shares, **{DECODED_PER_S: per_second})

    # LC-GAN

    def _lcgan(self, parts: Parts, model: Cvae) -> None:
        self._train_lcgan(self._stages.lcgan, parts, model, learning=None)

    def _learned(self, parts: Parts, model: Cvae) -> None:
        """Train one more LC-GAN on verdicts, from the generator of the first."""
        stage, verdicts = self._stages.learned, self.plan.verdicts
        if stage is None or verdicts is None or self._stages.acceptability_learned is None:
            return
        learning = Learning(verdicts=verdicts, weight=self.plan.verdicts_weight, seed=self.settings.seed)
        self._train_lcgan(stage, parts, model, learning=learning)
        self._acceptability(stage, self._stages.acceptability_learned, parts)

    def _train_lcgan(self, stage: Stage, parts: Parts, model: Cvae, *, learning: Learning | None) -> None:
        with self._runs.run(stage) as run:
            if run is None:
                return
            run.log_params(self.settings.flat("lcgan"))
            training = LcganStage(
                sentences=self.corpus.part("train").texts,
                encoded=self._encoded("train", parts),
                sequences=self._sequences(parts),
                settings=self.settings.lcgan,
                mu_scale=self.settings.cvae.mu_scale,
                seed=self.settings.seed,
                lineage=self._lineage(run),
                budget=self._budget,
                device=self.plan.device,
                watch=self.watch,
                learning=learning,
                base=None if learning is None else self._stages.acceptability_lcgan,
                genres=() if learning is None else self._requested_genres(),
                check_groups=CHECK_GROUPS * self.settings.acceptability.calibration_samples,
            )
            figures, shares = training.train(self._stages.cvae, stage, parts, model, run)
            self._finish(stage, figures, topic_shares=shares)

    # Acceptability

    def _acceptability(self, model: Stage, stage: Stage, parts: Parts) -> None:
        """Complete the bundle of a model's stage in a stage of its own."""
        with self._runs.run(stage) as run:
            if run is not None:
                run.log_params(self.settings.flat("acceptability"))
                training = AcceptabilityStage(
                    corpus=self.corpus,
                    encoded=self._encoded("train", parts),
                    settings=self.settings.acceptability,
                    seed=self.settings.seed,
                    device=self.plan.device,
                    watch=self.watch,
                )
                self._finish(stage, training.train(model, stage, run))

    # Shared by all stages

    def _encoded(self, split: str, parts: Parts) -> EncodedSentences:
        """Token ids of a split; each split is tokenised once, since a training has one vocabulary."""
        if split not in self._encoded_splits:
            part = self.corpus.part(split)
            self._encoded_splits[split] = EncodedSentences(part.texts, part.genres, parts.vocabulary, parts.genres)
        return self._encoded_splits[split]

    def _sequences(self, parts: Parts) -> Sequence[SequenceSpec]:
        count = self.settings.lcgan.evaluation_samples
        return genre_rows(self._encoded("train", parts), count, seed=self.settings.seed + 1)

    def _requested_genres(self) -> list[Sequence[str]]:
        """Genres of as many sentences as samples are evaluated, drawn with their frequencies."""
        genres = self.corpus.part("train").genres
        chosen = np.random.default_rng(self.settings.seed).choice(len(genres), self.settings.lcgan.evaluation_samples)
        return [genres[index] for index in chosen]

    def _lineage(self, run: Run) -> dict[str, str]:
        facts = {"corpus": self.corpus.content_hash, "preset": self.settings.preset, "run_id": run.run_id}
        return {key: value for key, value in facts.items() if value}

    def _finished(self, name: str, complete: Stage, trained: Stage, learned_from: str = "") -> FinishedModel:
        settings = settings_text(name, self.settings, self.plan.budget_s)
        return FinishedModel(name=name, stage=complete, trained=trained, settings=settings, learned_from=learned_from)

    def _finish(self, stage: Stage, figures: Mapping[str, float], **facts: Any) -> None:
        stage.finish(figures={name: float(value) for name, value in figures.items()}, **facts)
