"""Stage of the LC-GAN: labels, topic predictor, and the generator that moves the latent vectors of a CVAE."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Final

from handlers.contract import RankBy
from handlers.decoding.engine import SequenceSpec
from handlers.model.bundle import Bundle, bundle_sha256
from handlers.model.generator import Generator
from handlers.ranking.candidates import Candidate
from training.cvae.batches import EncodedSentences
from training.cvae.model import Cvae
from training.lcgan.acceptance import Reward, train_acceptance
from training.lcgan.labels import Labeller, known_words
from training.lcgan.predictor import PREDICTOR_FILE, save_predictor, train_predictor
from training.lcgan.training import train_generator
from training.measures import SampleFigures, measure_samples
from training.packaging.export import Parts, make_bundle
from training.packaging.value_checks import VARIETIES, ValueCheckSettings, decoded_groups, fit_ranking
from training.pipeline.artifacts import BUNDLE, export_bundle, load_bundle
from training.pipeline.budget import Budget, labels_within
from training.pipeline.stages import Stage
from training.plots import plot_topic_shares
from training.progress import Progress
from training.settings import LcganSettings
from training.tracking.curves import RecordingRun
from training.tracking.port import Run
from training.verdicts.learning import Learned, Learning, ServedWriter, limited, reward_values
from training.verdicts.value import ValueFunction

CHECK_GROUPS: Final = 4
"""Samples whose candidates are decoded for the checks of a value function, for each of those of the score's checks: the
weights of tokens need more."""
DECODED_PER_S: Final = "decoded_per_s"
"""Fact of the CVAE's stage: sentences that it decodes in a second."""


@dataclass(frozen=True, slots=True, kw_only=True)
class LcganStage:
    """Training of a generator for one CVAE."""

    sentences: Sequence[str]
    """Texts of the training split."""
    encoded: EncodedSentences
    """The same sentences as token ids."""
    sequences: Sequence[SequenceSpec]
    """Sequences to decode for the figures."""
    settings: LcganSettings
    mu_scale: float
    """The CVAE's setting of that name."""
    seed: int
    lineage: Mapping[str, str]
    budget: Budget
    device: str
    watch: Callable[[str], Progress]
    """Makes the progress callback of a named piece of work."""
    learning: Learning | None = None
    """Verdicts to learn from, if there are any."""
    base: Stage | None = None
    """Finished stage with the complete bundle whose generator learns from the verdicts."""
    genres: Sequence[Sequence[str]] = ()
    """Genres of the requests on which the learned version is compared with the base."""
    check_groups: int = 0
    """Number of samples whose candidates are decoded to fit the checks of a value function."""
    groups: Sequence[Sequence[Candidate]] = ()
    """These candidates of the base, if they are decoded already."""

    def train(
        self, cvae: Stage, stage: Stage, parts: Parts, model: Cvae, run: RecordingRun
    ) -> tuple[dict[str, float], tuple[float, ...]]:
        """Train, write the bundle into the stage's folder, and return the figures and the samples' topic shares.

        Args:
            cvae: finished stage of the CVAE.
            stage: this stage.
            parts: vocabulary, genres and topics of the bundle.
            model: the CVAE.
            run: gets metrics, curves and files.
        """
        value, learned = self._value(parts, model, run)
        if value is not None and self.learning is not None and not self.learning.weight:
            return self._keep_generator(value, learned, stage, model, run)
        settings = self.settings if self.learning is None else self.learning.settings(self.settings)
        labeller = self._labeller(cvae, model, value)
        data = labeller.label(self._num_labels(cvae, run), seed=self.seed, progress=self.watch("labels"))
        predictor, scores = train_predictor(data, self.settings, seed=self.seed, run=run)
        reward = start = None
        if self.learning is not None and self.base is not None:
            acceptance, explained = train_acceptance(data, self.settings, seed=self.seed, run=run)
            learned["acceptance.explained"] = explained
            reward = Reward(predictor=acceptance, weight=self.learning.weight)
            start = load_bundle(self.base).generator
        trained = train_generator(
            data,
            predictor,
            settings,
            desired=parts.topics.desired,
            seed=self.seed,
            run=run,
            progress=self.watch("lcgan"),
            decoder=labeller,
            budget_s=self.budget.for_lcgan(),
            reward=reward,
            start=start,
        )
        generator, ranked = trained.generator, None
        if start is not None and value is not None and self.base is not None:
            ranked, result = self._limited(load_bundle(self.base), value, trained.generator.cpu())
            generator = result.generator
            learned |= result.figures
        if trained.stopped:
            run.set_tags({"stopped": trained.stopped})
        unshifted = load_bundle(cvae)
        shifted = make_bundle(
            "lcgan",
            model,
            parts,
            generator=generator.cpu(),
            lineage={**self.lineage, "cvae_bundle_sha256": bundle_sha256(cvae.directory / BUNDLE)},
            copies=unshifted.copies,
            lexicon=unshifted.lexicon,
            latent=unshifted.latent,
        )
        if ranked is not None:
            config = replace(shifted.config, rank_by=ranked.config.rank_by)
            shifted = replace(shifted, value=ranked.value, config=config)
        before, after = measure_samples(unshifted, self.sequences), measure_samples(shifted, self.sequences)
        self._plot({"cvae": before, "lcgan": after}, parts, stage, run)
        metrics = {
            "predictor.explained": scores.explained,
            "predictor.rarity_explained": scores.rarity_explained,
            **before.metrics("prior"),
            **after.metrics("moved"),
            **learned,
        }
        export_bundle(shifted, stage, run, metrics, encoder=(model, self.mu_scale))
        # For comparisons with other ways of steering; archives leave it out.
        save_predictor(predictor, stage.directory / BUNDLE / PREDICTOR_FILE)
        if value is not None:
            value.save(stage.directory / BUNDLE)
        return metrics, after.topic_shares

    def _keep_generator(
        self, value: ValueFunction, figures: dict[str, float], stage: Stage, model: Cvae, run: RecordingRun
    ) -> tuple[dict[str, float], tuple[float, ...]]:
        """Write the bundle of the base's generator with the value function; see `train`."""
        if self.base is None:
            raise ValueError("the generator that is kept is that of the base, and there is none")
        # What ranks by acceptability is made again by the stage that completes the bundle.
        ranked, result = self._limited(load_bundle(self.base), value, None)
        kept = replace(ranked, phrases=None, discriminator=None, acceptability=None, reference=None)
        figures |= result.figures
        after = measure_samples(kept, self.sequences)
        metrics = {**after.metrics("moved"), **figures}
        export_bundle(kept, stage, run, metrics, encoder=(model, self.mu_scale))
        value.save(stage.directory / BUNDLE)
        shutil.copyfile(self.base.directory / BUNDLE / PREDICTOR_FILE, stage.directory / BUNDLE / PREDICTOR_FILE)
        return metrics, after.topic_shares

    def _limited(self, base: Bundle, value: ValueFunction, generator: Generator | None) -> tuple[Bundle, Learned]:
        """Return the complete bundle that ranks by the value function as the limits allow, and what was learned."""
        start = base.generator
        if start is None:
            raise ValueError(f"{base.config.model} has no generator, from which another could continue")
        both = replace(base, value=value.served(), config=replace(base.config, rank_by=RankBy.BOTH))
        settings = ValueCheckSettings(num_groups=self.check_groups)
        groups = self.groups or decoded_groups(base, self.genres, settings, progress=self.watch("checks of the value"))
        writer = ServedWriter(value, self.genres, seed=self.seed + 1)
        before = writer.write(base)
        for variety in VARIETIES:
            ranked = replace(both, value=fit_ranking(both, groups, settings, variety=variety))
            result = limited(start, generator, before, lambda each: writer.write(replace(ranked, generator=each)))  # noqa: B023 - called at once
            if result.rank_by is RankBy.BOTH:
                break
        return replace(ranked, config=replace(base.config, rank_by=result.rank_by)), result

    def _value(self, parts: Parts, model: Cvae, run: Run) -> tuple[ValueFunction | None, dict[str, float]]:
        """Fit the value function, if there are verdicts; return it with its figures."""
        if self.learning is None:
            return None, {}
        return self.learning.fit(model, parts.vocabulary, parts.topics, self.sentences, run)

    def _labeller(self, cvae: Stage, model: Cvae, value: ValueFunction | None) -> Labeller:
        bundle = load_bundle(cvae)
        return Labeller(
            model.to(self.device),
            bundle,
            self.encoded,
            known=known_words(self.sentences),
            group=self.settings.round_samples,
            device=self.device,
            value=None if value is None else reward_values(value, bundle.copies),
        )

    def _num_labels(self, cvae: Stage, run: Run) -> int:
        """Number of labelled samples: as many as the settings say, or as fit into the budget."""
        wanted = self.settings.num_samples
        per_second = (cvae.result() or {}).get(DECODED_PER_S)
        count = wanted if per_second is None else labels_within(wanted, self.budget.for_labels(), per_second)
        if count < wanted:
            run.set_tags({"labels": f"{count} of {wanted}, by the budget"})
        return count

    @staticmethod
    def _plot(figures: Mapping[str, SampleFigures], parts: Parts, stage: Stage, run: RecordingRun) -> None:
        plot = stage.directory / "topic_shares.png"
        shares = {name: each.topic_shares for name, each in figures.items()}
        plot_topic_shares(shares, parts.topics.names, parts.topics.desired, plot)
        run.log_file(plot, "plots")
