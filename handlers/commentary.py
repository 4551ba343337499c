"""Answers to batches of requests, for the TorchServe handler and the registered MLflow model.

Shapes: B sequences, Z latent vector.
"""

from __future__ import annotations

import math
import secrets
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import torch
from torch import Tensor

from handlers.contract import (
    MAX_SAMPLES,
    CommentaryRequest,
    CommentaryResponse,
    ContractError,
    ErrorCode,
    ModelIdentity,
    Sample,
    SamplingParams,
    Timings,
)
from handlers.decoding.engine import DecodedSequence, Engine, SequenceSpec
from handlers.decoding.matmul import Precision
from handlers.decoding.random_numbers import derive_seed
from handlers.model.bundle import Bundle
from handlers.model.vocabulary import fill_placeholders
from handlers.ranking import best_candidates

# Seeds that the worker draws stay exact in programs that keep numbers as doubles.
_DRAWN_SEED_BITS: Final = 53


class NotFiniteError(ArithmeticError):
    """The model gives a value that is not finite for a request."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Answered:
    """Answers to a batch of requests, with the work that they took."""

    responses: list[CommentaryResponse]
    num_sequences: int
    """Decoded sequences: samples times candidates."""
    num_tokens: int
    """Tokens of all sequences, those of candidates that were not chosen included."""
    seconds: float
    """Time of the whole computation: decode, topics and choice of candidates."""


class Commentator:
    """Answerer of requests; all requests of a batch are one decode.

    Args:
        bundle: model to answer with.
        device: device of the decode.
        precision: precision of the weights; see `Engine`.
        slots: sequences that are decoded at a time; see `Engine`.
        kernels: whether GPU kernels decode; see `Engine`.
    """

    def __init__(
        self,
        bundle: Bundle,
        *,
        device: torch.device | str = "cpu",
        precision: Precision | None = None,
        slots: int | None = None,
        kernels: bool | None = None,
    ) -> None:
        self.bundle = bundle
        self._engine = Engine(bundle, device=device, precision=precision, slots=slots, kernels=kernels)
        self._identity = ModelIdentity(name=bundle.config.model, version=bundle.config.version)

    @property
    def precision(self) -> Precision:
        """Precision of the weights."""
        return self._engine.precision

    @property
    def slots(self) -> int:
        """Number of sequences that are decoded at a time."""
        return self._engine.slots

    @property
    def kernels(self) -> bool:
        """Whether GPU kernels decode."""
        return self._engine.kernels

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
        if self.bundle.generator is None and request.best_of == 1:
            raise _refused_topic(
                f"{config.model} has no generator that could steer to a topic; ask lcgan, or raise best_of, so that "
                "the topic decides between candidates"
            )
        return found

    def answer(self, requests: Sequence[CommentaryRequest]) -> list[CommentaryResponse]:
        """Answer requests in their order; see `answer_batch`."""
        return self.answer_batch(requests).responses

    def answer_batch(self, requests: Sequence[CommentaryRequest]) -> Answered:
        """Answer requests in their order; all their samples are sequences of one decode.

        Raises:
            ContractError: a request's topic is unknown or would have no effect; see `topic_of`.
            NotFiniteError: the model gives a value that is not finite for one of the requests; the message names it.
        """
        started = time.perf_counter()
        topics = [self.topic_of(request) for request in requests]
        resolved = [self.bundle.genres.resolve(request.genres) for request in requests]
        specs = [
            spec
            for request, topic, (used, _) in zip(requests, topics, resolved, strict=True)
            for spec in self._specs(request, topic, tuple(self.bundle.genres.indices(used)))
        ]
        z_BZ = self._engine.latent_vectors(specs) if specs else None
        decoded = self._engine.decode(specs, z_BZ)
        _check_finite(specs, decoded)
        texts = [self.bundle.vocabulary.decode(each.ids) for each in decoded]
        shares = self.bundle.topics.shares(texts).tolist()
        odds = self._genre_log_odds(requests, specs, decoded, z_BZ)
        seconds = time.perf_counter() - started
        responses = []
        first = 0
        for request, topic, (used, unknown) in zip(requests, topics, resolved, strict=True):
            part = slice(first, first + request.num_samples * request.best_of)
            wanted = [share[topic] for share in shares[part]]
            copied = self._copied(request, texts[part])
            best = [first + i for i in best_candidates(decoded[part], wanted, odds[part], request.best_of, copied)]
            responses.append(
                CommentaryResponse(
                    samples=tuple(_sample(request, specs[i], decoded[i], texts[i], shares[i]) for i in best),
                    model=self._identity,
                    genres_used=used,
                    genres_unknown=unknown,
                    timings=Timings(decode_ms=1000 * seconds),
                    request_id=request.request_id,
                )
            )
            first = part.stop
        tokens = sum(each.token_count for each in decoded)
        return Answered(responses=responses, num_sequences=len(specs), num_tokens=tokens, seconds=seconds)

    def _copied(self, request: CommentaryRequest, texts: Sequence[str]) -> list[int] | None:
        """Return the number of copied n-grams in each candidate, if it is known and there is a choice."""
        copies = self.bundle.copies
        return None if copies is None or request.best_of == 1 else copies.count(texts)

    def _genre_log_odds(
        self,
        requests: Sequence[CommentaryRequest],
        specs: Sequence[SequenceSpec],
        decoded: Sequence[DecodedSequence],
        z_BZ: Tensor | None,
    ) -> list[float]:
        """Return the genres' log odds of candidates between which there is a choice; 0, at no cost, for the others."""
        chosen_from = [
            request.best_of > 1 for request in requests for _ in range(request.num_samples * request.best_of)
        ]
        part = [number for number, chosen in enumerate(chosen_from) if chosen]
        odds = [0.0] * len(specs)
        if z_BZ is None or not part:
            return odds
        chosen, written = [specs[number] for number in part], [decoded[number] for number in part]
        found = self._engine.genre_log_odds(chosen, written, z_BZ[part])
        for number, value in zip(part, found, strict=True):
            odds[number] = value
        return odds

    def _specs(self, request: CommentaryRequest, topic: int, genres: tuple[int, ...]) -> list[SequenceSpec]:
        seed = request.seed if request.seed is not None else secrets.randbits(_DRAWN_SEED_BITS)
        return [
            SequenceSpec(
                genres=genres,
                # First candidates have the same seeds as with best_of 1, so more candidates only add to them.
                seed=derive_seed(seed, candidate * MAX_SAMPLES + sample),
                topic=topic,
                sampling=request.sampling,
            )
            for sample in range(request.num_samples)
            for candidate in range(request.best_of)
        ]


def _check_finite(specs: Sequence[SequenceSpec], decoded: Sequence[DecodedSequence]) -> None:
    """Raise an error for damaged weights, which would give empty sentences and NaN, which is not valid JSON."""
    for spec, each in zip(specs, decoded, strict=True):
        if not math.isfinite(each.log_prob):
            raise NotFiniteError(
                f"log p of genres {spec.genres} and topic {spec.topic} is not finite: the model's weights are damaged"
            )


def _refused_topic(message: str) -> ContractError:
    return ContractError(ErrorCode.INVALID_ARGUMENT, "topic", message)


def _sample(
    request: CommentaryRequest, spec: SequenceSpec, decoded: DecodedSequence, text: str, shares: Sequence[float]
) -> Sample:
    return Sample(
        text=fill_placeholders(text, artist=request.artist, title=request.title),
        token_count=decoded.token_count,
        log_prob=decoded.log_prob,
        topics=tuple(shares),
        seed=spec.seed,
        finish_reason=decoded.finish_reason,
    )
