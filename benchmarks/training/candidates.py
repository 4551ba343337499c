"""Cost of the choice between candidates, and of the lexicon: processor time of whole answers, with and without."""

from __future__ import annotations

import statistics
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Final

import torch
from rich.table import Table

from handlers.commentary import Commentator
from handlers.contract import CommentaryRequest
from handlers.model.bundle import Bundle
from training.progress import Progress, silent

LOADS: Final = ((1, 1), (1, 5), (16, 5), (64, 5))
"""Requests in a batch, and samples of each."""
QUICK_LOADS: Final = ((1, 1), (4, 2))
"""The same, to check that it runs."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Cost:
    """Processor time of answers to batches of one size, per request: medians in seconds."""

    num_requests: int
    num_samples: int
    first_s: float
    """Time with one candidate per sample."""
    served_s: float
    """Time with the number of candidates that the model takes by default."""
    without_lexicon_s: float
    """Time as served, by the same model without its lexicon."""

    @property
    def ratio(self) -> float:
        """Time as served over the time with one candidate."""
        return self.served_s / self.first_s

    @property
    def lexicon(self) -> float:
        """Time as served over the time without the lexicon."""
        return self.served_s / self.without_lexicon_s

    def document(self) -> dict[str, float]:
        """Return the figures for the result line."""
        return {
            "requests": self.num_requests,
            "samples": self.num_samples,
            "first_ms": 1000 * self.first_s,
            "served_ms": 1000 * self.served_s,
            "ratio": self.ratio,
            "lexicon": self.lexicon,
        }


def measure_candidates(
    bundle: Bundle, *, rounds: int, loads: Sequence[tuple[int, int]] = LOADS, progress: Progress = silent
) -> list[Cost]:
    """Measure one candidate per sample, the default number, and the default without the lexicon, in turns.

    Every round asks for other genres with other seeds; the three ways answer the same requests. One thread of torch
    is used, and its processor time counts, so other programs on the machine disturb little.

    Args:
        bundle: model.
        rounds: batches of each size and way; a quarter of them for batches of several requests.
        loads: requests in a batch, and samples of each request.
        progress: gets the number of batches done.
    """
    served, bare = Commentator(bundle), Commentator(replace(bundle, lexicon=None))
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        _seconds(served, _requests(bundle, 1, 4, 0))  # the first decode packs the weights
        _seconds(bare, _requests(bundle, 1, 4, 0))
        costs = []
        total = sum(_rounds(rounds, size) for size, _ in loads)
        done = 0
        for size, num_samples in loads:
            times: list[list[float]] = [[], [], []]
            for number in range(_rounds(rounds, size)):
                requests = _requests(bundle, size, num_samples, number)
                ways = ((served, _with(requests, 1)), (served, requests), (bare, requests))
                for each, (model, asked) in zip(times, ways, strict=True):
                    each.append(_seconds(model, asked) / size)
                progress(done := done + 1, total, "")
            first, whole, plain = map(statistics.median, times)
            costs.append(
                Cost(
                    num_requests=size,
                    num_samples=num_samples,
                    first_s=first,
                    served_s=whole,
                    without_lexicon_s=plain,
                )
            )
        return costs
    finally:
        torch.set_num_threads(threads)


def candidates_table(costs: Sequence[Cost]) -> Table:
    """Return the table of the costs."""
    table = Table(title="Processor time per request")
    for header in ("requests in a batch", "samples", "one candidate, ms", "as served, ms", "ratio", "lexicon"):
        table.add_column(header, justify="right")
    for cost in costs:
        table.add_row(
            str(cost.num_requests),
            str(cost.num_samples),
            f"{1000 * cost.first_s:.1f}",
            f"{1000 * cost.served_s:.1f}",
            f"{cost.ratio:.2f}",
            f"{cost.lexicon:.2f}",
        )
    return table


def figures(bundle: Bundle, costs: Sequence[Cost]) -> Mapping[str, Any]:
    """Return the figures for the result line."""
    return {"best_of": Commentator(bundle).default_best_of, "costs": [cost.document() for cost in costs]}


def _rounds(rounds: int, num_requests: int) -> int:
    return rounds if num_requests == 1 else max(1, rounds // 4)


def _requests(bundle: Bundle, size: int, num_samples: int, number: int) -> list[CommentaryRequest]:
    labels = bundle.genres.labels
    return [
        CommentaryRequest(
            genres=(labels[(7 * number + place) % len(labels)],),
            num_samples=num_samples,
            seed=1000 * number + place,
        )
        for place in range(size)
    ]


def _with(requests: Sequence[CommentaryRequest], best_of: int) -> list[CommentaryRequest]:
    return [replace(request, best_of=best_of) for request in requests]


def _seconds(model: Commentator, requests: Sequence[CommentaryRequest]) -> float:
    start = time.process_time()
    model.answer(requests)
    return time.process_time() - start
