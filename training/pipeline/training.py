"""The training as stages: topics, CVAE, LC-GAN; each tracked, each reused when nothing it depends on has changed."""

from __future__ import annotations

import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from handlers.decoding.engine import Row
from handlers.model.bundle import MODEL_CARD, Bundle, bundle_sha256
from handlers.model.copies import CopyTable
from handlers.model.decoder import DecoderConfig
from handlers.model.topics import TopicModel
from training.corpus import Corpus
from training.corpus.chart import plot_funnel
from training.cvae.batches import EncodedSentences
from training.cvae.held_out import HELD_OUT_FILE, save_held_out
from training.cvae.model import Cvae
from training.cvae.scores import score_cvae
from training.cvae.training import decoder_config, train_cvae
from training.cvae.vocabulary import learn_vocabulary
from training.errors import CorpusError
from training.files import atomic_path
from training.fingerprints import fingerprint
from training.lcgan.labels import Labeller, genre_rows, known_words
from training.lcgan.predictor import PREDICTOR_FILE, save_predictor, train_predictor
from training.lcgan.training import train_generator
from training.measures import measure_samples
from training.packaging.export import Parts, make_bundle, save_bundle, unselected_samples
from training.pipeline.artifacts import (
    BUNDLE,
    kept_vocabulary,
    load_bundle,
    load_topics,
    restore_cvae,
    save_cvae,
    save_topics,
)
from training.pipeline.plan import CVAE_BUDGET, LCGAN_BUDGET, StageReport, TrainPlan, TrainReport
from training.pipeline.publish import Published, Publisher
from training.pipeline.reports import show_curves, show_topics
from training.pipeline.stages import Stage
from training.plots import plot_topic_shares
from training.progress import Progress
from training.settings import TrainSettings
from training.topics.lda import fit_topics
from training.tracking.curves import RecordingRun
from training.tracking.port import Run, Tracker, TrainedOn

_MIN_SENTENCES: Final = 2


@dataclass(slots=True, kw_only=True)
class Training:
    """One training of one corpus; `run` does it all."""

    corpus: Corpus
    settings: TrainSettings
    plan: TrainPlan
    tracker: Tracker
    watch: Callable[[str], Progress]
    """Gives the progress to tell about a stage."""
    _open: ExitStack = field(default_factory=ExitStack)
    _parent: Run | None = None
    _encoded_splits: dict[str, EncodedSentences] = field(default_factory=dict)
    _reports: list[StageReport] = field(default_factory=list)

    def run(self) -> TrainReport:
        """Train, register and pack what is not there yet.

        Raises:
            CorpusError: the corpus is too small for a split or for topics.
            NotLearnedError: a stage is no better than a constant.
            CheckpointError: what an earlier training left is damaged.
        """
        for split in ("train", "valid"):
            if (count := len(self.corpus.indices(split))) < _MIN_SENTENCES:
                raise CorpusError(
                    f"the corpus has {count} sentences in its {split} split ({len(self.corpus)} in all); "
                    "give more posts: songs are split, so that a few songs may leave a split empty"
                )
        with self._open:
            topics_stage, topics = self._topics()
            cvae_stage, parts, cvae = self._cvae(topics_stage, topics)
            published = [self._publish("cvae", cvae_stage, {})]
            lcgan_stage = self._lcgan(cvae_stage, parts, cvae)
            published.append(self._publish("lcgan", lcgan_stage, {"cvae_version": published[0].version}))
            self._close_parent()
        return TrainReport(stages=tuple(self._reports), published=tuple(published))

    # Topics

    def _topics(self) -> tuple[Stage, TopicModel]:
        stage = self._stage("topics", self.corpus.content_hash, self.settings.topics, self.settings.seed)
        with self._stage_run(stage) as run:
            if run is not None:
                run.log_params(self.settings.flat("topics"))
                progress = self.watch("topics")
                train = self.corpus.part("train")
                fitted = fit_topics(
                    train.texts, self.settings.topics, seed=self.settings.seed, progress=progress, posts=train.post_ids
                )
                save_topics(fitted.model, stage)
                self._finish(stage, show_topics(fitted, train.texts, stage, run))
        return stage, load_topics(stage)

    # CVAE

    def _cvae(self, topics_stage: Stage, topics: TopicModel) -> tuple[Stage, Parts, Cvae]:
        settings = self.settings.cvae
        stage = self._stage("cvae", topics_stage.key, settings, self.settings.seed, self.plan.budget_s)
        vocabulary = kept_vocabulary(stage) or learn_vocabulary(self.corpus.part("train").texts, settings)
        parts = Parts(vocabulary=vocabulary, genres=self.corpus.genre_table, topics=topics)
        config = decoder_config(settings, vocabulary_size=len(vocabulary), num_genres=len(parts.genres))
        with self._stage_run(stage) as run:
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
        copies = CopyTable.of(self.corpus.part("train").texts)
        bundle = make_bundle("cvae", model, parts, generator=None, lineage=self._lineage(run), copies=copies)
        figures = measure_samples(bundle, self._rows(parts))
        save_cvae(model, stage)
        show_curves(trained.held_out, stage, run)
        metrics = scores.metrics("valid") | figures.metrics("samples")
        self._export(stage, bundle, model, run, metrics)
        # The quality report draws it; archives leave it out.
        save_held_out(trained.held_out, stage.directory / BUNDLE)
        run.log_file(stage.directory / BUNDLE / HELD_OUT_FILE)
        self._finish(stage, metrics, topic_shares=figures.topic_shares)

    # LC-GAN

    def _lcgan(self, cvae_stage: Stage, parts: Parts, model: Cvae) -> Stage:
        stage = self._stage("lcgan", cvae_stage.key, self.settings.lcgan, self.settings.seed)
        with self._stage_run(stage) as run:
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
        unmoved = load_bundle(cvae_stage)
        moved = make_bundle("lcgan", model, parts, generator=generator, lineage=lineage, copies=unmoved.copies)
        rows = self._rows(parts)
        before = measure_samples(unmoved, rows)
        after = measure_samples(moved, rows)
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
        self._export(stage, moved, model, run, metrics)
        # Other ways to a topic, and whoever compares them, need it; archives leave it out.
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

    # What all stages share

    def _stage(self, name: str, *depends_on: object) -> Stage:
        return Stage(name=name, key=fingerprint(name, *depends_on), root=self.plan.workspace / "stages")

    @contextmanager
    def _stage_run(self, stage: Stage) -> Iterator[RecordingRun | None]:
        """A tracked run for a stage that is not done, None for one that is."""
        started = time.monotonic()
        result = stage.result()
        if result is not None:
            self._report(stage, started, reused=True, figures=result["figures"])
            yield None
            return
        self._open_parent()
        with self.tracker.run(stage.name, tags={"stage": stage.name, "key": stage.key}) as tracked:
            run = RecordingRun(tracked)
            stage.record_run(run.run_id)
            yield run
            finished = stage.result()
            if finished is not None:
                run.log_metrics({name: float(value) for name, value in finished["figures"].items()})
                self._report(stage, started, reused=False, figures=finished["figures"])

    def _open_parent(self) -> None:
        """One run above the stages' runs, opened only when some stage has something to do."""
        if self._parent is None:
            self._parent = self._open.enter_context(self.tracker.run(f"train {self.settings.preset}"))
            self._parent.log_params(self.settings.flat())
            self._parent.log_params({"corpus_hash": self.corpus.content_hash, "budget_s": self.plan.budget_s})
            self._log_corpus(self._parent)

    def _log_corpus(self, run: Run) -> None:
        """What was learned from, and how it came to be: in the table of datasets, and as files."""
        funnel = self.corpus.funnel
        sizes = {name: len(self.corpus.indices(name)) for name in ("train", "valid", "test")}
        run.log_dataset(
            TrainedOn(
                name="corpus",
                sha256=self.corpus.content_hash,
                source=", ".join(each.name for each in funnel.inputs) or "unknown",
                profile={f"{split}_sentences": count for split, count in sizes.items()},
            )
        )
        with tempfile.TemporaryDirectory() as folder:
            document, picture = Path(folder) / "funnel.json", Path(folder) / "funnel.png"
            document.write_text(funnel.to_json(), encoding="utf-8")
            plot_funnel(funnel, picture)
            for path in (document, picture):
                run.log_file(path, "corpus")

    def _close_parent(self) -> None:
        if self._parent is not None:
            self._parent.log_metrics({f"seconds.{each.name}": each.seconds for each in self._reports})

    def _publish(self, name: str, stage: Stage, tags: Mapping[str, str]) -> Published:
        publisher = Publisher(tracker=self.tracker, model_store=self.plan.model_store, champion=self.plan.champion)
        lineage = {"corpus": self.corpus.content_hash, "preset": self.settings.preset, **tags}
        return publisher.publish(name, stage, tags=lineage, watch=self.watch)

    def _export(self, stage: Stage, bundle: Bundle, model: Cvae, run: Run, metrics: Mapping[str, float]) -> None:
        samples = unselected_samples(bundle, seed=1)
        with atomic_path(stage.directory / "samples.txt") as partial:
            partial.write_text("\n".join(samples) + "\n", encoding="utf-8")
        encoder = (model, self.settings.cvae.mu_scale)
        save_bundle(bundle, stage.directory / BUNDLE, figures=metrics, samples=samples, encoder=encoder)
        run.log_file(stage.directory / "samples.txt")
        run.log_file(stage.directory / BUNDLE / MODEL_CARD)

    def _encoded(self, split: str, parts: Parts) -> EncodedSentences:
        """A split as ids; a training has one vocabulary, so each split is tokenised once."""
        if split not in self._encoded_splits:
            part = self.corpus.part(split)
            self._encoded_splits[split] = EncodedSentences(part.texts, part.genres, parts.vocabulary, parts.genres)
        return self._encoded_splits[split]

    def _rows(self, parts: Parts) -> Sequence[Row]:
        count = self.settings.lcgan.evaluation_samples
        return genre_rows(self._encoded("train", parts), count, seed=self.settings.seed + 1)

    def _lineage(self, run: Run) -> dict[str, str]:
        facts = {"corpus": self.corpus.content_hash, "preset": self.settings.preset, "run_id": run.run_id}
        return {key: value for key, value in facts.items() if value}

    def _budget(self, share: float) -> float | None:
        return None if self.plan.budget_s is None else self.plan.budget_s * share

    def _finish(self, stage: Stage, figures: Mapping[str, float], **facts: Any) -> None:
        stage.finish(figures={name: float(value) for name, value in figures.items()}, **facts)

    def _report(self, stage: Stage, started: float, *, reused: bool, figures: Mapping[str, float]) -> None:
        seconds = time.monotonic() - started
        self._reports.append(StageReport(name=stage.name, seconds=seconds, reused=reused, figures=figures))
