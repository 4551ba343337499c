"""Versions that learned from simulated curators, trained as `deephypebot train --verdicts` does, and kept on the disk.

Every version is kept when it is done, so a benchmark that was interrupted goes on where it was.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from benchmarks.training.curators import Curator, curators
from benchmarks.training.finished import drawn_genres, finished_stages
from handlers.commentary import Commentator
from handlers.contract import CommentaryRequest
from handlers.model.bundle import Bundle
from handlers.ranking.candidates import Candidate
from training.corpus import Corpus
from training.cvae.batches import EncodedSentences
from training.cvae.encoder_file import load_cvae
from training.cvae.model import Cvae
from training.errors import NotLearnedError
from training.files import read_json, write_json
from training.fingerprints import fingerprint
from training.lcgan.labels import genre_rows
from training.packaging.export import Parts
from training.packaging.value_checks import ValueCheckSettings, decoded_groups
from training.pipeline.acceptability import AcceptabilityStage
from training.pipeline.artifacts import BUNDLE, load_bundle
from training.pipeline.budget import Budget
from training.pipeline.lcgan import CHECK_GROUPS, LcganStage
from training.pipeline.stage_keys import TrainingStages
from training.pipeline.stages import Stage
from training.progress import silent
from training.settings import TrainSettings
from training.tracking.curves import RecordingRun
from training.tracking.port import NullTracker
from training.verdicts.features import TextFeatures
from training.verdicts.learning import LEARNING_VERSION, Learning
from training.verdicts.rows import Verdicts
from training.verdicts.value import ValueFunction, fit_value

_AT_ONCE: Final = 64
_FIRST_SEED: Final = 7_000_000
_REFUSED: Final = "refused"
_SAMPLE_ROWS: Final = 100


@dataclass(frozen=True, slots=True, kw_only=True)
class LearnedVersion:
    """Version that learned from the verdicts of one curator."""

    bundle: Bundle
    """Complete bundle of the version; that of the base where nothing was learned."""
    figures: dict[str, float]
    """Figures of its training."""
    refused: str = ""
    """Reason why nothing was learned; empty otherwise."""


@dataclass(slots=True, kw_only=True)
class LearnedVersions:
    """A finished training, whose lcgan is judged and learns."""

    corpus: Corpus
    settings: TrainSettings
    workspace: Path
    requests: int
    """Requests by which versions are compared."""
    weight: float
    """Weight of the verdicts in the generator's loss; 0 keeps the generator."""
    base: Bundle = field(init=False)
    served: list[str] = field(init=False)
    """Sentences that the base serves for the requests."""
    stages: TrainingStages = field(init=False)
    _model: Cvae = field(init=False)
    _encoded: EncodedSentences = field(init=False)
    _features: TextFeatures | None = field(init=False, default=None)
    _groups: list[list[Candidate]] = field(init=False, default_factory=list)

    def __post_init__(self) -> None:
        self.stages = finished_stages(self.corpus, self.settings, self.workspace)
        self.base = load_bundle(self.stages.acceptability_lcgan)
        self._model = load_cvae(self.stages.cvae.directory / BUNDLE, load_bundle(self.stages.cvae))
        train = self.corpus.part("train")
        self._encoded = EncodedSentences(train.texts, train.genres, self.base.vocabulary, self.base.genres)
        self.served = self._kept(self.base, Stage(name="base", key=self._key("base", 0, 0), root=self._root))

    def curators(self, seed: int) -> list[Curator]:
        """Return a curator of each kind of taste."""
        return curators(self.served, self._model, self.base.vocabulary.encode, seed=seed)

    def verdicts(self, curator: Curator, count: int, *, seed: int) -> Verdicts:
        """Let a curator judge samples of the base, as it serves them.

        Args:
            curator: curator.
            count: number of verdicts, five of a song.
            seed: seed of the songs, of the requests and of the curator's errors.
        """
        genres = drawn_genres(self.corpus, math.ceil(count / 5), seed=seed + 1)
        return curator.judge(Commentator(self.base), genres, seed=seed)

    def value(self, verdicts: Verdicts, *, seed: int) -> ValueFunction:
        """Fit a value function to verdicts.

        Raises:
            NotLearnedError: the verdicts do not show what is accepted.
        """
        if self._features is None:
            texts = self.corpus.part("train").texts
            self._features = TextFeatures.fit(self._model, self.base.vocabulary, self.base.topics, texts)
        return fit_value(self._features, verdicts, seed=seed)[0]

    def learned(self, curator: Curator, count: int, *, seed: int) -> LearnedVersion:
        """Return the version that learned from a curator's verdicts; it is trained if it is not on the disk."""
        key = self._key(curator.name, count, seed)
        learned, complete = (Stage(name=name, key=key, root=self._root) for name in ("learned", "complete"))
        if not complete.is_done:
            self._train(learned, complete, self.verdicts(curator, count, seed=seed), seed)
        result = complete.result() or {}
        if result.get(_REFUSED):
            return LearnedVersion(bundle=self.base, figures={}, refused=str(result[_REFUSED]))
        return LearnedVersion(bundle=load_bundle(complete), figures=dict(result["figures"]))

    def sentences(self, curator: Curator, count: int, *, seed: int) -> list[str]:
        """Return the sentences that a learned version serves for the requests; they are kept beside it."""
        version = self.learned(curator, count, seed=seed)
        if version.refused:
            return self.served
        return self._kept(
            version.bundle, Stage(name="complete", key=self._key(curator.name, count, seed), root=self._root)
        )

    def _kept(self, bundle: Bundle, stage: Stage) -> list[str]:
        """Return the sentences that a version serves for the requests; they are kept in the folder of its stage."""
        path = stage.directory / f"sentences-{self.requests}.json"
        if not path.is_file():
            write_json(path, {"texts": self.write(bundle)})
        return [str(text) for text in read_json(path)["texts"]]

    @property
    def _root(self) -> Path:
        return self.workspace / "learning"

    def write(self, bundle: Bundle) -> list[str]:
        """Return the sentences that a version serves for the requests by which versions are compared."""
        commentator = Commentator(bundle)
        requests = [
            CommentaryRequest(genres=tuple(labels), num_samples=1, seed=_FIRST_SEED + number)
            for number, labels in enumerate(drawn_genres(self.corpus, self.requests, seed=99))
        ]
        return [
            answer.samples[0].text
            for start in range(0, len(requests), _AT_ONCE)
            for answer in commentator.answer(requests[start : start + _AT_ONCE])
        ]

    def _key(self, name: str, count: int, seed: int) -> str:
        # The tastes are fitted to what the base serves for the requests.
        facts = (self.stages.acceptability_lcgan.key, LEARNING_VERSION, ValueCheckSettings(), self.requests)
        return fingerprint("learned", *facts, self.weight, name, count, seed)

    def _train(self, learned: Stage, complete: Stage, verdicts: Verdicts, seed: int) -> None:
        """Train as `deephypebot train --verdicts` does, and write the complete bundle."""
        train, settings = self.corpus.part("train"), self.settings
        genres = drawn_genres(self.corpus, settings.lcgan.evaluation_samples, seed=0)
        num_groups = CHECK_GROUPS * settings.acceptability.calibration_samples
        if not self._groups:
            # They are the same for every curator.
            self._groups = decoded_groups(self.base, genres, ValueCheckSettings(num_groups=num_groups))
        parts = Parts(vocabulary=self.base.vocabulary, genres=self.base.genres, topics=self.base.topics)
        stage = LcganStage(
            sentences=train.texts,
            encoded=self._encoded,
            sequences=genre_rows(self._encoded, _SAMPLE_ROWS, seed=seed),
            settings=settings.lcgan,
            mu_scale=settings.cvae.mu_scale,
            seed=settings.seed,
            lineage={},
            budget=Budget(seconds=None, estimate={}),
            device="cpu",
            watch=lambda _: silent,
            learning=Learning(verdicts=verdicts, weight=self.weight, seed=seed),
            base=self.stages.acceptability_lcgan,
            genres=genres,
            check_groups=num_groups,
            groups=self._groups,
        )
        scoring = AcceptabilityStage(
            corpus=self.corpus,
            encoded=self._encoded,
            settings=settings.acceptability,
            seed=settings.seed,
            device="cpu",
            watch=lambda _: silent,
        )
        with NullTracker().run("learned") as run:
            recorded = RecordingRun(run)
            try:
                figures, _ = stage.train(self.stages.cvae, learned, parts, self._model, recorded)
            except NotLearnedError as cause:
                complete.finish(figures={}, refused=str(cause))
                return
            learned.finish(figures=figures)
            scoring.train(learned, complete, recorded)
            complete.finish(figures=figures)
