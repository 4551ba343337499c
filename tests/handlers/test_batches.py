from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from handlers.batches import (
    BATCH_FIELD,
    BatchedRequest,
    decode_answers,
    decode_requests,
    encode_answers,
    encode_requests,
)
from handlers.contract import (
    CommentaryRequest,
    CommentaryResponse,
    ContractError,
    ErrorCode,
    ModelIdentity,
    encode_answer,
)

ANSWER = CommentaryResponse(
    samples=(), model=ModelIdentity(name="lcgan", version="1"), genres_used=(), genres_unknown=()
)
TRACEPARENT = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"
STARTS = st.none() | st.floats(min_value=0, max_value=1e9, allow_nan=False)
SEEDS = st.integers(min_value=0, max_value=2**63 - 1)


@given(
    st.lists(
        st.tuples(SEEDS, STARTS, st.sampled_from(["", TRACEPARENT]), st.lists(SEEDS, max_size=3).map(tuple)), max_size=6
    )
)
def test_a_batch_comes_back_as_the_requests_starts_traces_and_seeds_that_it_was_made_of(
    asked: list[tuple[int, float | None, str, tuple[int, ...]]],
) -> None:
    expected = [
        BatchedRequest(
            parsed=CommentaryRequest(seed=seed, title="Tür “7”"),
            start_by=start,
            traceparent=traceparent,
            earlier_seeds=earlier,
        )
        for seed, start, traceparent, earlier in asked
    ]
    payload = encode_requests(
        (CommentaryRequest(seed=seed, title="Tür “7”").to_json(), start, traceparent, earlier)
        for seed, start, traceparent, earlier in asked
    )
    assert decode_requests(payload) == expected


@pytest.mark.parametrize("seeds", [[1.0], [True], [-1], [2**63], ["7"], [None], [0] * 60])
def test_a_part_whose_earlier_seeds_make_no_sense_is_an_error_of_its_own(seeds: list[Any]) -> None:
    element = [json.loads(CommentaryRequest(num_samples=5).to_json()), None, "", seeds]
    wrong, right = decode_requests(json.dumps([element, [{"genres": []}, None]]))
    assert isinstance(wrong.parsed, ContractError)
    assert str(wrong.parsed).startswith("batch: must h")
    assert wrong.earlier_seeds == ()
    assert right.parsed == CommentaryRequest()


def test_a_batch_without_traces_is_the_one_that_workers_of_the_contract_before_read() -> None:
    assert encode_requests([(b"{}", 1.5, "", ()), (b"{}", None, "", ())]) == b"[[{},1.5],[{},null]]"


@pytest.mark.parametrize(
    "element",
    [
        None,
        7,
        "x",
        [],
        [{"genres": []}],
        [{"genres": []}, "soon"],
        [{"genres": []}, 1.0, 2],
        [[], None],
        [{"genres": []}, None, TRACEPARENT, 1],
    ],
)
def test_an_element_that_is_no_request_is_an_error_of_its_own(element: Any) -> None:
    good = json.loads(CommentaryRequest(seed=1).to_json())
    wrong, right = decode_requests(json.dumps([element, [good, None]]))
    assert isinstance(wrong.parsed, ContractError)
    assert wrong.parsed.code is ErrorCode.INVALID_ARGUMENT
    assert right.parsed == CommentaryRequest(seed=1)


@pytest.mark.parametrize("payload", [b"", b"{}", b"7", b"[", b'"x"', b"[" * 100_000])
def test_a_payload_that_is_no_batch_is_refused_as_a_whole(payload: bytes) -> None:
    with pytest.raises(ContractError, match="batch"):
        decode_requests(payload)


def test_answers_come_back_in_their_order_errors_included() -> None:
    error = ContractError(ErrorCode.INTERNAL, "", "the decode failed")
    first, second = decode_answers(encode_answers([encode_answer(ANSWER), encode_answer(error)]), count=2)
    assert first == ANSWER
    assert isinstance(second, ContractError)
    assert second.message == "the decode failed"


@pytest.mark.parametrize("payload", [b"", b"null", b"[]", b"[1]", b"[1,2,3]", b"nonsense", b"[" * 100_000])
def test_a_payload_that_does_not_answer_every_request_is_an_error_for_each(payload: bytes) -> None:
    answers = decode_answers(payload, count=2)
    assert len(answers) == 2
    assert all(isinstance(each, ContractError) and each.code is ErrorCode.INTERNAL for each in answers)


def test_one_error_for_the_whole_batch_is_the_error_of_each_request() -> None:
    error = encode_answer(ContractError(ErrorCode.INVALID_ARGUMENT, "batch", "must be a JSON array"))
    for payload in (error, encode_answers([error])):
        answers = decode_answers(payload, count=3)
        assert [each.field for each in answers if isinstance(each, ContractError)] == ["batch"] * 3


JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-(10**400), 10**400) | st.floats() | st.text(max_size=8),
    lambda values: st.lists(values, max_size=4) | st.dictionaries(st.text(max_size=8), values, max_size=3),
    max_leaves=8,
)
"""Any JSON, with numbers that no float holds."""
PAIRS = st.tuples(st.just({"genres": []}) | JSON, JSON).map(list) | st.lists(JSON, max_size=5)


@given(st.binary(max_size=60) | st.lists(PAIRS | JSON, max_size=4) | JSON.map(json.dumps))
def test_any_payload_is_a_batch_whose_bad_requests_are_errors_or_no_batch(payload: Any) -> None:
    try:
        batch = decode_requests(payload)
    except ContractError as error:
        assert (error.code, error.field) == (ErrorCode.INVALID_ARGUMENT, BATCH_FIELD)  # noqa: PT017 - or a batch
        return
    for each in batch:
        assert isinstance(each.parsed, CommentaryRequest) or each.parsed.code is ErrorCode.INVALID_ARGUMENT


@pytest.mark.parametrize("start", [10**400, -(10**400)])
def test_a_start_that_no_clock_reaches_is_an_error_of_its_request_alone(start: int) -> None:
    bad, good = decode_requests([[{"genres": []}, start], [{"genres": []}, 12]])
    assert isinstance(bad.parsed, ContractError)
    assert bad.parsed.field == BATCH_FIELD
    assert isinstance(good.parsed, CommentaryRequest)
    assert good.start_by == 12.0


@given(st.binary(max_size=60) | JSON.map(json.dumps), st.integers(0, 4))
def test_any_answer_to_a_batch_gives_each_request_a_response_or_an_error(payload: bytes | str, count: int) -> None:
    answers = decode_answers(payload, count=count)
    assert len(answers) == count
    assert all(isinstance(answer, CommentaryResponse | ContractError) for answer in answers)
