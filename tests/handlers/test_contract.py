from __future__ import annotations

import dataclasses
import json
import math
import subprocess
import sys
from dataclasses import FrozenInstanceError
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from handlers.contract import (
    DEFAULT_BEST_OF,
    FIRST_CONTRACT,
    MAX_BAD_WORDS,
    MAX_BEST_OF,
    MAX_GENRES,
    MAX_SAMPLES,
    MAX_SEED,
    MAX_SEQUENCES,
    MAX_TEXT_LENGTH,
    MAX_TOKENS,
    RULES_CONTRACT,
    CommentaryRequest,
    CommentaryResponse,
    ContractError,
    ErrorCode,
    FinishReason,
    ModelIdentity,
    RankBy,
    Sample,
    SamplingParams,
    Timings,
    decode_answer,
    encode_answer,
)

names = st.text(st.characters(exclude_categories=("Cc", "Cs")), max_size=40)
optional_names = st.none() | names
finite = st.floats(allow_nan=False, allow_infinity=False)

requests = st.builds(
    CommentaryRequest,
    genres=st.lists(names, max_size=6).map(tuple),
    artist=optional_names,
    title=optional_names,
    num_samples=st.integers(1, MAX_SAMPLES),
    sampling=st.builds(
        SamplingParams,
        temperature=st.floats(0, 5) | st.integers(0, 5),
        top_k=st.integers(0, 1_000_000),
        top_p=st.floats(1e-6, 1),
        min_p=st.floats(0, 1),
        max_tokens=st.integers(40, MAX_TOKENS),
        guidance=st.floats(0, 10) | st.integers(0, 10),
        min_tokens=st.integers(0, 40),
        no_repeat_ngram_size=st.integers(0, MAX_TOKENS),
        bad_words=st.lists(st.text("aé’-", min_size=1, max_size=5), max_size=4).map(tuple),
    ),
    seed=st.none() | st.integers(0, MAX_SEED),
    best_of=st.none() | st.integers(1, MAX_BEST_OF),
    rank_by=st.none() | st.sampled_from(RankBy),
    topic=optional_names,
    unit=optional_names,
    request_id=optional_names,
)

responses = st.builds(
    CommentaryResponse,
    samples=st.lists(
        st.builds(
            Sample,
            text=names,
            token_count=st.integers(1, MAX_TOKENS),
            log_prob=finite,
            topics=st.lists(finite, max_size=4).map(tuple),
            seed=st.integers(0, MAX_SEED),
            finish_reason=st.none() | st.sampled_from(FinishReason),
            value=st.none() | st.floats(0, 1),
        ),
        max_size=3,
    ).map(tuple),
    model=st.builds(ModelIdentity, name=names, version=names, archive_sha256=names),
    genres_used=st.lists(names, max_size=3).map(tuple),
    genres_unknown=st.lists(names, max_size=3).map(tuple),
    timings=st.builds(Timings, queue_ms=finite, decode_ms=finite),
    request_id=optional_names,
)

json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=8,
)


def _refused(document: object) -> ContractError:
    payload = json.dumps(document)
    with pytest.raises(ContractError) as caught:
        CommentaryRequest.from_json(payload)
    error = caught.value
    assert error.code is ErrorCode.INVALID_ARGUMENT
    assert error.message
    # What the worker sends back has to survive UTF-8, whatever the client sent.
    assert encode_answer(error).encode()
    return error


@given(requests)
def test_a_request_survives_json(request: CommentaryRequest) -> None:
    assert CommentaryRequest.from_json(request.to_json()) == request


def test_a_request_and_a_sample_that_do_not_rank_by_value_are_sent_as_before() -> None:
    assert "rank_by" not in json.loads(CommentaryRequest(genres=()).to_json())
    for rule in RankBy:
        assert json.loads(CommentaryRequest(genres=(), rank_by=rule).to_json())["rank_by"] == rule
    # To archives without a value function the score is all there is, and earlier ones do not know the field.
    explicit = CommentaryRequest(genres=(), rank_by=RankBy.ACCEPTABILITY)
    for contract in range(FIRST_CONTRACT, RULES_CONTRACT):
        assert "rank_by" not in json.loads(explicit.to_json(contract))
    for given_by_a_client in ("", None):
        payload = json.dumps({"genres": [], "rank_by": given_by_a_client})
        assert CommentaryRequest.from_json(payload) == CommentaryRequest(genres=())
    sample = Sample(text="x", token_count=1, log_prob=-1.0, topics=(), seed=0)
    answer = CommentaryResponse(
        samples=(sample, dataclasses.replace(sample, value=0.25)),
        model=ModelIdentity(name="lcgan", version="1"), genres_used=(), genres_unknown=(),
    )  # fmt: skip
    first, second = json.loads(encode_answer(answer))["result"]["samples"]
    assert ("value" in first, second["value"]) == (False, 0.25)


@pytest.mark.parametrize(
    ("rule", "message"),
    [
        ("best", "must be one of acceptability, value, both, got 'best'"),
        ("VALUE", "must be one of acceptability, value, both, got 'VALUE'"),
        (3, "must be a string, got int"),
        (["value"], "must be a string, got list"),
    ],
)
def test_an_unknown_rule_is_refused_with_the_known_ones(rule: object, message: str) -> None:
    error = _refused({"genres": [], "rank_by": rule})
    assert (error.field, error.message) == ("rank_by", message)


@given(responses)
def test_a_response_survives_the_answer(response: CommentaryResponse) -> None:
    assert decode_answer(encode_answer(response)) == response
    assert decode_answer(encode_answer(response).encode()) == response


@given(st.sampled_from(ErrorCode), st.text(max_size=20), st.text(max_size=40))
def test_an_error_survives_the_answer(code: ErrorCode, field: str, message: str) -> None:
    with pytest.raises(ContractError) as caught:
        decode_answer(encode_answer(ContractError(code, field, message)))
    assert (caught.value.code, caught.value.field, caught.value.message) == (code, field, message)


def test_only_genres_are_required_and_the_rest_has_the_documented_defaults() -> None:
    request = CommentaryRequest.from_json('{"genres": []}')
    assert (request.num_samples, request.sampling.temperature, request.sampling.top_p, request.best_of) == (
        5,
        0.7,
        0.92,
        None,
    )
    assert request.seed is None
    assert _refused({"num_samples": 1}).field == "genres"


def test_lists_are_taken_where_the_fields_are_tuples() -> None:
    genres, bad_words = ["dream pop"], ["vocals"]
    request = CommentaryRequest(genres=genres, sampling=SamplingParams(bad_words=bad_words))
    genres.append("noise")
    bad_words.append("drums")
    assert request == CommentaryRequest(genres=("dream pop",), sampling=SamplingParams(bad_words=("vocals",)))
    assert hash(request) == hash(CommentaryRequest.from_json(request.to_json()))
    assert CommentaryRequest() == CommentaryRequest(genres=())


def test_null_means_absent_except_for_genres() -> None:
    names_of_optional = set(json.loads(CommentaryRequest(genres=()).to_json())) - {"genres"}
    nulls = dict.fromkeys([*names_of_optional, "artist", "title", "seed", "topic", "unit", "request_id"])
    assert CommentaryRequest.from_mapping({"genres": [], **nulls}) == CommentaryRequest(genres=())
    assert _refused({"genres": None}).field == "genres"


def test_an_unknown_field_is_refused_by_name_and_the_known_ones_are_listed() -> None:
    error = _refused({"genres": [], "num_sample": 3})
    assert error.field == "num_sample"
    assert "num_samples" in error.message


WRONG_TYPES: list[tuple[str, Any]] = [
    ("genres", "dream pop"),
    ("genres", {"a": 1}),
    ("genres", 5),
    ("genres", [None]),
    ("genres", [5]),
    ("genres", [["pop"]]),
    ("artist", 5),
    ("artist", ["A"]),
    ("title", False),
    ("unit", {}),
    ("topic", 1),
    ("request_id", 1.5),
    ("num_samples", True),
    ("num_samples", 5.0),
    ("num_samples", "5"),
    ("temperature", True),
    ("temperature", "hot"),
    ("temperature", [1]),
    ("top_k", False),
    ("top_k", 1.5),
    ("top_p", "1"),
    ("top_p", False),
    ("min_p", {}),
    ("min_p", True),
    ("max_tokens", True),
    ("guidance", "strong"),
    ("guidance", True),
    ("min_tokens", "3"),
    ("min_tokens", True),
    ("no_repeat_ngram_size", 3.0),
    ("no_repeat_ngram_size", [3]),
    ("bad_words", "pop"),
    ("bad_words", {"pop": 1}),
    ("bad_words", [None]),
    ("bad_words", [5]),
    ("bad_words", [["pop"]]),
    ("max_tokens", 1e1),
    ("seed", True),
    ("seed", 1.0),
    ("seed", "7"),
    ("best_of", True),
    ("best_of", "2"),
]


@pytest.mark.parametrize(("field", "value"), WRONG_TYPES)
def test_a_wrong_type_is_refused_naming_the_field(field: str, value: object) -> None:
    assert _refused({"genres": [], field: value}).field == field


OUT_OF_RANGE: list[tuple[str, Any]] = [
    ("num_samples", 0),
    ("num_samples", -1),
    ("num_samples", MAX_SAMPLES + 1),
    ("num_samples", 10**4000),
    ("temperature", -0.001),
    ("temperature", 5.001),
    ("temperature", math.nan),
    ("temperature", math.inf),
    ("temperature", 10**400),
    ("top_k", -1),
    ("top_k", 1_000_001),
    ("top_p", 0),
    ("top_p", 1.0001),
    ("top_p", math.nan),
    ("top_p", -math.inf),
    ("top_p", -(10**400)),
    ("min_p", -1e-9),
    ("min_p", 1.1),
    ("min_p", math.nan),
    ("max_tokens", 0),
    ("max_tokens", MAX_TOKENS + 1),
    ("guidance", -0.001),
    ("guidance", 10.001),
    ("guidance", math.nan),
    ("guidance", math.inf),
    ("min_tokens", -1),
    ("min_tokens", 65),
    ("min_tokens", 10**400),
    ("no_repeat_ngram_size", -1),
    ("no_repeat_ngram_size", MAX_TOKENS + 1),
    ("bad_words", ["a"] * (MAX_BAD_WORDS + 1)),
    ("bad_words", ["a" * (MAX_TEXT_LENGTH + 1)]),
    ("bad_words", [""]),
    ("bad_words", ["pop", "dream pop"]),
    ("bad_words", [" pop"]),
    ("bad_words", ["pop!"]),
    ("bad_words", ["<artist>"]),
    ("seed", -1),
    ("seed", MAX_SEED + 1),
    ("best_of", 0),
    ("best_of", MAX_BEST_OF + 1),
    ("genres", ["g"] * (MAX_GENRES + 1)),
    ("genres", ["g"] * 10_000),
    ("genres", ["g" * (MAX_TEXT_LENGTH + 1)]),
    ("artist", "a" * (MAX_TEXT_LENGTH + 1)),
    ("title", "a" * 1_000_000),
]


@pytest.mark.parametrize(("field", "value"), OUT_OF_RANGE, ids=lambda value: str(value)[:20])
def test_a_value_out_of_range_is_refused_naming_the_field_in_a_short_message(field: str, value: object) -> None:
    error = _refused({"genres": [], field: value})
    assert error.field == field
    assert len(error.message) < 200


@pytest.mark.parametrize("field", ["artist", "title", "topic", "unit", "request_id", "genres", "bad_words"])
@pytest.mark.parametrize("character", ["\x00", "\n", "\x1b", "\x7f", "\x85", "\x9f", "\ud800"])
def test_control_characters_and_lone_surrogates_are_refused_naming_the_field(field: str, character: str) -> None:
    value = f"a{character}b"
    assert _refused({"genres": [], field: [value] if field in {"genres", "bad_words"} else value}).field == field


def test_the_largest_allowed_values_are_taken() -> None:
    request = CommentaryRequest(
        genres=("g" * MAX_TEXT_LENGTH,) * MAX_GENRES, artist="a" * MAX_TEXT_LENGTH, num_samples=MAX_SAMPLES,
        best_of=MAX_BEST_OF, seed=MAX_SEED, sampling=SamplingParams(
            max_tokens=MAX_TOKENS, temperature=5, top_p=1, min_p=1, top_k=1_000_000, min_tokens=MAX_TOKENS,
            no_repeat_ngram_size=MAX_TOKENS, bad_words=("b" * MAX_TEXT_LENGTH,) * MAX_BAD_WORDS,
        ),
    )  # fmt: skip
    assert CommentaryRequest.from_json(request.to_json()) == request


def test_fewer_tokens_at_most_than_at_least_are_refused_naming_the_lower_bound_and_the_upper() -> None:
    error = _refused({"genres": [], "max_tokens": 10, "min_tokens": 11})
    assert error.field == "min_tokens"
    assert "10" in error.message
    assert "11" in error.message
    assert CommentaryRequest(genres=(), sampling=SamplingParams(max_tokens=10, min_tokens=10)).sampling.min_tokens == 10


def test_an_archive_of_older_code_is_asked_what_it_was_always_asked_unless_somebody_wants_more() -> None:
    known = {"genres", "num_samples", "temperature", "top_k", "top_p", "min_p", "max_tokens"}
    assert set(json.loads(CommentaryRequest(genres=()).to_json())) == known
    asked = CommentaryRequest(genres=(), sampling=SamplingParams(min_tokens=3, bad_words=("so",), guidance=1.5))
    assert set(json.loads(asked.to_json())) == {*known, "min_tokens", "bad_words", "guidance"}
    # Left out, the number of candidates is the archive's own: older ones rank by a rule that readers gain nothing from.
    assert json.loads(CommentaryRequest(genres=(), best_of=DEFAULT_BEST_OF).to_json())["best_of"] == DEFAULT_BEST_OF


def test_version_1_of_the_json_has_its_own_names_and_is_read_as_well() -> None:
    asked = CommentaryRequest(genres=(), sampling=SamplingParams(no_repeat_ngram_size=3, bad_words=("so",)))
    first = json.loads(asked.to_json(FIRST_CONTRACT))
    assert (first["no_repeat_ngram"], first["banned"]) == (3, ["so"])
    assert not {"no_repeat_ngram_size", "bad_words"} & set(first)
    assert CommentaryRequest.from_mapping(first) == asked == CommentaryRequest.from_json(asked.to_json())


@given(requests)
def test_a_request_survives_version_1_of_the_json(request: CommentaryRequest) -> None:
    read = CommentaryRequest.from_json(request.to_json(FIRST_CONTRACT))
    is_plain = request.rank_by is RankBy.ACCEPTABILITY
    assert read == (dataclasses.replace(request, rank_by=None) if is_plain else request)


@pytest.mark.parametrize(("former", "name"), [("banned", "bad_words"), ("no_repeat_ngram", "no_repeat_ngram_size")])
def test_a_field_under_both_of_its_names_is_refused(former: str, name: str) -> None:
    error = _refused({"genres": [], former: None, name: None})
    assert (error.field, name in error.message) == (former, True)


def test_the_sampling_parameters_are_checked_by_themselves_and_cannot_change() -> None:
    with pytest.raises(ContractError, match="top_p: must be between") as caught:
        SamplingParams(top_p=2)
    assert caught.value.field == "top_p"
    with pytest.raises(FrozenInstanceError):
        SamplingParams().top_p = 0.5  # type: ignore[misc]


@pytest.mark.parametrize("reason", [None, "", "content_filter", 5])
def test_a_finish_reason_that_is_absent_or_unknown_is_none(reason: object) -> None:
    sample: dict[str, Any] = {"text": "", "token_count": 1, "log_prob": 0.0, "topics": [], "seed": 1}
    model = {"name": "cvae", "version": "1", "archive_sha256": ""}
    answer = {"model": model, "genres_used": [], "genres_unknown": [], "timings": {}}
    for each in (sample, {**sample, "finish_reason": reason}):
        response = decode_answer(json.dumps({"result": {**answer, "samples": [each]}}))
        assert response.samples[0].finish_reason is None
    known = {**answer, "samples": [{**sample, "finish_reason": "length"}]}
    assert decode_answer(json.dumps({"result": known})).samples[0].finish_reason is FinishReason.LENGTH


@pytest.mark.parametrize("word", ["pop", "POP", "don’t", "lo-fi", "1999", "café", "cafe\u0301", "Åse", "вечер"])
def test_a_word_can_be_banned(word: str) -> None:
    assert CommentaryRequest.from_mapping({"genres": [], "bad_words": [word]}).sampling.bad_words == (word,)


def test_the_product_of_samples_and_candidates_is_bounded_by_their_bounds() -> None:
    assert MAX_SEQUENCES == MAX_SAMPLES * MAX_BEST_OF
    assert DEFAULT_BEST_OF <= MAX_BEST_OF


@pytest.mark.parametrize(
    "payload",
    [b"", b"{", b"\xff\xfe\x00", b"\x80", "nonsense", "[" * 200_000, '{"genres": ' + "[" * 200_000, "9" * 5000],
    ids=["empty", "open", "half-utf16", "not-utf8", "word", "deep", "deep-genres", "huge-number"],
)
def test_what_is_no_json_is_refused(payload: bytes | str) -> None:
    with pytest.raises(ContractError) as caught:
        CommentaryRequest.from_json(payload)
    assert caught.value.code is ErrorCode.INVALID_ARGUMENT


@pytest.mark.parametrize("document", [None, 5, "genres", ["genres"], True])
def test_a_request_that_is_no_object_is_refused(document: object) -> None:
    assert "object" in _refused(document).message


@pytest.mark.parametrize("name", ["\ud800", "x" * 100_000, "", "a\nb"])
def test_the_name_of_an_unknown_field_comes_back_short_and_fit_for_utf8(name: str) -> None:
    error = _refused({"genres": [], name: 1})
    assert len(error.field) <= 100
    assert len(encode_answer(error)) < 1000


@given(json_values)
def test_any_json_is_a_request_or_a_contract_error(document: object) -> None:
    try:
        CommentaryRequest.from_mapping(document)
    except ContractError as error:
        assert error.code is ErrorCode.INVALID_ARGUMENT  # noqa: PT017 - either outcome is right, others are not


_WHOLE = CommentaryRequest(genres=("dream pop",), artist="Ünna", title="Tide", seed=7, best_of=2).to_json()
_PIECES = st.sampled_from([*b'[]{}",:\\-0e', 0xFF, 0])


@given(st.binary(max_size=40), st.lists(st.tuples(st.integers(0, len(_WHOLE) - 1), _PIECES), max_size=4))
def test_any_bytes_are_a_request_or_a_contract_error(noise: bytes, changes: list[tuple[int, int]]) -> None:
    broken = bytearray(_WHOLE)
    for place, value in changes:
        broken[place] = value
    for payload in (noise, bytes(broken), bytes(broken[: len(noise)])):
        try:
            CommentaryRequest.from_json(payload)
        except ContractError as error:
            assert error.code is ErrorCode.INVALID_ARGUMENT  # noqa: PT017 - either outcome is right, others are not
        with pytest.raises(ContractError) as caught:
            decode_answer(payload)
        assert caught.value.code is ErrorCode.INTERNAL


@pytest.mark.parametrize(
    "payload",
    [
        b"",
        b"\xff",
        "5",
        "null",
        '"error"',
        "[]",
        "{}",
        '{"error": 5}',
        '{"error": {"code": "NO_SUCH", "field": "", "message": ""}}',
        '{"error": {"code": "INTERNAL"}}',
        '{"result": null}',
        '{"result": []}',
        '{"result": {"samples": "ab", "model": {}, "genres_used": [], "genres_unknown": [], "timings": {}}}',
        '{"result": {"samples": [{"topics": 5}], "model": {}, "genres_used": [], "genres_unknown": []}}',
        "[" * 200_000,
        '{"code": 500, "type": "InternalServerException", "message": "Worker died."}',
    ],
    ids=lambda value: str(value)[:30],
)
def test_an_answer_that_is_garbage_is_an_internal_error(payload: bytes | str) -> None:
    with pytest.raises(ContractError) as caught:
        decode_answer(payload)
    assert caught.value.code is ErrorCode.INTERNAL


@given(json_values)
def test_any_json_is_an_answer_or_an_internal_error(document: object) -> None:
    with pytest.raises(ContractError) as caught:
        decode_answer(json.dumps(document))
    assert caught.value.code is ErrorCode.INTERNAL


def test_importing_the_contract_imports_nothing_outside_the_standard_library() -> None:
    code = (
        "import sys; before = set(sys.modules); import handlers.contract; "
        "print(*sorted({name.partition('.')[0] for name in set(sys.modules) - before}))"
    )
    done = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True, timeout=60)
    outside = set(done.stdout.split()) - set(sys.stdlib_module_names)
    assert outside == {"foundation", "handlers"}
