from __future__ import annotations

import asyncio

import grpc
import pytest

from serving.traffic.outcomes import Outcomes
from serving.workers.faults import Failure, InferenceError


def fault(code: grpc.StatusCode, failure: Failure = Failure.OTHER) -> InferenceError:
    return InferenceError(code, "on purpose", failure=failure)


def end(outcomes: Outcomes, error: BaseException | None) -> None:
    if error is None:
        with outcomes.call():
            pass
    else:
        with pytest.raises(type(error)), outcomes.call():
            raise error


@pytest.mark.parametrize(
    "error",
    [
        None,
        fault(grpc.StatusCode.INVALID_ARGUMENT),
        fault(grpc.StatusCode.INTERNAL),
    ],
)
def test_an_answer_ends_the_wait_also_if_it_is_an_error(error: InferenceError | None) -> None:
    outcomes = Outcomes()
    end(outcomes, error)
    assert (outcomes.answered, outcomes.lost, outcomes.outstanding) == (1, 0, 0)
    assert outcomes.waiting_since_s is None
    assert outcomes.oldest_s is None


@pytest.mark.parametrize(
    "error",
    [
        fault(grpc.StatusCode.UNAVAILABLE, Failure.WORKER_DIED),
        fault(grpc.StatusCode.DEADLINE_EXCEEDED),
        fault(grpc.StatusCode.DEADLINE_EXCEEDED, Failure.TOO_LATE),  # the gateway says so without asking a worker
        asyncio.CancelledError(),
    ],
)
def test_a_call_that_is_lost_does_not_end_the_wait(error: BaseException) -> None:
    outcomes = Outcomes()
    end(outcomes, error)
    since_s = outcomes.waiting_since_s
    assert (outcomes.answered, outcomes.lost, outcomes.outstanding) == (0, 1, 0)
    assert since_s is not None
    end(outcomes, error)
    assert outcomes.waiting_since_s == since_s
    end(outcomes, None)
    assert outcomes.waiting_since_s is None


def test_the_oldest_call_without_an_answer_is_known_while_later_ones_are_answered() -> None:
    outcomes = Outcomes()
    with outcomes.call():
        oldest_s = outcomes.oldest_s
        for _ in range(3):
            end(outcomes, None)
        assert (outcomes.oldest_s, outcomes.outstanding) == (oldest_s, 1)
        assert outcomes.waiting_since_s == outcomes.last_s >= (oldest_s or 0)
