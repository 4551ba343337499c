from __future__ import annotations

import contextlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from handlers.contract import (
    CommentaryRequest,
    CommentaryResponse,
    ContractError,
    FinishReason,
    ModelIdentity,
    RankBy,
    Sample,
    SamplingParams,
    Timings,
)
from serving import wire
from serving.interleaving import ArmAnswer, InterleavedResponse
from serving.v1 import commentary_pb2
from serving.wire import LiveModel, LiveVersion

TEXT = st.text(st.characters(exclude_categories=("Cs", "Cc")), max_size=30)
FLOATS = st.floats(allow_nan=False, allow_infinity=False)
SEEDS = st.integers(0, 2**63 - 1)
REQUESTS = st.builds(
    CommentaryRequest,
    genres=st.lists(TEXT, max_size=5).map(tuple),
    artist=st.none() | TEXT,
    title=st.none() | TEXT,
    num_samples=st.integers(1, 16),
    sampling=st.builds(
        SamplingParams,
        temperature=st.floats(0, 5),
        top_k=st.integers(0, 1_000_000),
        top_p=st.floats(1e-6, 1),
        min_p=st.floats(0, 1),
        max_tokens=st.integers(20, 128),
        guidance=st.floats(0, 10),
        min_tokens=st.integers(0, 20),
        no_repeat_ngram_size=st.integers(0, 128),
        bad_words=st.lists(st.text("abcé'", min_size=1, max_size=9), max_size=5).map(tuple),
    ),
    seed=st.none() | SEEDS,
    best_of=st.none() | st.integers(1, 16),
    rank_by=st.none() | st.sampled_from(RankBy),
    topic=st.none() | TEXT,
    unit=st.none() | TEXT,
    request_id=st.none() | TEXT,
)
SAMPLES = st.builds(
    Sample,
    text=TEXT,
    token_count=st.integers(0, 128),
    log_prob=FLOATS,
    topics=st.lists(FLOATS, max_size=4).map(tuple),
    seed=SEEDS,
    finish_reason=st.none() | st.sampled_from(FinishReason),
    value=st.none() | FLOATS,
)
RESPONSES = st.builds(
    CommentaryResponse,
    samples=st.lists(SAMPLES, max_size=3).map(tuple),
    model=st.builds(ModelIdentity, name=TEXT, version=TEXT, archive_sha256=TEXT),
    genres_used=st.lists(TEXT, max_size=3).map(tuple),
    genres_unknown=st.lists(TEXT, max_size=3).map(tuple),
    timings=st.builds(Timings, queue_ms=FLOATS, decode_ms=FLOATS),
    request_id=st.none() | TEXT,
)
IDENTITIES = st.builds(ModelIdentity, name=TEXT, version=TEXT, archive_sha256=TEXT)
TIMINGS = st.builds(Timings, queue_ms=FLOATS, decode_ms=FLOATS)
ARMS = st.builds(
    ArmAnswer,
    model=IDENTITIES,
    timings=TIMINGS,
    exposure_id=TEXT,
    error=TEXT,
    genres_unknown=st.lists(TEXT, max_size=3).map(tuple),
)


@st.composite
def interleaved(draw: st.DrawFn) -> InterleavedResponse:
    arms = draw(st.lists(ARMS, min_size=1, max_size=3))
    samples = draw(st.lists(SAMPLES, max_size=4))
    number = st.integers(0, len(arms) - 1)
    return InterleavedResponse(
        samples=tuple(samples),
        sample_arms=tuple(draw(number) for _ in samples),
        arms=tuple(arms),
        experiment=draw(TEXT),
        genres_used=tuple(draw(st.lists(TEXT, max_size=3))),
        request_id=draw(st.none() | TEXT),
    )


LIVE_VERSIONS = st.builds(
    LiveVersion,
    version=TEXT,
    archive_sha256=TEXT,
    aliases=st.lists(TEXT, max_size=2).map(tuple),
    in_flight=st.integers(0, 1000),
    topics=st.lists(TEXT, max_size=3).map(tuple),
    desired_topic=TEXT,
    num_genres=st.integers(0, 1000),
    batch_size=st.integers(0, 1000),
    genres=st.lists(TEXT, max_size=3).map(tuple),
    lineage=st.dictionaries(TEXT, TEXT, max_size=3),
    precision=TEXT,
    slots=st.integers(0, 1000),
    threads=st.integers(0, 1000),
    arm=st.booleans(),
    ranks_by_value=st.booleans(),
    rank_by=st.sampled_from(["", *RankBy]),
)
LIVE_MODELS = st.builds(
    LiveModel,
    name=TEXT,
    champion=TEXT,
    versions=st.lists(LIVE_VERSIONS, max_size=3).map(tuple),
    experiment=TEXT,
    experiment_design=TEXT,
)


@pytest.mark.slow
@given(request=REQUESTS, version=st.none() | TEXT)
def test_every_request_survives_the_wire(request: CommentaryRequest, version: str | None) -> None:
    encoded = wire.request_to_message(request, model="lcgan", version=version).SerializeToString()
    decoded = commentary_pb2.GenerateRequest.FromString(encoded)
    assert wire.request_from_message(decoded) == request
    assert (decoded.version if decoded.HasField("version") else None) == version


@given(response=RESPONSES)
def test_every_response_survives_the_wire(response: CommentaryResponse) -> None:
    encoded = wire.response_to_message(response).SerializeToString()
    assert wire.response_from_message(commentary_pb2.GenerateResponse.FromString(encoded)) == response


@given(response=interleaved())
def test_every_interleaved_response_survives_the_wire(response: InterleavedResponse) -> None:
    encoded = wire.interleaved_to_message(response).SerializeToString()
    assert wire.interleaved_from_message(commentary_pb2.GenerateResponse.FromString(encoded)) == response


@given(response=RESPONSES, key=TEXT)
def test_the_answer_of_one_version_is_one_arm(response: CommentaryResponse, key: str) -> None:
    encoded = wire.response_to_message(response, exposure_id=key).SerializeToString()
    answer = wire.interleaved_from_message(commentary_pb2.GenerateResponse.FromString(encoded))
    (arm,) = answer.arms
    assert (answer.samples, answer.experiment) == (response.samples, "")
    assert (arm.model, arm.timings, arm.genres_unknown) == (response.model, response.timings, response.genres_unknown)
    assert (arm.exposure_id, arm.error) == (key, "")


@given(response=RESPONSES)
def test_the_answer_of_a_gateway_of_before_is_one_arm_without_a_key(response: CommentaryResponse) -> None:
    message = wire.response_to_message(response, exposure_id="key")
    message.ClearField("arms")
    (arm,) = wire.interleaved_from_message(message).arms
    assert arm == ArmAnswer(
        model=response.model, timings=response.timings, exposure_id="", genres_unknown=response.genres_unknown
    )


def test_a_sample_of_an_arm_that_is_not_there_is_an_error() -> None:
    message = commentary_pb2.GenerateResponse(samples=[commentary_pb2.Sample(text="x", arm=1)])
    with pytest.raises(ValueError, match="arms"):
        wire.interleaved_from_message(message)


@pytest.mark.slow
@given(models=st.lists(LIVE_MODELS, max_size=3).map(tuple))
def test_every_description_survives_the_wire(models: tuple[LiveModel, ...]) -> None:
    encoded = wire.live_models_to_message(models).SerializeToString()
    assert wire.live_models_from_message(commentary_pb2.DescribeResponse.FromString(encoded)) == models


def test_fields_that_a_client_leaves_out_get_the_contracts_defaults() -> None:
    assert wire.request_from_message(commentary_pb2.GenerateRequest()) == CommentaryRequest(genres=())


@given(data=st.binary(max_size=200))
def test_whatever_parses_is_a_request_or_an_invalid_argument(data: bytes) -> None:
    message = commentary_pb2.GenerateRequest()
    try:
        message.ParseFromString(data)
    except Exception:  # noqa: BLE001 - gRPC refuses these itself
        return
    with contextlib.suppress(ContractError):
        assert 1 <= wire.request_from_message(message).num_samples <= 64


def test_a_description_carries_the_contracts_limits() -> None:
    encoded = wire.live_models_to_message(()).SerializeToString()
    limits = wire.limits_from_message(commentary_pb2.DescribeResponse.FromString(encoded))
    assert limits == wire.CONTRACT_LIMITS
    assert (limits.max_samples, limits.max_tokens, limits.max_sequences) == (64, 128, 1024)
