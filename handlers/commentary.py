"""Requests in, answers out: what the TorchServe handler and the registered MLflow model both call.

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
    """The weights and a request together give numbers that are none."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Answered:
    """Answers to a batch of requests, and the work that they were."""

    responses: list[CommentaryResponse]
    num_rows: int
    num_tokens: int
    """Tokens of all rows, those of candidates that were not chosen included."""
    seconds: float


class Commentator:
    """Answers batches of requests with one decode."""

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
        """How the weights are kept."""
        return self._engine.precision

    @property
    def slots(self) -> int:
        """Rows that are decoded at a time."""
        return self._engine.slots

    @property
    def kernels(self) -> bool:
        """Whether a GPU's kernels decode."""
        return self._engine.kernels

    def largest_error(self, num_rows: int, max_tokens: int) -> float:
        """How far the decode of some rows is from torch's own modules; see `Engine.largest_error`."""
        genres = tuple(self.bundle.genres.indices(self.bundle.genres.labels[:1]))
        rows = [
            SequenceSpec(genres=genres, seed=number, sampling=SamplingParams(max_tokens=max_tokens))
            for number in range(num_rows)
        ]
        return self._engine.largest_error(rows)

    @classmethod
    def load(cls, directory: Path, *, device: torch.device | str = "cpu") -> Commentator:
        """Make one from a bundle's folder.

        Raises:
            BundleError: the folder is no bundle.
        """
        return cls(Bundle.load(directory), device=device)

    def topic_of(self, request: CommentaryRequest) -> int:
        """The topic that a request steers to, by number: the desired one unless it asks for another.

        Raises:
            ContractError: INVALID_ARGUMENT, naming the field topic: there is no such topic, or nothing would act on it.
        """
        topics, config = self.bundle.topics, self.bundle.config
        if request.topic is None:
            return topics.desired
        found = topics.find(request.topic)
        if found is None:
            raise _refused_topic(f"{config.model} has no topic {request.topic!r}; it has {'; '.join(topics.names)}")
        # Answered as if it had not been asked for, it would look as though it had been heeded.
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
        """Answer requests in their order; all their samples are rows of one decode.

        Raises:
            ContractError: a request asks for a topic that cannot be steered to; see `topic_of`.
            NotFiniteError: the weights make no numbers of one of the requests; the message says which.
        """
        started = time.perf_counter()
        topics = [self.topic_of(request) for request in requests]
        resolved = [self.bundle.genres.resolve(request.genres) for request in requests]
        rows = [
            row
            for request, topic, (used, _) in zip(requests, topics, resolved, strict=True)
            for row in self._rows(request, topic, tuple(self.bundle.genres.indices(used)))
        ]
        z_BZ = self._engine.latent_vectors(rows) if rows else None
        decoded = self._engine.decode(rows, z_BZ)
        _check_finite(rows, decoded)
        texts = [self.bundle.vocabulary.decode(each.ids) for each in decoded]
        shares = self.bundle.topics.shares(texts).tolist()
        odds = self._genre_log_odds(requests, rows, decoded, z_BZ)
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
                    samples=tuple(_sample(request, rows[i], decoded[i], texts[i], shares[i]) for i in best),
                    model=self._identity,
                    genres_used=used,
                    genres_unknown=unknown,
                    timings=Timings(decode_ms=1000 * seconds),
                    request_id=request.request_id,
                )
            )
            first = part.stop
        tokens = sum(each.token_count for each in decoded)
        return Answered(responses=responses, num_rows=len(rows), num_tokens=tokens, seconds=seconds)

    def _copied(self, request: CommentaryRequest, texts: Sequence[str]) -> list[int] | None:
        """N-grams that each candidate took from a training sentence, where that is known and there is a choice."""
        copies = self.bundle.copies
        return None if copies is None or request.best_of == 1 else copies.count(texts)

    def _genre_log_odds(
        self,
        requests: Sequence[CommentaryRequest],
        rows: Sequence[SequenceSpec],
        decoded: Sequence[DecodedSequence],
        z_BZ: Tensor | None,
    ) -> list[float]:
        """Of the rows between which there is a choice; 0 for the others, which cost nothing then."""
        chosen_from = [
            request.best_of > 1 for request in requests for _ in range(request.num_samples * request.best_of)
        ]
        part = [number for number, chosen in enumerate(chosen_from) if chosen]
        odds = [0.0] * len(rows)
        if z_BZ is None or not part:
            return odds
        chosen, written = [rows[number] for number in part], [decoded[number] for number in part]
        found = self._engine.genre_log_odds(chosen, written, z_BZ[part])
        for number, value in zip(part, found, strict=True):
            odds[number] = value
        return odds

    def _rows(self, request: CommentaryRequest, topic: int, genres: tuple[int, ...]) -> list[SequenceSpec]:
        seed = request.seed if request.seed is not None else secrets.randbits(_DRAWN_SEED_BITS)
        return [
            SequenceSpec(
                genres=genres,
                # First candidates have the seeds that they have with best_of 1: more candidates only add to them.
                seed=derive_seed(seed, candidate * MAX_SAMPLES + sample),
                topic=topic,
                sampling=request.sampling,
            )
            for sample in range(request.num_samples)
            for candidate in range(request.best_of)
        ]


def _check_finite(rows: Sequence[SequenceSpec], decoded: Sequence[DecodedSequence]) -> None:
    """Damaged weights would otherwise be answered with empty sentences, and with NaN, which is no JSON."""
    for row, each in zip(rows, decoded, strict=True):
        if not math.isfinite(each.log_prob):
            raise NotFiniteError(
                f"the weights give no finite number for genres {row.genres} and topic {row.topic}: they are damaged"
            )


def _refused_topic(message: str) -> ContractError:
    return ContractError(ErrorCode.INVALID_ARGUMENT, "topic", message)


def _sample(
    request: CommentaryRequest, row: SequenceSpec, decoded: DecodedSequence, text: str, shares: Sequence[float]
) -> Sample:
    return Sample(
        text=fill_placeholders(text, artist=request.artist, title=request.title),
        token_count=decoded.token_count,
        log_prob=decoded.log_prob,
        topics=tuple(shares),
        seed=row.seed,
        finish_reason=decoded.finish_reason,
    )
