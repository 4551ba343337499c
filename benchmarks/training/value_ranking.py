"""Benchmark of ranking by value: the best of 16 candidates by score, by value and by both, as curators judge them.

A simulated curator with a hidden taste judges a version's samples. The value function that is fitted to the verdicts
then ranks the candidates of other songs. All rules choose from the same candidates, as a worker chooses.
"""

from __future__ import annotations

import math
import statistics
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from statistics import fmean
from typing import Any, Final

import torch

from benchmarks.training.curators import CURATORS, Curator, curators
from benchmarks.training.finished import copied_share, drawn_genres, finished_stages, interval_95
from handlers.commentary import Commentator
from handlers.contract import CommentaryRequest, RankBy
from handlers.model.bundle import Bundle
from handlers.ranking.candidates import Candidate
from handlers.ranking.value_rule import Valued, best_by_value
from handlers.ranking.values import Values
from training.corpus import Corpus
from training.cvae.encoder_file import load_cvae
from training.cvae.model import Cvae
from training.errors import NotLearnedError
from training.measures import distinct
from training.pipeline.artifacts import BUNDLE, load_bundle
from training.settings import TrainSettings
from training.verdicts.features import TextFeatures
from training.verdicts.value import fit_value

RULES: Final = (RankBy.VALUE, RankBy.BOTH)
"""Rules that are compared with the default."""
_SAMPLES: Final = 3
_AT_ONCE: Final = 20
_FIRST_SEED: Final = 7_000_000
LOADS: Final = ((1, 1), (1, 5), (16, 5))
"""Requests in a batch, and samples of each, whose cost is measured."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Figures:
    """Figures of the sentences that a rule chooses."""

    acceptance: float
    distinct_2: float
    copied: float
    """Share of sentences with a long run of words of the training text."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Result:
    """Sentences that each rule chooses, as one curator judges them."""

    curator: str
    verdicts: int
    seed: int
    default: Figures
    """Figures by the default rule."""
    by_rule: Mapping[RankBy, Figures] = field(default_factory=dict)
    """Figures by the other rules; empty where nothing was learned from the verdicts."""
    auc: float = 0.5
    """Area under the curve of the value function, by cross-validation."""


@dataclass(slots=True, kw_only=True)
class ValueRanking:
    """A finished training, among whose lcgan's candidates the rules choose."""

    corpus: Corpus
    settings: TrainSettings
    workspace: Path
    songs: int
    """Songs on which rules are compared, with three samples each."""
    tell: Callable[[str], None]
    """Gets a line about each result."""
    base: Bundle = field(init=False)
    requests: list[CommentaryRequest] = field(init=False)
    """Requests of the songs, by the default rule."""
    served: list[str] = field(init=False)
    """Sentences that are served by the default rule."""
    _model: Cvae = field(init=False)
    _features: TextFeatures = field(init=False)
    _candidates: list[list[list[Candidate]]] = field(init=False)
    """Candidates of each sample of each song."""

    def __post_init__(self) -> None:
        stages = finished_stages(self.corpus, self.settings, self.workspace)
        self.base = load_bundle(stages.acceptability_lcgan)
        self._model = load_cvae(stages.cvae.directory / BUNDLE, load_bundle(stages.cvae))
        texts = self.corpus.part("train").texts
        self._features = TextFeatures.fit(self._model, self.base.vocabulary, self.base.topics, texts)
        commentator = Commentator(self.base)
        self.requests = [
            CommentaryRequest(genres=tuple(labels), num_samples=_SAMPLES, seed=_FIRST_SEED + number)
            for number, labels in enumerate(drawn_genres(self.corpus, self.songs, seed=99))
        ]
        chunks = [self.requests[start : start + _AT_ONCE] for start in range(0, len(self.requests), _AT_ONCE)]
        answers = [answer for chunk in chunks for answer in commentator.answer(chunk)]
        self.served = [sample.text for answer in answers for sample in answer.samples]
        self._candidates = [song for chunk in chunks for song in commentator.candidates(chunk)]

    def run(self, counts: Sequence[int], seeds: Sequence[int], names: Sequence[str] = ()) -> Iterator[Result]:
        """Rank by what each curator, number of verdicts and seed teaches.

        Args:
            counts: numbers of verdicts.
            seeds: seeds of tastes and verdicts.
            names: curators; all if it is empty.
        """
        for seed in seeds:
            for name in names or CURATORS:
                for count in counts:
                    result = self._compare(self._curator(name, seed), count, seed)
                    self.tell(_told(result))
                    yield result

    def valued(self, name: str, count: int, *, seed: int) -> Bundle:
        """Return the base with the value function of a curator's verdicts.

        Raises:
            NotLearnedError: the verdicts do not show what is accepted.
        """
        return self._fit(self._curator(name, seed), count, seed)[0]

    def chosen(self, valued: Bundle) -> dict[RankBy, list[str]]:
        """Return the sentences that each rule chooses by the value function of a bundle.

        Raises:
            ValueError: the bundle has none.
        """
        if valued.value is None:
            raise ValueError("the bundle has no value function")
        found = [each for song in self._candidates for sample in song for each in sample]
        values = Values(valued.value, valued.decoder.token_embedding.weight, valued.vocabulary)
        log_odds = values.log_odds([each.text for each in found], [each.shares for each in found])
        made = iter(
            Valued(
                index=number,
                finished=each.decoded.finished,
                text=each.text,
                log_odds=log_odds[number],
                copies=int(each.features.copies),
                score=each.score,
            )
            for number, each in enumerate(found)
        )
        songs = [[[next(made) for _ in sample] for sample in song] for song in self._candidates]
        return {rule: [found[at].text for song in songs for at in best_by_value(song, rule)] for rule in RULES}

    def _curator(self, name: str, seed: int) -> Curator:
        made = curators(self.served, self._model, self.base.vocabulary.encode, seed=seed)
        return next(each for each in made if each.name == name)

    def _compare(self, curator: Curator, count: int, seed: int) -> Result:
        default = self._figures(curator, self.served)
        try:
            valued, auc = self._fit(curator, count, seed)
        except NotLearnedError:
            return Result(curator=curator.name, verdicts=count, seed=seed, default=default)
        by_rule = {rule: self._figures(curator, texts) for rule, texts in self.chosen(valued).items()}
        return Result(curator=curator.name, verdicts=count, seed=seed, default=default, by_rule=by_rule, auc=auc)

    def _fit(self, curator: Curator, count: int, seed: int) -> tuple[Bundle, float]:
        """Return the base with the value function of a curator's verdicts on songs of their own, and its area."""
        genres = drawn_genres(self.corpus, math.ceil(count / 5), seed=seed + 1)
        verdicts = curator.judge(Commentator(self.base), genres, seed=seed)
        value, scores = fit_value(self._features, verdicts, seed=seed)
        return replace(self.base, value=value.served()), scores.auc

    def _figures(self, curator: Curator, texts: Sequence[str]) -> Figures:
        return Figures(
            acceptance=curator.acceptance(texts),
            distinct_2=distinct(texts, 2),
            copied=copied_share(self.base, texts),
        )


def summary(results: Sequence[Result]) -> dict[str, Any]:
    """Return the means over the seeds for each curator, number of verdicts and rule, with 95% intervals of the gain.

    Where nothing is learned there is no other rule to use: the gain is 0.
    """
    found: dict[str, Any] = {}
    for curator, verdicts in dict.fromkeys((each.curator, each.verdicts) for each in results):
        own = [each for each in results if (each.curator, each.verdicts) == (curator, verdicts)]
        for rule in RULES:
            pairs = [(each.default, each.by_rule.get(rule, each.default)) for each in own]
            gains = [after.acceptance - before.acceptance for before, after in pairs]
            gain, low, high = interval_95(gains)
            found[f"{curator}, {verdicts} verdicts, {rule}"] = {
                "seeds": len(own),
                "refused": sum(not each.by_rule for each in own),
                "before": fmean(before.acceptance for before, _ in pairs),
                "gain": gain,
                "gain_low": low,
                "gain_high": high,
                "distinct_2": fmean(after.distinct_2 / before.distinct_2 for before, after in pairs),
                "copied_before": fmean(before.copied for before, _ in pairs),
                "copied": fmean(after.copied for _, after in pairs),
            }
    return found


def cost(
    plain: Bundle, valued: Bundle, *, rounds: int, loads: Sequence[tuple[int, int]] = LOADS
) -> dict[str, dict[str, float]]:
    """Measure the processor time of a sample by each rule, in turns.

    Args:
        plain: model without a value function.
        valued: the same model with one.
        rounds: batches of each size and rule.
        loads: requests in a batch, and samples of each.

    Returns:
        For each load, the median of the model without a value function in ms, and the median ratio to it of each rule
        of the model with one.
    """
    models = {"plain": Commentator(plain), "valued": Commentator(valued)}
    ways = [("plain", RankBy.ACCEPTABILITY), *(("valued", rule) for rule in (RankBy.ACCEPTABILITY, *RULES))]
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        found = {}
        for size, num_samples in loads:
            times: dict[tuple[str, RankBy], list[float]] = {way: [] for way in ways}
            for number in range(-1, rounds):
                for model, rule in ways:
                    seconds = _seconds(models[model], _requests(plain, size, num_samples, number, rule))
                    if number >= 0:  # the first round packs the weights
                        times[model, rule].append(1000 * seconds / (size * num_samples))
            first = times["plain", RankBy.ACCEPTABILITY]
            ratios = {
                f"{rule}_ratio": statistics.median([own / other for own, other in zip(each, first, strict=True)])
                for (model, rule), each in times.items()
                if model == "valued"
            }
            found[f"{size} requests of {num_samples}"] = {"plain_ms": statistics.median(first), **ratios}
        return found
    finally:
        torch.set_num_threads(threads)


def _requests(bundle: Bundle, size: int, num_samples: int, number: int, rule: RankBy) -> list[CommentaryRequest]:
    labels = bundle.genres.labels
    return [
        CommentaryRequest(
            genres=(labels[(7 * number + place) % len(labels)],),
            num_samples=num_samples,
            seed=1000 * (number + 1) + place,
            rank_by=rule,
        )
        for place in range(size)
    ]


def _seconds(model: Commentator, requests: Sequence[CommentaryRequest]) -> float:
    start = time.process_time()
    model.answer(requests)
    return time.process_time() - start


def _told(result: Result) -> str:
    name = f"{result.curator}, {result.verdicts} verdicts, seed {result.seed}"
    before = result.default
    if not result.by_rule:
        return f"{name}: refused, nothing is learned"
    rules = (
        f"{rule} {after.acceptance - before.acceptance:+.3f} (distinct-2 x {after.distinct_2 / before.distinct_2:.2f}, "
        f"copied {after.copied:.3f})"
        for rule, after in result.by_rule.items()
    )
    return f"{name}: acceptance {before.acceptance:.3f}, copied {before.copied:.3f}; {'; '.join(rules)}"
