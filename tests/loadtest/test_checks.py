from dataclasses import replace

import pytest

from handlers.contract import CommentaryRequest, CommentaryResponse, ModelIdentity, Sample
from loadtest.checks import FailedCallError, find_fault

REQUEST = CommentaryRequest(genres=("dream pop",), num_samples=2, request_id="r1")
SAMPLE = Sample(text="a sentence", token_count=2, log_prob=-1.0, topics=(), seed=1)
GOOD = CommentaryResponse(
    samples=(SAMPLE, SAMPLE),
    model=ModelIdentity(name="lcgan", version="2"),
    genres_used=(),
    genres_unknown=(),
    request_id="r1",
)


@pytest.mark.parametrize("version", [None, "2"])
def test_the_answer_that_was_asked_for_has_no_fault(version: str | None) -> None:
    assert find_fault(REQUEST, GOOD, model="lcgan", version=version) is None


@pytest.mark.parametrize(
    ("answer", "words"),
    [
        (replace(GOOD, samples=(SAMPLE,)), "1 samples for 2"),
        (replace(GOOD, samples=(SAMPLE, SAMPLE, SAMPLE)), "3 samples for 2"),
        (replace(GOOD, samples=(SAMPLE, replace(SAMPLE, text=" \n"))), "empty sample"),
        (replace(GOOD, model=ModelIdentity(name="cvae", version="2")), "'cvae', not 'lcgan'"),
        (replace(GOOD, model=ModelIdentity(name="lcgan", version="1")), "'1', not '2'"),
        (replace(GOOD, request_id=None), "request_id None"),
        (replace(GOOD, request_id="r2"), "request_id 'r2'"),
    ],
)
def test_an_answer_to_something_else_is_found_out(answer: CommentaryResponse, words: str) -> None:
    fault = find_fault(REQUEST, answer, model="lcgan", version="2")
    assert fault
    assert words in fault


def test_locust_files_a_failure_under_its_kind_whatever_the_message() -> None:
    assert repr(FailedCallError("UNAVAILABLE", "port 1")) == repr(FailedCallError("UNAVAILABLE", "port 2"))
