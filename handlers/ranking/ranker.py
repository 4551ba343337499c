"""Ranking of the candidates of a batch, by the rule of its bundle.

Shapes: B sequences, Z latent vector, V tokens, E embedding.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property

from torch import Tensor

from handlers.contract import RankBy
from handlers.decoding.engine import Engine
from handlers.decoding.rivals import Rivals, settled
from handlers.decoding.sequences import DecodedSequence, SequenceSpec
from handlers.model.acceptability import Abandonment, Acceptability, Features
from handlers.ranking.candidates import Candidate
from handlers.ranking.choice import Scored, choose
from handlers.ranking.features import features_of
from handlers.ranking.topic_rule import best_candidates
from handlers.ranking.value_rule import Valued, best_by_value
from handlers.ranking.values import Values, probability


@dataclass(frozen=True, slots=True, kw_only=True)
class Batch:
    """Decoded candidates of some requests."""

    specs: list[SequenceSpec]
    decoded: list[DecodedSequence]
    z_BZ: Tensor | None
    """Latent vectors; None without candidates."""
    texts: list[str]
    """Texts with placeholders; empty where a candidate was abandoned."""
    shares: list[list[float]]
    """Share of each topic in each text; empty where a candidate was abandoned."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Part:
    """Candidates of one request in a batch: those of its first sample, then of the next."""

    first: int
    """Place of the first candidate."""
    num_samples: int
    best_of: int
    topic: int
    """Number of the wanted topic."""
    rank_by: RankBy = RankBy.ACCEPTABILITY
    """Rule by which the best candidate of a sample is chosen."""
    tells_values: bool = False
    """Whether the answer tells the value of each sample."""
    earlier: range = range(0)
    """Places of earlier samples, where the candidates are those of a part of a request."""

    @property
    def places(self) -> range:
        """Places of the request's candidates."""
        return range(self.first, self.first + self.num_samples * self.best_of)

    @property
    def samples(self) -> list[range]:
        """Places of each sample's candidates."""
        return [self.places[start : start + self.best_of] for start in range(0, len(self.places), self.best_of)]


@dataclass(frozen=True, slots=True, kw_only=True)
class Choice:
    """Chosen candidates of a batch."""

    places: list[list[int]]
    """Place of the best candidate of each sample of each request."""
    values: Mapping[int, float] = field(default_factory=dict)
    """Value of the candidates whose part ranks by it, by place; of one without rivals if the part tells it."""


class Ranker:
    """Ranker of the candidates of one model.

    Args:
        engine: engine that decoded them.
    """

    def __init__(self, engine: Engine) -> None:
        self._engine, self._bundle = engine, engine.bundle

    def choose(self, parts: Sequence[Part], batch: Batch) -> Choice:
        """Choose the best candidate of each sample of each request."""
        acceptability = self._bundle.acceptability
        valued = [part for part in parts if part.rank_by.needs_values]
        plain = [part for part in parts if not part.rank_by.needs_values] if valued else parts
        by_rule = self._by_topic(plain, batch) if acceptability is None else self._by_score(plain, batch, acceptability)
        if not valued:
            return Choice(places=by_rule)
        by_value, values = self._by_value(valued, batch)
        rule, value = iter(by_rule), iter(by_value)
        return Choice(
            places=[next(value if part.rank_by.needs_values else rule) for part in parts],
            values=values,
        )

    def rivals(self, parts: Sequence[Part]) -> tuple[Rivals, ...]:
        """Return the samples whose hopeless candidates a decode may abandon, those of each rule together.

        A rule forecasts what candidates are ranked by. For the value alone there is none.
        """
        found = []
        for rank_by, rule in self._abandonments.items():
            ranked = [part for part in parts if part.best_of > 1 and part.rank_by is rank_by]
            groups = tuple(tuple(places) for part in ranked for places in part.samples)
            if groups:
                found.append(Rivals(rule=rule, groups=groups))
        return tuple(found)

    @cached_property
    def _abandonments(self) -> Mapping[RankBy, Abandonment]:
        """Rule by which candidates are abandoned, for each way of ranking that has one."""
        acceptability, value = self._bundle.acceptability, self._bundle.value
        if acceptability is None:
            return {}
        rules = {
            RankBy.ACCEPTABILITY: acceptability.abandonment,
            RankBy.BOTH: None if value is None else value.abandonment(acceptability.unigrams_V),
        }
        return {rank_by: rule for rank_by, rule in rules.items() if rule is not None}

    def described(self, parts: Sequence[Part], batch: Batch) -> list[Candidate]:
        """Return all candidates with their features, the genres' log odds included.

        Raises:
            ValueError: the bundle has no acceptability.
        """
        acceptability = self._bundle.acceptability
        if acceptability is None:
            raise ValueError(
                f"{self._bundle.config.model} has no acceptability; calibrate one, or pack the model again"
            )
        left = settled(batch.decoded, self.rivals(parts))
        features = self._features(parts, batch, range(len(batch.specs)), genres=True)
        candidates = []
        for spec, each, text, shares, found, stopped in zip(
            batch.specs, batch.decoded, batch.texts, batch.shares, features, left, strict=True
        ):
            candidates.append(
                Candidate(
                    seed=spec.seed,
                    text=text,
                    decoded=each,
                    shares=tuple(shares),
                    features=found,
                    score=acceptability.score(found),
                    abandoned_after=stopped.token_count if stopped.abandoned else None,
                )
            )
        return candidates

    def _features(self, parts: Sequence[Part], batch: Batch, places: Sequence[int], *, genres: bool) -> list[Features]:
        """Return the features of some candidates, which were not abandoned; with the genres' log odds or with 0."""
        topics = {place: part.topic for part in parts for place in part.places}
        odds = self._odds_of_samples(parts, batch, set(places)) if genres else {}
        return features_of(
            self._bundle,
            [batch.decoded[place] for place in places],
            [batch.texts[place] for place in places],
            [batch.shares[place][topics[place]] for place in places],
            [odds.get(place, 0.0) for place in places],
        )

    def _by_score(self, parts: Sequence[Part], batch: Batch, acceptability: Acceptability) -> list[list[int]]:
        samples = [[_left(places, batch) for places in part.samples] for part in parts]
        # A candidate without rivals needs no score.
        rivals = [place for part in samples for places in part if len(places) > 1 for place in places]
        features = self._features(parts, batch, rivals, genres=acceptability.uses("genres"))
        scores = {place: acceptability.score(each) for place, each in zip(rivals, features, strict=True)}

        def scored(place: int) -> Scored:
            finished, text = batch.decoded[place].finished, batch.texts[place]
            return Scored(index=place, finished=finished, score=scores.get(place, 0.0), text=text)

        return [
            choose(
                [[scored(place) for place in places] for places in of_part],
                acceptability.opening_penalty,
                earlier=[batch.texts[place] for place in part.earlier],
            )
            for part, of_part in zip(parts, samples, strict=True)
        ]

    def _by_value(self, parts: Sequence[Part], batch: Batch) -> tuple[list[list[int]], dict[int, float]]:
        """Choose by the value function, alone or with the score; return the best of each sample, and their values."""
        samples = [[_left(places, batch) for places in part.samples] for part in parts]
        # A candidate without rivals needs no value, unless the answer tells it.
        needed = [
            [place for places in of_part if len(places) > 1 or part.tells_values for place in places]
            for part, of_part in zip(parts, samples, strict=True)
        ]
        places = [place for of_part in needed for place in of_part]
        texts = [batch.texts[place] for place in places]
        log_odds = dict(
            zip(places, self._values.log_odds(texts, [batch.shares[place] for place in places]), strict=True)
        )
        copies = self._bundle.copies
        copied = dict(zip(places, [0] * len(places) if copies is None else copies.count(texts), strict=True))
        scores = self._scores(parts, needed, batch)
        common = None if self._bundle.value is None else self._bundle.value.common
        lost = {} if common is None else dict(zip(places, common.losses(texts), strict=True))

        def valued(place: int) -> Valued:
            return Valued(
                index=place,
                finished=batch.decoded[place].finished,
                text=batch.texts[place],
                log_odds=log_odds.get(place, 0.0),
                copies=copied.get(place, 0),
                score=scores.get(place, 0.0),
                common=lost.get(place, 0.0),
            )

        chosen = [
            best_by_value(
                [[valued(place) for place in each] for each in of_part],
                part.rank_by,
                earlier=[batch.texts[place] for place in part.earlier],
            )
            for part, of_part in zip(parts, samples, strict=True)
        ]
        return chosen, {place: probability(odds) for place, odds in log_odds.items()}

    def _scores(self, parts: Sequence[Part], needed: Sequence[Sequence[int]], batch: Batch) -> dict[int, float]:
        """Return the scores by acceptability of some candidates of those parts that are ranked by both, by place."""
        acceptability = self._bundle.acceptability
        both = [number for number, part in enumerate(parts) if part.rank_by is RankBy.BOTH]
        if acceptability is None or not both:
            return {}
        places = [place for number in both for place in needed[number]]
        features = self._features(
            [parts[number] for number in both], batch, places, genres=acceptability.uses("genres")
        )
        return {place: acceptability.score(each) for place, each in zip(places, features, strict=True)}

    @cached_property
    def _values(self) -> Values:
        """Values of sentences; packed when they are first asked for."""
        if self._bundle.value is None:
            raise ValueError(f"the bundle of {self._bundle.config.model} has no value function")
        weight_VE = self._bundle.decoder.token_embedding.weight
        return Values(self._bundle.value, weight_VE, self._bundle.vocabulary)

    def _odds_of_samples(self, parts: Sequence[Part], batch: Batch, wanted: set[int]) -> dict[int, float]:
        """Return the genres' log odds of some candidates by place.

        Candidates of one sample are computed together and apart from others, since products may round by the number of
        their rows, and the choice must not depend on the batch.
        """
        odds: dict[int, float] = {}
        for places in (places for part in parts for places in part.samples):
            chosen = [place for place in places if place in wanted]
            if chosen:
                odds |= zip(chosen, self._genre_log_odds(chosen, batch), strict=True)
        return odds

    def _by_topic(self, parts: Sequence[Part], batch: Batch) -> list[list[int]]:
        places = [place for part in parts if part.best_of > 1 for place in part.places]
        # Candidates without rivals cost no second pass.
        odds = dict(zip(places, self._genre_log_odds(places, batch), strict=True)) if places else {}
        copies = self._bundle.copies
        chosen = []
        for part in parts:
            count = None
            if copies is not None and part.best_of > 1:
                count = copies.count([batch.texts[place] for place in part.places])
            decoded = [batch.decoded[place] for place in part.places]
            wanted = [batch.shares[place][part.topic] for place in part.places]
            likely = [odds.get(place, 0.0) for place in part.places]
            best = best_candidates(decoded, wanted, likely, part.best_of, count)
            chosen.append([part.first + number for number in best])
        return chosen

    def _genre_log_odds(self, places: Sequence[int], batch: Batch) -> list[float]:
        z_BZ = None if batch.z_BZ is None else batch.z_BZ[list(places)]
        specs, decoded = [batch.specs[place] for place in places], [batch.decoded[place] for place in places]
        return self._engine.genre_log_odds(specs, decoded, z_BZ)


def _left(places: Sequence[int], batch: Batch) -> list[int]:
    """Return the candidates that were not abandoned."""
    return [place for place in places if not batch.decoded[place].abandoned]
