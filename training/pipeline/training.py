"""Training of topics, CVAE, LC-GAN and acceptability as stages, which are reused while their inputs stay the same."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from handlers.contract import SamplingParams
from handlers.decoding.engine import SequenceSpec
from handlers.model.bundle import MODEL_CARD, Bundle, bundle_sha256
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
from training.files import atomic_path
from training.fingerprints import fingerprint
from training.lcgan.labels import Labeller, genre_rows, known_words
from training.lcgan.predictor import PREDICTOR_FILE, save_predictor, train_predictor
from training.lcgan.training import train_generator
from training.measures import measure_samples
from training.packaging.calibration import CalibrationSettings
from training.packaging.export import Parts, make_bundle, save_bundle, unselected_samples
from training.packaging.lexicon import learn_lexicon
from training.packaging.score_weights import VERSION as SCORE_VERSION
from training.pipeline.acceptability import AcceptabilityStage
from training.pipeline.artifacts import (
    BUNDLE,
    load_bundle,
    load_topics,
    load_vocabulary,
    restore_cvae,
    save_cvae,
    save_topics,
)
from training.pipeline.plan import CVAE_BUDGET, LCGAN_BUDGET, TrainPlan, TrainReport
from training.pipeline.publish import Published, Publisher
from training.pipeline.reports import report_curves, report_topics
from training.pipeline.stage_runs import StageRuns
from training.pipeline.stages import Stage
from training.plots import plot_topic_shares
from training.progress import Progress
from training.settings import TrainSettings
from training.topics.lda import fit_topics
from training.tracking.curves import RecordingRun
from training.tracking.port import Run, Tracker

_MIN_SENTENCES: Final = 2
_CALIBRATED: Final = (SCORE_VERSION, CalibrationSettings(), SamplingParams())
"""Code that a calibration depends on beside its settings: weights, checks, and the sampling of a request by default."""


@dataclass(slots=True, kw_only=True)
class Training:
    """Training on one corpus; `run` executes all of it."""

    corpus: Corpus
    settings: TrainSettings
    plan: TrainPlan
    tracker: Tracker
    watch: Callable[[str], Progress]
    """Makes the progress callback of a named piece of work."""
    _runs: StageRuns = field(init=False)
    _promoter: Promoter = field(init=False)
    _encoded_splits: dict[str, EncodedSentences] = field(default_factory=dict)

    def __post_init__(self) -> None:
        cache = self.plan.workspace / "evaluation"
        self._promoter = Promoter(corpus=self.corpus, cache=cache, watch=self.watch)
        self._runs = StageRuns(corpus=self.corpus, settings=self.settings, plan=self.plan, tracker=self.tracker)

    def run(self) -> TrainReport:
        """Train, register and pack every stage that is not done yet.

        Raises:
            CorpusError: a split has too few sentences, or the corpus is too small for topics.
            NotLearnedError: a stage does not outperform a constant.
            CheckpointError: files of an earlier training are damaged.
        """
        for split in ("train", "valid"):
            if (count := len(self.corpus.indices(split))) < _MIN_SENTENCES:
                raise CorpusError(
                    f"the corpus has {count} sentences in its {split} split ({len(self.corpus)} in all); "
                    "give more posts: the split is by song, so a few songs may leave a split empty"
                )
        with self._runs:
            topics_stage, topics = self._topics()
            cvae_stage, parts, cvae = self._cvae(topics_stage, topics)
            complete = self._acceptability(cvae_stage, parts)
            published = [self._publish("cvae", complete, cvae_stage.run_id(), {})]
            lcgan_stage = self._lcgan(cvae_stage, parts, cvae)
            complete = self._acceptability(lcgan_stage, parts)
            tags = {"cvae_version": published[0].version}
            published.append(self._publish("lcgan", complete, lcgan_stage.run_id(), tags))
            self._runs.log_seconds()
        return TrainReport(stages=tuple(self._runs.reports), published=tuple(published))

    # Topics

    def _topics(self) -> tuple[Stage, TopicModel]:
        stage = self._stage("topics", self.corpus.content_hash, self.settings.topics, self.settings.seed)
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
        return stage, load_topics(stage)

    # CVAE

    def _cvae(self, topics_stage: Stage, topics: TopicModel) -> tuple[Stage, Parts, Cvae]:
        settings = self.settings.cvae
        stage = self._stage("cvae", topics_stage.key, settings, self.settings.seed, self.plan.budget_s)
        vocabulary = load_vocabulary(stage) or learn_vocabulary(self.corpus.part("train").texts, settings)
        parts = Parts(vocabulary=vocabulary, genres=self.corpus.genre_table, topics=topics)
        config = decoder_config(settings, vocabulary_size=len(vocabulary), num_genres=len(parts.genres))
        with self._runs.run(stage) as run:
            self.plan.process_group.broadcast_object(None if run is None else vocabulary.tokens)
            if run is not None:
                self._train_cvae(stage, parts, config, run)
        model = Cvae(config, encoder_size=settings.encoder_size, mu_scale=settings.mu_scale)
        return stage, parts, restore_cvae(model, stage)

    def _train_cvae(self, stage: Stage, parts: Parts, config: DecoderConfig, run: RecordingRun) -> None:
        settings = self.settings.cvae
        checkpoint = stage.directory / "checkpoint.pt"
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
            budget_s=self._budget(CVAE_BUDGET),
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
        figures = measure_samples(bundle, self._sequences(parts))
        save_cvae(model, stage)
        report_curves(trained.held_out, stage, run)
        metrics = scores.metrics("valid") | figures.metrics("samples")
        self._export(stage, bundle, model, run, metrics)
        # For the quality report; archives leave it out.
        save_held_out(trained.held_out, stage.directory / BUNDLE)
        run.log_file(stage.directory / BUNDLE / HELD_OUT_FILE)
        self._finish(stage, metrics, topic_shares=figures.topic_shares)

    # LC-GAN

    def _lcgan(self, cvae_stage: Stage, parts: Parts, model: Cvae) -> Stage:
        stage = self._stage("lcgan", cvae_stage.key, self.settings.lcgan, self.settings.seed)
        with self._runs.run(stage) as run:
            if run is not None:
                self._train_lcgan(stage, cvae_stage, parts, model, run)
        return stage

    def _train_lcgan(self, stage: Stage, cvae_stage: Stage, parts: Parts, model: Cvae, run: RecordingRun) -> None:
        settings, seed = self.settings.lcgan, self.settings.seed
        run.log_params(self.settings.flat("lcgan"))
        labeller = self._labeller(cvae_stage, parts, model)
        data = labeller.label(settings.num_samples, seed=seed, progress=self.watch("labels"))
        predictor, scores = train_predictor(data, settings, seed=seed, run=run)
        trained = train_generator(
            data,
            predictor,
            settings,
            desired=parts.topics.desired,
            seed=seed,
            run=run,
            progress=self.watch("lcgan"),
            decoder=labeller,
            budget_s=self._budget(LCGAN_BUDGET),
        )
        generator = trained.generator.cpu()
        if trained.stopped:
            run.set_tags({"stopped": trained.stopped})
        lineage = self._lineage(run) | {"cvae_bundle_sha256": bundle_sha256(cvae_stage.directory / BUNDLE)}
        unshifted = load_bundle(cvae_stage)
        shifted = make_bundle(
            "lcgan",
            model,
            parts,
            generator=generator,
            lineage=lineage,
            copies=unshifted.copies,
            lexicon=unshifted.lexicon,
            latent=unshifted.latent,
        )
        sequences = self._sequences(parts)
        before = measure_samples(unshifted, sequences)
        after = measure_samples(shifted, sequences)
        plot = stage.directory / "topic_shares.png"
        shares = {"cvae": before.topic_shares, "lcgan": after.topic_shares}
        plot_topic_shares(shares, parts.topics.names, parts.topics.desired, plot)
        run.log_file(plot, "plots")
        metrics = {
            "predictor.explained": scores.explained,
            "predictor.rarity_explained": scores.rarity_explained,
            **before.metrics("prior"),
            **after.metrics("moved"),
        }
        self._export(stage, shifted, model, run, metrics)
        # For comparisons with other ways of steering; archives leave it out.
        save_predictor(predictor, stage.directory / BUNDLE / PREDICTOR_FILE)
        self._finish(stage, metrics, topic_shares=after.topic_shares)

    def _labeller(self, cvae_stage: Stage, parts: Parts, model: Cvae) -> Labeller:
        return Labeller(
            model.to(self.plan.device),
            load_bundle(cvae_stage),
            self._encoded("train", parts),
            known=known_words(self.corpus.part("train").texts),
            group=self.settings.lcgan.round_samples,
            device=self.plan.device,
        )

    # Acceptability

    def _acceptability(self, model: Stage, parts: Parts) -> Stage:
        """Complete the bundle of a model's stage in a stage of its own."""
        name = f"acceptability-{model.name}"
        stage = self._stage(name, model.key, self.settings.acceptability, self.settings.seed, *_CALIBRATED)
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
        return stage

    # Shared by all stages

    def _stage(self, name: str, *depends_on: object) -> Stage:
        return Stage(name=name, key=fingerprint(name, *depends_on), root=self.plan.workspace / "stages")

    def _publish(self, name: str, stage: Stage, run_id: str, tags: Mapping[str, str]) -> Published:
        publisher = Publisher(
            tracker=self.tracker,
            model_store=self.plan.model_store,
            champion=self.plan.champion,
            promoter=self._promoter,
        )
        lineage = {"corpus": self.corpus.content_hash, "preset": self.settings.preset, **tags}
        return publisher.publish(name, stage, run_id=run_id, tags=lineage, watch=self.watch)

    def _export(self, stage: Stage, bundle: Bundle, model: Cvae, run: Run, metrics: Mapping[str, float]) -> None:
        samples = unselected_samples(bundle, seed=1)
        with atomic_path(stage.directory / "samples.txt") as partial:
            partial.write_text("\n".join(samples) + "\n", encoding="utf-8")
        encoder = (model, self.settings.cvae.mu_scale)
        save_bundle(bundle, stage.directory / BUNDLE, figures=metrics, samples=samples, encoder=encoder)
        run.log_file(stage.directory / "samples.txt")
        run.log_file(stage.directory / BUNDLE / MODEL_CARD)

    def _encoded(self, split: str, parts: Parts) -> EncodedSentences:
        """Token ids of a split; each split is tokenised once, since a training has one vocabulary."""
        if split not in self._encoded_splits:
            part = self.corpus.part(split)
            self._encoded_splits[split] = EncodedSentences(part.texts, part.genres, parts.vocabulary, parts.genres)
        return self._encoded_splits[split]

    def _sequences(self, parts: Parts) -> Sequence[SequenceSpec]:
        count = self.settings.lcgan.evaluation_samples
        return genre_rows(self._encoded("train", parts), count, seed=self.settings.seed + 1)

    def _lineage(self, run: Run) -> dict[str, str]:
        facts = {"corpus": self.corpus.content_hash, "preset": self.settings.preset, "run_id": run.run_id}
        return {key: value for key, value in facts.items() if value}

    def _budget(self, share: float) -> float | None:
        return None if self.plan.budget_s is None else self.plan.budget_s * share

    def _finish(self, stage: Stage, figures: Mapping[str, float], **facts: Any) -> None:
        stage.finish(figures={name: float(value) for name, value in figures.items()}, **facts)
