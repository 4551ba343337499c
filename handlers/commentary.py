"""Answers to batches of requests, for the TorchServe handler and the registered MLflow model.

Shapes: B sequences, Z latent vector, K topics.
"""

from __future__ import annotations

import dataclasses
import math
import secrets
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import torch

from handlers.contract import (
    DEFAULT_BEST_OF,
    MAX_SAMPLES,
    BatchTimes,
    CommentaryRequest,
    CommentaryResponse,
    ContractError,
    ErrorCode,
    ModelIdentity,
    RankBy,
    Sample,
    SamplingParams,
    Timings,
)
from handlers.decoding.engine import DecodedSequence, Engine, SequenceSpec
from handlers.decoding.matmul import Precision
from handlers.decoding.random_numbers import derive_seed
from handlers.model.bundle import Bundle
from handlers.model.vocabulary import fill_placeholders
from handlers.ranking.candidates import Candidate
from handlers.ranking.ranker import Batch, Part, Ranker

# Seeds that the worker draws stay exact in programs that keep numbers as doubles.
_DRAWN_SEED_BITS: Final = 53


class NotFiniteError(ArithmeticError):
    """The model gives a value that is not finite for a request."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Answered:
    """Answers to a batch of requests, with the work that they took."""

    responses: list[CommentaryResponse]
    times: BatchTimes
    """Moments of the computation, from the first request's genres to the choice of candidates, and its size."""

    @property
    def seconds(self) -> float:
        """Time of the whole computation: decode, topics and choice of candidates."""
        return self.times.ended - self.times.started


@dataclass(frozen=True, slots=True, kw_only=True)
class _Decoded:
    """Sequences of a batch as the engine decoded them."""

    specs: list[SequenceSpec]
    z_BZ: torch.Tensor | None
    sequences: list[DecodedSequence]


@dataclass(frozen=True, slots=True, kw_only=True)
class _Asked:
    """A request as the model answers it."""

    request: CommentaryRequest
    used: tuple[str, ...]
    unknown: tuple[str, ...]
    specs: list[SequenceSpec]
    earlier: list[SequenceSpec]
    """Earlier samples, where only a part of a request is answered; the choice of candidates looks at them."""
    part: Part


class Commentator:
    """Answerer of requests; all requests of a batch are one decode.

    Args:
        bundle: model to answer with.
        device: device of the decode.
        precision: precision of the weights; see `Engine`.
        slots: sequences that are decoded at a time; see `Engine`.
        kernels: whether GPU kernels decode; see `Engine`.
        compiled: whether a processor decodes by compiled kernels; see `Engine`.
    """

    def __init__(
        self,
        bundle: Bundle,
        *,
        device: torch.device | str = "cpu",
        precision: Precision | None = None,
        slots: int | None = None,
        kernels: bool | None = None,
        compiled: bool | None = None,
    ) -> None:
        self.bundle = bundle
        self._engine = Engine(
            bundle, device=device, precision=precision, slots=slots, kernels=kernels, compiled=compiled
        )
        self._ranker = Ranker(self._engine)
        self._identity = ModelIdentity(name=bundle.config.model, version=bundle.config.version)

    @property
    def precision(self) -> Precision:
        """Precision of the weights."""
        return self._engine.precision

    @property
    def device(self) -> torch.device:
        """Device of the decode."""
        return self._engine.device

    @property
    def slots(self) -> int:
        """Number of sequences that are decoded at a time."""
        return self._engine.slots

    @property
    def kernels(self) -> bool:
        """Whether GPU kernels decode."""
        return self._engine.kernels

    @property
    def decoded_by(self) -> str:
        """Library that computes the steps: `triton`, `numba` or `torch`. Each has last bits of its own."""
        if self.kernels:
            return "triton"
        return "numba" if self._engine.compiled else "torch"

    def largest_error(self, num_sequences: int, max_tokens: int) -> float:
        """Return the error of the decode of some sequences; see `Engine.largest_error`."""
        genres = tuple(self.bundle.genres.indices(self.bundle.genres.labels[:1]))
        specs = [
            SequenceSpec(genres=genres, seed=number, sampling=SamplingParams(max_tokens=max_tokens))
            for number in range(num_sequences)
        ]
        return self._engine.largest_error(specs)

    @classmethod
    def load(cls, directory: Path, *, device: torch.device | str = "cpu") -> Commentator:
        """Load the model from a bundle's folder.

        Raises:
            BundleError: the folder is not a bundle.
        """
        return cls(Bundle.load(directory), device=device)

    def topic_of(self, request: CommentaryRequest) -> int:
        """Return the number of the topic that a request steers to; the desired one by default.

        Raises:
            ContractError: INVALID_ARGUMENT, naming the field topic: the topic is unknown, or would have no effect.
        """
        topics, config = self.bundle.topics, self.bundle.config
        if request.topic is None:
            return topics.desired
        found = topics.find(request.topic)
        if found is None:
            raise _refused_topic(f"{config.model} has no topic {request.topic!r}; it has {'; '.join(topics.names)}")
        # An answer that ignores the topic would look as if it followed it.
        if self.bundle.generator is None and not self._ranks_by_topic(request):
            raise _refused_topic(
                f"{config.model} has no generator that could steer to a topic; ask lcgan, or raise best_of, so that "
                "the topic decides between candidates"
            )
        return found

    def check(self, request: CommentaryRequest) -> None:
        """Check that this model can answer a request.

        Raises:
            ContractError: INVALID_ARGUMENT, naming the field: the topic is unknown or would have no effect, or the
                candidates cannot be ranked as the request says.
        """
        if request.rank_by is not None and request.rank_by not in self.rules:
            lacks = "value function" if self.bundle.value is None else "acceptability"
            raise ContractError(
                ErrorCode.INVALID_ARGUMENT,
                "rank_by",
                f"{self.bundle.config.model}/{self.bundle.config.version} has no {lacks}; ask a version that was "
                f"trained with --verdicts, or rank by {' or '.join(self.rules)}",
            )
        self.topic_of(request)

    def best_of(self, request: CommentaryRequest) -> int:
        """Return the number of candidates for each sample of a request."""
        return request.best_of or self.default_best_of

    def rule(self, request: CommentaryRequest) -> RankBy:
        """Return the rule by which the candidates of a request are ranked."""
        return request.rank_by or self.default_rule

    @property
    def default_rule(self) -> RankBy:
        """Rule for requests that do not say: acceptability, unless the model learned from verdicts.

        A bundle that is not complete has no acceptability yet, and does not rank.
        """
        return RankBy.ACCEPTABILITY if self.bundle.acceptability is None else self.bundle.config.rank_by

    @property
    def rules(self) -> tuple[RankBy, ...]:
        """Rules by which this model can rank candidates, the default first."""
        rules = [RankBy.ACCEPTABILITY]
        if self.bundle.value is not None:
            rules.append(RankBy.VALUE)
            if self.bundle.acceptability is not None:
                rules.append(RankBy.BOTH)
        return tuple(sorted(rules, key=lambda rule: rule is not self.default_rule))

    @property
    def default_best_of(self) -> int:
        """Number of candidates for each sample of a request that does not say.

        Without an acceptability, more candidates gain nothing that a reader sees, and cost as much as as many samples.
        """
        return 1 if self.bundle.acceptability is None else DEFAULT_BEST_OF

    def answer(self, requests: Sequence[CommentaryRequest]) -> list[CommentaryResponse]:
        """Answer requests in their order; see `answer_batch`."""
        return self.answer_batch(requests).responses

    def answer_batch(
        self, requests: Sequence[CommentaryRequest], earlier_seeds: Sequence[Sequence[int]] | None = None
    ) -> Answered:
        """Answer requests in their order; all their samples are sequences of one decode.

        Args:
            requests: the requests.
            earlier_seeds: for each, the seeds of earlier samples, which it continues: its samples are those that the
                same request for more has after so many, to the last bit. By default, none.

        Raises:
            ContractError: this model cannot answer a request; see `check`.
            NotFiniteError: the model gives a value that is not finite for one of the requests; the message names it.
        """
        started = time.monotonic()
        asked = self._asked(requests, earlier_seeds)
        parts = [each.part for each in asked]
        decode_started = time.monotonic()
        decoded = self._decode(asked, may_abandon=True)
        decode_ended = time.monotonic()
        batch = self._described(decoded)
        chosen = self._ranker.choose(parts, batch)
        times = BatchTimes(
            started=started,
            decode_started=decode_started,
            decode_ended=decode_ended,
            ended=time.monotonic(),
            requests=len(requests),
            sequences=len(batch.specs),
            tokens=sum(each.token_count for each in batch.decoded),
        )
        seconds = times.ended - started
        return Answered(
            responses=[
                self._response(each, places, batch, chosen.values, seconds)
                for each, places in zip(asked, chosen.places, strict=True)
            ],
            times=times,
        )

    def candidates(self, requests: Sequence[CommentaryRequest]) -> list[list[list[Candidate]]]:
        """Return all candidates of each sample of each request, decoded to their end, to study the ranking.

        Raises:
            ValueError: the bundle has no acceptability.
            ContractError: this model cannot answer a request; see `check`.
            NotFiniteError: the model gives a value that is not finite.
        """
        asked = self._asked(requests)
        batch = self._described(self._decode(asked, may_abandon=False))
        found = self._ranker.described([each.part for each in asked], batch)
        return [[[found[place] for place in places] for places in each.part.samples] for each in asked]

    def _asked(
        self, requests: Sequence[CommentaryRequest], earlier_seeds: Sequence[Sequence[int]] | None = None
    ) -> list[_Asked]:
        """Return requests as they are answered."""
        asked = []
        first = 0
        for request, seeds in zip(requests, earlier_seeds or [()] * len(requests), strict=True):
            self.check(request)
            topic = self.topic_of(request)
            used, unknown = self.bundle.genres.resolve(request.genres)
            part = Part(
                first=first,
                num_samples=request.num_samples,
                best_of=self.best_of(request),
                topic=topic,
                rank_by=self.rule(request),
                tells_values=request.rank_by is not None and request.rank_by.needs_values,
            )
            genres = tuple(self.bundle.genres.indices(used))
            specs = self._specs(request, part, genres, first_sample=len(seeds))
            earlier = self._earlier(request, part, genres, seeds)
            asked.append(_Asked(request=request, used=used, unknown=unknown, specs=specs, earlier=earlier, part=part))
            first = part.places.stop
        return _with_earlier_places(asked, first)

    def _earlier(
        self, request: CommentaryRequest, part: Part, genres: tuple[int, ...], seeds: Sequence[int]
    ) -> list[SequenceSpec]:
        """Return the earlier samples of a part, where the choice of its candidates depends on them."""
        keeps_apart = self.bundle.acceptability is not None or part.rank_by.needs_values
        if part.best_of == 1 or not keeps_apart:
            return []
        return [SequenceSpec(genres=genres, seed=seed, topic=part.topic, sampling=request.sampling) for seed in seeds]

    def _specs(
        self, request: CommentaryRequest, part: Part, genres: tuple[int, ...], *, first_sample: int
    ) -> list[SequenceSpec]:
        seed = request.seed if request.seed is not None else secrets.randbits(_DRAWN_SEED_BITS)
        return [
            SequenceSpec(
                genres=genres,
                # First candidates have the same seeds as with best_of 1, so more candidates only add to them.
                seed=derive_seed(seed, candidate * MAX_SAMPLES + sample),
                topic=part.topic,
                sampling=request.sampling,
            )
            for sample in range(first_sample, first_sample + part.num_samples)
            for candidate in range(part.best_of)
        ]

    def _decode(self, asked: Sequence[_Asked], *, may_abandon: bool) -> _Decoded:
        """Decode the candidates of some requests, all to their end or all but the hopeless ones."""
        specs = [spec for each in asked for spec in each.specs]
        specs += [spec for each in asked for spec in each.earlier]
        z_BZ = self._engine.latent_vectors(specs) if specs else None
        rivals = self._ranker.rivals([each.part for each in asked]) if may_abandon else ()
        return _Decoded(specs=specs, z_BZ=z_BZ, sequences=self._engine.decode(specs, z_BZ, rivals))

    def _described(self, sequences: _Decoded) -> Batch:
        """Return decoded sequences with their texts and topic shares, from which the ranker chooses."""
        specs, decoded = sequences.specs, sequences.sequences
        _check_finite(specs, decoded)
        left = [place for place, each in enumerate(decoded) if not each.abandoned]
        texts, shares = [""] * len(specs), [list[float]() for _ in specs]
        for place in left:
            texts[place] = self.bundle.vocabulary.decode(decoded[place].ids)
        found = self.bundle.topics.shares([texts[place] for place in left]).tolist()
        for place, each_K in zip(left, found, strict=True):
            shares[place] = each_K
        return Batch(specs=specs, decoded=decoded, z_BZ=sequences.z_BZ, texts=texts, shares=shares)

    def _response(
        self, asked: _Asked, chosen: Sequence[int], batch: Batch, values: Mapping[int, float], seconds: float
    ) -> CommentaryResponse:
        return CommentaryResponse(
            samples=tuple(
                _sample(asked.request, batch, place, values.get(place) if asked.part.tells_values else None)
                for place in chosen
            ),
            model=self._identity,
            genres_used=asked.used,
            genres_unknown=asked.unknown,
            timings=Timings(decode_ms=1000 * seconds),
            request_id=asked.request.request_id,
        )

    def _ranks_by_topic(self, request: CommentaryRequest) -> bool:
        """Return whether the topic decides between a request's candidates."""
        acceptability = self.bundle.acceptability
        if self.best_of(request) == 1 or self.rule(request) is RankBy.VALUE:
            return False
        return acceptability is None or acceptability.uses("topic")


def _with_earlier_places(asked: Sequence[_Asked], first: int) -> list[_Asked]:
    """Return requests with the places of their earlier samples, which come after the candidates of all requests."""
    placed = []
    for each in asked:
        places = range(first, first + len(each.earlier))
        placed.append(dataclasses.replace(each, part=dataclasses.replace(each.part, earlier=places)))
        first = places.stop
    return placed


def _check_finite(specs: Sequence[SequenceSpec], decoded: Sequence[DecodedSequence]) -> None:
    """Raise an error for damaged weights, which would give empty sentences and NaN, which is not valid JSON."""
    for spec, each in zip(specs, decoded, strict=True):
        if not math.isfinite(each.log_prob):
            raise NotFiniteError(
                f"log p of genres {spec.genres} and topic {spec.topic} is not finite: the model's weights are damaged"
            )


def _refused_topic(message: str) -> ContractError:
    return ContractError(ErrorCode.INVALID_ARGUMENT, "topic", message)


def _sample(request: CommentaryRequest, batch: Batch, place: int, value: float | None) -> Sample:
    decoded = batch.decoded[place]
    return Sample(
        text=fill_placeholders(batch.texts[place], artist=request.artist, title=request.title),
        token_count=decoded.token_count,
        log_prob=decoded.log_prob,
        topics=tuple(batch.shares[place]),
        seed=batch.specs[place].seed,
        finish_reason=decoded.finish_reason,
        value=value,
    )
