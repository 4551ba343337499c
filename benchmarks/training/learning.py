"""Benchmark of learning from verdicts: simulated curators judge a version, and the version that learned from it."""

from __future__ import annotations

import math
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from statistics import fmean
from typing import Any, Final

from benchmarks.training.curators import Curator, curators
from benchmarks.training.finished import copied_share, drawn_genres, finished_stages, interval_95
from handlers.commentary import Commentator
from handlers.contract import CommentaryRequest
from handlers.model.bundle import Bundle
from training.corpus import Corpus
from training.cvae.batches import EncodedSentences
from training.cvae.encoder_file import load_cvae
from training.cvae.model import Cvae
from training.errors import NotLearnedError
from training.lcgan.labels import genre_rows
from training.measures import distinct
from training.packaging.export import Parts
from training.pipeline.artifacts import BUNDLE, load_bundle
from training.pipeline.budget import Budget
from training.pipeline.lcgan import LcganStage
from training.pipeline.stage_keys import TrainingStages
from training.pipeline.stages import Stage
from training.progress import silent
from training.settings import TrainSettings
from training.tracking.curves import RecordingRun
from training.tracking.port import NullTracker
from training.verdicts.learning import LEARNED_SHARE, Learning
from training.verdicts.settings import DEFAULT_WEIGHT

_AT_ONCE: Final = 64


@dataclass(frozen=True, slots=True, kw_only=True)
class Result:
    """Judgement of one curator on a version that learned from it, beside that on the base version."""

    curator: str
    verdicts: int
    seed: int
    refused: str = ""
    """Reason why nothing was learned; empty otherwise."""
    before: float = 0.0
    """Acceptance of the base version."""
    gain: float = 0.0
    """Acceptance of the new version less that of the base."""
    distinct_2: float = 1.0
    """Distinct-2 over the base's."""
    copied: float = 1.0
    """Share of copies over the base's."""
    learned_share: float = 0.0
    """Figure `LEARNED_SHARE` of the training; 0 if the base itself was the best within the limits."""
    auc: float = 0.5
    """Area under the curve of the value function, by cross-validation."""


@dataclass(slots=True, kw_only=True)
class Bench:
    """A finished training, whose lcgan is judged and learns."""

    corpus: Corpus
    settings: TrainSettings
    workspace: Path
    requests: int
    """Requests by which versions are compared."""
    tell: Callable[[str], None]
    """Gets a line about each result."""
    _stages: TrainingStages = field(init=False)
    _base: Bundle = field(init=False)
    _model: Cvae = field(init=False)
    _encoded: EncodedSentences = field(init=False)
    _served: list[str] = field(init=False)

    def __post_init__(self) -> None:
        self._stages = finished_stages(self.corpus, self.settings, self.workspace)
        self._base = load_bundle(self._stages.acceptability_lcgan)
        self._model = load_cvae(self._stages.cvae.directory / BUNDLE, load_bundle(self._stages.cvae))
        train = self.corpus.part("train")
        self._encoded = EncodedSentences(train.texts, train.genres, self._base.vocabulary, self._base.genres)
        self._served = self._write(self._base)

    def run(self, counts: Sequence[int], seeds: Sequence[int], names: Sequence[str] = ()) -> Iterator[Result]:
        """Learn from each curator, number of verdicts and seed."""
        for seed in seeds:
            for curator in self._curators(seed):
                if names and curator.name not in names:
                    continue
                for count in counts:
                    result = self._learn(curator, count, seed)
                    self.tell(_told(result))
                    yield result

    def _curators(self, seed: int) -> list[Curator]:
        return curators(self._served, self._model, self._base.vocabulary.encode, seed=seed)

    def _learn(self, curator: Curator, count: int, seed: int) -> Result:
        verdicts = curator.judge(
            Commentator(self._base), drawn_genres(self.corpus, math.ceil(count / 5), seed=seed + 1), seed=seed
        )
        learning = Learning(verdicts=verdicts, weight=DEFAULT_WEIGHT, seed=seed)
        try:
            figures, bundle = self._train(learning, seed)
        except NotLearnedError as cause:
            return Result(curator=curator.name, verdicts=count, seed=seed, refused=str(cause))
        texts = self._write(bundle) if figures[LEARNED_SHARE] else self._served
        before = curator.acceptance(self._served)
        return Result(
            curator=curator.name,
            verdicts=count,
            seed=seed,
            before=before,
            gain=curator.acceptance(texts) - before,
            distinct_2=distinct(texts, 2) / distinct(self._served, 2),
            copied=copied_share(self._base, texts) / max(copied_share(self._base, self._served), 1e-9),
            learned_share=figures[LEARNED_SHARE],
            auc=figures["value.auc"],
        )

    def _train(self, learning: Learning, seed: int) -> tuple[dict[str, float], Bundle]:
        """Train as `deephypebot train --verdicts` does; return the figures, and the base with the new generator."""
        train = self.corpus.part("train")
        parts = Parts(vocabulary=self._base.vocabulary, genres=self._base.genres, topics=self._base.topics)
        with tempfile.TemporaryDirectory(prefix="deephypebot-learning-") as folder, NullTracker().run("learned") as run:
            stage = Stage(name="learned", key="bench", root=Path(folder))
            training = LcganStage(
                sentences=train.texts,
                encoded=self._encoded,
                sequences=genre_rows(self._encoded, 100, seed=seed),
                settings=self.settings.lcgan,
                mu_scale=self.settings.cvae.mu_scale,
                seed=self.settings.seed,
                lineage={},
                budget=Budget(seconds=None, estimate={}),
                device="cpu",
                watch=lambda _: silent,
                learning=learning,
                base=self._stages.acceptability_lcgan,
                genres=drawn_genres(self.corpus, self.settings.lcgan.evaluation_samples, seed=0),
            )
            figures, _ = training.train(self._stages.cvae, stage, parts, self._model, RecordingRun(run))
            return figures, replace(self._base, generator=load_bundle(stage).generator)

    def _write(self, bundle: Bundle) -> list[str]:
        """Sentences that a version serves for the requests by which versions are compared."""
        commentator = Commentator(bundle)
        requests = [
            CommentaryRequest(genres=tuple(labels), num_samples=1, seed=7_000_000 + number)
            for number, labels in enumerate(drawn_genres(self.corpus, self.requests, seed=99))
        ]
        return [
            answer.samples[0].text
            for start in range(0, len(requests), _AT_ONCE)
            for answer in commentator.answer(requests[start : start + _AT_ONCE])
        ]


def summary(results: Sequence[Result]) -> dict[str, Any]:
    """Return the means over the seeds for each curator and number of verdicts, and the interval of 95% of the gain."""
    found: dict[str, Any] = {}
    for key in dict.fromkeys((each.curator, each.verdicts) for each in results):
        own = [each for each in results if (each.curator, each.verdicts) == key]
        learned = [each for each in own if not each.refused]
        # Where nothing is learned there is no new version, and nothing is gained.
        gains = [each.gain for each in own]
        gain, low, high = interval_95(gains)
        row: Mapping[str, float] = {
            "seeds": len(own),
            "refused": len(own) - len(learned),
            "gain": gain,
            "gain_low": low,
            "gain_high": high,
            "before": fmean(each.before for each in learned) if learned else math.nan,
            "distinct_2": fmean(each.distinct_2 for each in own),
            "copied": fmean(each.copied for each in own),
            "auc": fmean(each.auc for each in learned) if learned else math.nan,
            "unchanged": sum(not each.refused and not each.learned_share for each in own),
        }
        found[f"{key[0]}, {key[1]} verdicts"] = row
    return found


def _told(result: Result) -> str:
    name = f"{result.curator}, {result.verdicts} verdicts, seed {result.seed}"
    if result.refused:
        return f"{name}: refused, {result.refused}"
    return (
        f"{name}: acceptance {result.before:.3f} {result.gain:+.3f}, distinct-2 x {result.distinct_2:.3f}, "
        f"copies x {result.copied:.3f}, learned share {result.learned_share:g}, area {result.auc:.2f}"
    )
