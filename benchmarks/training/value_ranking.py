"""Benchmark of ranking by value: the best of 16 candidates by score, by value and by both, as curators judge them.

A simulated curator with a hidden taste judges a version's samples. The value function that is fitted to the verdicts
then ranks the candidates of other songs. All ways choose from the same candidates, as a worker chooses; those with a
short list abandon the rest early.

Shapes: V tokens of the vocabulary.
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
from handlers.decoding.rivals import Rivals
from handlers.model.acceptability import Abandonment
from handlers.model.bundle import Bundle
from handlers.ranking.candidates import Candidate
from handlers.ranking.value_rule import Valued, best_by_value
from handlers.ranking.values import Values
from training.corpus import Corpus
from training.cvae.encoder_file import load_cvae
from training.cvae.model import Cvae
from training.errors import NotLearnedError
from training.measures import distinct
from training.packaging.calibration import CalibrationSettings, candidates
from training.packaging.value_checks import ValueCheckSettings, fit_ranking
from training.pipeline.artifacts import BUNDLE, load_bundle
from training.pipeline.lcgan import CHECK_GROUPS
from training.settings import TrainSettings
from training.verdicts.features import TextFeatures
from training.verdicts.value import fit_value

SHORT_LISTS: Final = (8, 4, 3, 2)
"""Lengths of the list that is ranked by both, of 16 candidates."""


def _listed(length: int) -> str:
    return f"{RankBy.BOTH}, list of {length}"


WAYS: Final = (str(RankBy.VALUE), str(RankBy.BOTH), *map(_listed, SHORT_LISTS))
"""Ways that are compared with the score: by value or by both of all candidates, and by both of a short list."""
_CHECKS: Final[Mapping[str, ValueCheckSettings]] = {
    _listed(8): ValueCheckSettings(keep=(0.5, 0.5, 0.5)),
    _listed(4): ValueCheckSettings(keep=(0.5, 0.25, 0.25)),
    _listed(3): ValueCheckSettings(),
    _listed(2): ValueCheckSettings(keep=(0.5, 0.25, 0.125)),
}
_SAMPLES: Final = 3
_AT_ONCE: Final = 20
_FIRST_SEED: Final = 7_000_000
LOADS: Final = ((1, 1), (1, 5), (16, 5))
"""Requests in a batch, and samples of each, whose cost is measured."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Figures:
    """Figures of the sentences that a way chooses."""

    acceptance: float
    distinct_2: float
    copied: float
    """Share of sentences with a long run of words of the training text."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Result:
    """Sentences that each way chooses, as one curator judges them."""

    curator: str
    verdicts: int
    seed: int
    score: Figures
    """Figures by the score."""
    by_way: Mapping[str, Figures] = field(default_factory=dict)
    """Figures by the other ways; empty where nothing was learned from the verdicts."""
    auc: float = 0.5
    """Area under the curve of the value function, by cross-validation."""


@dataclass(slots=True, kw_only=True)
class ValueRanking:
    """A finished training, among whose lcgan's candidates the ways choose."""

    corpus: Corpus
    settings: TrainSettings
    workspace: Path
    songs: int
    """Songs on which ways are compared, with three samples each."""
    tell: Callable[[str], None]
    """Gets a line about each result."""
    base: Bundle = field(init=False)
    requests: list[CommentaryRequest] = field(init=False)
    """Requests of the songs, by the score."""
    served: list[str] = field(init=False)
    """Sentences that are served by the score."""
    _model: Cvae = field(init=False)
    _features: TextFeatures = field(init=False)
    _candidates: list[list[list[Candidate]]] = field(init=False)
    """Candidates of each sample of each song."""
    _groups: list[list[Candidate]] = field(init=False)
    """Candidates of other samples, on which checks are fitted."""

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
        groups = CHECK_GROUPS * self.settings.acceptability.calibration_samples
        genres = drawn_genres(self.corpus, groups, seed=98)
        self._groups = candidates(self.base, genres, CalibrationSettings(num_groups=groups, seed=1))

    def run(self, counts: Sequence[int], seeds: Sequence[int], names: Sequence[str] = ()) -> Iterator[Result]:
        """Rank in each way by what each curator, number of verdicts and seed teaches.

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

    def with_checks(self, valued: Bundle, way: str) -> Bundle:
        """Return a bundle whose value function has the checks of a short list, and which ranks by both."""
        value = fit_ranking(valued, self._groups, _CHECKS[way])
        return replace(valued, value=value, config=replace(valued.config, rank_by=RankBy.BOTH))

    def chosen(self, valued: Bundle) -> dict[str, list[str]]:
        """Return the sentences that each way chooses by the value function of a bundle.

        Raises:
            ValueError: the bundle has none.
        """
        if valued.value is None or valued.acceptability is None:
            raise ValueError("the bundle has no value function, or no acceptability")
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
        left = {str(rule): songs for rule in (RankBy.VALUE, RankBy.BOTH)}
        for way in _CHECKS:
            value = self.with_checks(valued, way).value
            rule = None if value is None else value.abandonment(valued.acceptability.unigrams_V)
            if value is None or value.common is None or rule is None:
                raise ValueError("the value function has no checks")
            losses = value.common.losses([each.text for each in found])
            left[way] = [
                [
                    [
                        replace(each, common=losses[each.index])
                        for each, stays in zip(sample, of_sample, strict=True)
                        if stays
                    ]
                    for sample, of_sample in zip(song, of_song, strict=True)
                ]
                for song, of_song in zip(songs, _staying(self._candidates, rule), strict=True)
            ]
        return {
            way: [
                found[at].text
                for song in of_way
                for at in best_by_value(song, RankBy.VALUE if way == RankBy.VALUE else RankBy.BOTH)
            ]
            for way, of_way in left.items()
        }

    def ways(self, valued: Bundle) -> dict[str, tuple[Bundle, RankBy]]:
        """Return the model and the rule of each way, the score's included."""
        found = {str(rule): (valued, rule) for rule in RankBy}
        return found | {way: (self.with_checks(valued, way), RankBy.BOTH) for way in _CHECKS}

    def _curator(self, name: str, seed: int) -> Curator:
        made = curators(self.served, self._model, self.base.vocabulary.encode, seed=seed)
        return next(each for each in made if each.name == name)

    def _compare(self, curator: Curator, count: int, seed: int) -> Result:
        score = self._figures(curator, self.served)
        try:
            valued, auc = self._fit(curator, count, seed)
        except NotLearnedError:
            return Result(curator=curator.name, verdicts=count, seed=seed, score=score)
        by_way = {way: self._figures(curator, texts) for way, texts in self.chosen(valued).items()}
        return Result(curator=curator.name, verdicts=count, seed=seed, score=score, by_way=by_way, auc=auc)

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
    """Return the means over the seeds for each curator, number of verdicts and way, with 95% intervals of the gain.

    The rows of all tastes have the mean over the curators' means. Where nothing is learned there is no other way to
    use: the gain is 0.
    """
    found: dict[str, Any] = {}
    for verdicts in dict.fromkeys(each.verdicts for each in results):
        of_count = [each for each in results if each.verdicts == verdicts]
        names = list(dict.fromkeys(each.curator for each in of_count))
        for way in WAYS:
            rows = {name: _row([each for each in of_count if each.curator == name], way) for name in names}
            found |= {f"{name}, {verdicts} verdicts, {way}": row for name, row in rows.items()}
            gain, low, high = interval_95([row["gain"] for row in rows.values()])
            every = _row(of_count, way) | {"gain": gain, "gain_low": low, "gain_high": high}
            found[f"all tastes, {verdicts} verdicts, {way}"] = every
    return found


def _row(own: Sequence[Result], way: str) -> dict[str, float]:
    pairs = [(each.score, each.by_way.get(way, each.score)) for each in own]
    gain, low, high = interval_95([after.acceptance - before.acceptance for before, after in pairs])
    return {
        "runs": len(own),
        "refused": sum(not each.by_way for each in own),
        "before": fmean(before.acceptance for before, _ in pairs),
        "gain": gain,
        "gain_low": low,
        "gain_high": high,
        "distinct_2": fmean(after.distinct_2 / before.distinct_2 for before, after in pairs),
        "copied_before": fmean(before.copied for before, _ in pairs),
        "copied": fmean(after.copied for _, after in pairs),
    }


def cost(
    plain: Bundle, ways: Mapping[str, tuple[Bundle, RankBy]], *, rounds: int, loads: Sequence[tuple[int, int]] = LOADS
) -> dict[str, dict[str, float]]:
    """Measure the processor time of a sample by each way, in turns.

    Args:
        plain: model without a value function.
        ways: for each way, the same model with one, and the rule that requests name.
        rounds: batches of each size and way.
        loads: requests in a batch, and samples of each.

    Returns:
        For each load, the median of the model without a value function in ms, and the median ratio to it of each way.
    """
    models = {"plain": (Commentator(plain), RankBy.ACCEPTABILITY)}
    models |= {way: (Commentator(bundle), rule) for way, (bundle, rule) in ways.items()}
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        found = {}
        for size, num_samples in loads:
            times: dict[str, list[float]] = {way: [] for way in models}
            for number in range(-1, rounds):
                for way, (model, rule) in models.items():
                    seconds = _seconds(model, _requests(plain, size, num_samples, number, rule))
                    if number >= 0:  # the first round packs the weights
                        times[way].append(1000 * seconds / (size * num_samples))
            first = times["plain"]
            ratios = {
                f"{way}_ratio": statistics.median([own / other for own, other in zip(each, first, strict=True)])
                for way, each in times.items()
                if way != "plain"
            }
            found[f"{size} requests of {num_samples}"] = {"plain_ms": statistics.median(first), **ratios}
        return found
    finally:
        torch.set_num_threads(threads)


def _staying(songs: Sequence[Sequence[Sequence[Candidate]]], rule: Abandonment) -> list[list[list[bool]]]:
    """Return whether each candidate of each sample of each song is left by a rule."""
    return [
        [
            [
                not each.abandoned
                for each in Rivals(rule=rule, groups=(tuple(range(len(sample))),)).settle(
                    [candidate.decoded for candidate in sample]
                )
            ]
            for sample in song
        ]
        for song in songs
    ]


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
    before = result.score
    if not result.by_way:
        return f"{name}: refused, nothing is learned"
    ways = (
        f"{way} {after.acceptance - before.acceptance:+.3f} (distinct-2 x {after.distinct_2 / before.distinct_2:.2f}, "
        f"copied {after.copied:.3f})"
        for way, after in result.by_way.items()
    )
    return f"{name}: acceptance {before.acceptance:.3f}, copied {before.copied:.3f}; {'; '.join(ways)}"
