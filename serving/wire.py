"""Conversion between the contract's dataclasses and the gateway's protobuf messages, in both directions.

The protobuf messages contain no checks: ranges and defaults are in `handlers.contract` alone, so a request is validated
when its dataclass is created, on either side.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, MutableSequence
from dataclasses import asdict, dataclass, field, fields
from typing import Any, Final

from handlers import contract
from handlers.contract import (
    CommentaryRequest,
    CommentaryResponse,
    FinishReason,
    ModelIdentity,
    Sample,
    Timings,
    field_values,
)
from serving.interleaving import ArmAnswer, InterleavedResponse
from serving.v1 import commentary_pb2

ERROR_FIELD_METADATA: Final = "error-field"
"""Key of the trailing metadata that names the invalid field of the request."""
RETRY_PUSHBACK_METADATA: Final = "grpc-retry-pushback-ms"
"""Key of the trailing metadata for the pause before a retry; gRPC clients with a retry policy respect it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class NextStep:
    """Next step of a version's ramp."""

    weight: float
    """Weight from then on, in percent."""
    at_s: float
    """Time of the step, in seconds since 1970."""


@dataclass(frozen=True, slots=True, kw_only=True)
class LiveVersion:
    """One version that answers requests now."""

    version: str
    archive_sha256: str
    aliases: tuple[str, ...]
    in_flight: int
    topics: tuple[str, ...]
    """Names of the topics, in the order of `Sample.topics`."""
    desired_topic: str
    num_genres: int
    batch_size: int
    """Maximum number of requests in a worker's batch."""
    genres: tuple[str, ...] = ()
    """Labels of the model; empty, as are the fields below, until a worker has described itself."""
    lineage: Mapping[str, str] = field(default_factory=dict)
    """Origin of the model: corpus, runs, preset."""
    precision: str = ""
    """Precision of the weights: fp32, int8, fp16 or bf16."""
    slots: int = 0
    """Number of sequences that a worker decodes at a time."""
    threads: int = 0
    """Number of threads of a worker's decode: its share of the cores."""
    share: float = 0.0
    """Share of the requests without a pin, from 0 to 1."""
    shadow: bool = False
    """Whether it gets copies of the requests."""
    next_step: NextStep | None = None
    """Next step of its ramp; None if it has none, or the last one is taken."""
    answers: int = 0
    """Requests that the version has answered since the gateway started."""
    errors: int = 0
    """Valid requests that it has failed since then."""
    latency_p50_ms: float = 0.0
    """Time within which half of its answers of the last five minutes were given; 0 if there were none."""
    latency_p95_ms: float = 0.0
    shadow_outcomes: Mapping[str, int] = field(default_factory=dict)
    """Copies of requests that it got as a shadow, by outcome; empty if it got none."""
    workers_ready: int = 0
    """Number of workers that are able to answer; none of the version answers while it is 0."""
    workers_wanted: int = 0
    """Number of workers that the version should have; 0 from a gateway that does not watch them."""
    arm: bool = False
    """Whether it takes part in the model's experiment."""
    ranks_by_value: bool = False
    """Whether it has a value function, by which it can rank candidates."""
    rank_by: str = ""
    """Rule by which it ranks candidates where a request does not say; empty from a gateway that does not tell."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RequestLimits:
    """Limits of one request."""

    max_samples: int
    max_tokens: int
    max_best_of: int
    max_sequences: int
    """Maximum of num_samples times best_of."""
    max_genres: int
    max_bad_words: int
    max_text_length: int


@dataclass(frozen=True, slots=True, kw_only=True)
class LiveModel:
    """One model and its live versions."""

    name: str
    champion: str
    """Version that answers what no share gives to another; empty while there is none."""
    versions: tuple[LiveVersion, ...]
    policy_revision: str = ""
    """Digest of the shares, shadows, salt and units that count now; empty before the registry was read."""
    salt: str = ""
    """Salt of the hash that deals units out."""
    experiment: str = ""
    """Running experiment; empty while there is none."""
    experiment_design: str = ""
    """Design of the experiment: interleaved or sticky."""
    host: str = ""
    """Name of the gateway that described it, among those that follow the registry; empty if it told none."""


CONTRACT_LIMITS: Final = RequestLimits(
    max_samples=contract.MAX_SAMPLES,
    max_tokens=contract.MAX_TOKENS,
    max_best_of=contract.MAX_BEST_OF,
    max_sequences=contract.MAX_SEQUENCES,
    max_genres=contract.MAX_GENRES,
    max_bad_words=contract.MAX_BAD_WORDS,
    max_text_length=contract.MAX_TEXT_LENGTH,
)


def request_to_message(
    request: CommentaryRequest, *, model: str, version: str | None = None, interleave: bool = False
) -> commentary_pb2.GenerateRequest:
    """Encode a request for the gateway.

    Args:
        request: request for samples.
        model: registered model.
        version: live version to pin; None pins none.
        interleave: whether all arms of a running interleaved experiment are asked.

    Raises:
        ValueError, TypeError: `model` or `version` is not a string that UTF-8 can hold.
    """
    values = {name: value for name, value in request.to_mapping().items() if value is not None}
    return commentary_pb2.GenerateRequest(model=model, version=version, interleave=interleave, **values)


def request_from_message(message: commentary_pb2.GenerateRequest) -> CommentaryRequest:
    """Decode and check a request; fields the client left out get the contract's defaults.

    Raises:
        ContractError: INVALID_ARGUMENT, naming the first field whose value is out of range.
    """
    present = {descriptor.name: value for descriptor, value in message.ListFields()}
    document = {name: _plain(present[name]) for name in contract.REQUEST_FIELDS if name in present}
    return CommentaryRequest.from_mapping({"genres": (), **document})


def _plain(value: Any) -> Any:
    """Return a field's value, a tuple where the field is repeated."""
    return tuple(value) if isinstance(value, MutableSequence) else value


def response_to_message(
    response: CommentaryResponse, *, exposure_id: str = "", experiment: str = ""
) -> commentary_pb2.GenerateResponse:
    """Encode the answer of one version for the client.

    Args:
        response: the answer.
        exposure_id: key of its exposure.
        experiment: experiment to which it belongs; empty if it belongs to none.
    """
    model = commentary_pb2.ModelVersion(**field_values(response.model))
    timings = commentary_pb2.Timings(**field_values(response.timings))
    return commentary_pb2.GenerateResponse(
        samples=[commentary_pb2.Sample(**field_values(sample)) for sample in response.samples],
        model=model,
        genres_used=response.genres_used,
        genres_unknown=response.genres_unknown,
        timings=timings,
        request_id=response.request_id,
        trace_id=response.trace_id,
        arms=(
            commentary_pb2.ArmAnswer(
                model=model, timings=timings, exposure_id=exposure_id, genres_unknown=response.genres_unknown
            ),
        ),
        experiment=experiment,
    )


def samples_from_messages(messages: Iterable[commentary_pb2.Sample]) -> tuple[Sample, ...]:
    """Decode samples."""
    return tuple(map(_sample, messages))


def response_from_message(message: commentary_pb2.GenerateResponse) -> CommentaryResponse:
    """Decode a response; the inverse of `response_to_message`."""
    return CommentaryResponse(
        samples=samples_from_messages(message.samples),
        model=_identity(message.model),
        genres_used=tuple(message.genres_used),
        genres_unknown=tuple(message.genres_unknown),
        timings=_timings(message.timings),
        request_id=message.request_id if message.HasField("request_id") else None,
        trace_id=message.trace_id,
    )


def interleaved_to_message(response: InterleavedResponse) -> commentary_pb2.GenerateResponse:
    """Encode the answer of several versions for the client."""
    first = response.first
    return commentary_pb2.GenerateResponse(
        samples=[
            commentary_pb2.Sample(**field_values(sample), arm=arm)
            for sample, arm in zip(response.samples, response.sample_arms, strict=True)
        ],
        model=commentary_pb2.ModelVersion(**field_values(first.model)),
        genres_used=response.genres_used,
        genres_unknown=first.genres_unknown,
        timings=commentary_pb2.Timings(**field_values(first.timings)),
        request_id=response.request_id,
        trace_id=response.trace_id,
        arms=[
            commentary_pb2.ArmAnswer(
                model=commentary_pb2.ModelVersion(**field_values(arm.model)),
                timings=commentary_pb2.Timings(**field_values(arm.timings)),
                exposure_id=arm.exposure_id,
                error=arm.error,
                genres_unknown=arm.genres_unknown,
            )
            for arm in response.arms
        ],
        experiment=response.experiment,
    )


def interleaved_from_message(message: commentary_pb2.GenerateResponse) -> InterleavedResponse:
    """Decode the answer of one version or more; the inverse of `interleaved_to_message`.

    A gateway of an earlier release tells no arms: its answer has one, without the key of an exposure.

    Raises:
        ValueError: a sample names an arm that is not there.
    """
    arms = tuple(
        ArmAnswer(
            model=_identity(arm.model),
            timings=_timings(arm.timings),
            exposure_id=arm.exposure_id,
            error=arm.error,
            genres_unknown=tuple(arm.genres_unknown),
        )
        for arm in message.arms
    )
    only = ArmAnswer(
        model=_identity(message.model),
        timings=_timings(message.timings),
        exposure_id="",
        genres_unknown=tuple(message.genres_unknown),
    )
    return InterleavedResponse(
        samples=samples_from_messages(message.samples),
        sample_arms=tuple(sample.arm for sample in message.samples),
        arms=arms or (only,),
        experiment=message.experiment,
        genres_used=tuple(message.genres_used),
        request_id=message.request_id if message.HasField("request_id") else None,
        trace_id=message.trace_id,
    )


def _sample(message: commentary_pb2.Sample) -> Sample:
    return Sample(
        text=message.text,
        token_count=message.token_count,
        log_prob=message.log_prob,
        topics=tuple(message.topics),
        seed=message.seed,
        finish_reason=FinishReason.parse(message.finish_reason),
        value=message.value if message.HasField("value") else None,
    )


def _identity(message: commentary_pb2.ModelVersion) -> ModelIdentity:
    return ModelIdentity(name=message.name, version=message.version, archive_sha256=message.archive_sha256)


def _timings(message: commentary_pb2.Timings) -> Timings:
    return Timings(queue_ms=message.queue_ms, decode_ms=message.decode_ms)


def live_models_to_message(models: tuple[LiveModel, ...], *, host: str = "") -> commentary_pb2.DescribeResponse:
    """Encode what is live, together with the contract's limits.

    Args:
        models: live models, whose own `host` does not count.
        host: name of the gateway; empty if it has none.
    """
    return commentary_pb2.DescribeResponse(
        host=host,
        models=[
            commentary_pb2.LiveModel(
                name=model.name,
                champion=model.champion,
                versions=[commentary_pb2.LiveVersion(**asdict(version)) for version in model.versions],
                policy_revision=model.policy_revision,
                salt=model.salt,
                experiment=model.experiment,
                experiment_design=model.experiment_design,
            )
            for model in models
        ],
        limits=commentary_pb2.Limits(**asdict(CONTRACT_LIMITS)),
    )


def live_models_from_message(message: commentary_pb2.DescribeResponse) -> tuple[LiveModel, ...]:
    """Decode what is live; the inverse of `live_models_to_message`."""
    return tuple(
        LiveModel(
            name=model.name,
            champion=model.champion,
            versions=tuple(
                LiveVersion(
                    version=version.version,
                    archive_sha256=version.archive_sha256,
                    aliases=tuple(version.aliases),
                    in_flight=version.in_flight,
                    topics=tuple(version.topics),
                    desired_topic=version.desired_topic,
                    num_genres=version.num_genres,
                    batch_size=version.batch_size,
                    genres=tuple(version.genres),
                    lineage=dict(version.lineage),
                    precision=version.precision,
                    slots=version.slots,
                    threads=version.threads,
                    share=version.share,
                    shadow=version.shadow,
                    next_step=(
                        NextStep(weight=version.next_step.weight, at_s=version.next_step.at_s)
                        if version.HasField("next_step")
                        else None
                    ),
                    answers=version.answers,
                    errors=version.errors,
                    latency_p50_ms=version.latency_p50_ms,
                    latency_p95_ms=version.latency_p95_ms,
                    shadow_outcomes=dict(version.shadow_outcomes),
                    workers_ready=version.workers_ready,
                    workers_wanted=version.workers_wanted,
                    arm=version.arm,
                    ranks_by_value=version.ranks_by_value,
                    rank_by=version.rank_by,
                )
                for version in model.versions
            ),
            policy_revision=model.policy_revision,
            salt=model.salt,
            experiment=model.experiment,
            experiment_design=model.experiment_design,
            host=message.host,
        )
        for model in message.models
    )


def limits_from_message(message: commentary_pb2.DescribeResponse) -> RequestLimits:
    """Decode what may be asked for."""
    return RequestLimits(**{field.name: getattr(message.limits, field.name) for field in fields(RequestLimits)})
