"""The wire contract: requests, answers, and both as JSON.

Only the standard library is imported here, because the bot, the load test, the gateway and the worker all share this
module and the first two run where torch is not installed.

    request  ->  JSON object in TorchServe's `data` field        (`CommentaryRequest`)
                 and, beside it, `start_by` and `traceparent`    (`START_BY_FIELD`, `TRACEPARENT_FIELD`)
    answer   ->  {"result": {...}}  or  {"error": {...}}          (`CommentaryResponse` or `ContractError`)

A request's sampling parameters are an object of their own in Python and lie flat beside the other fields on the wire.

TorchServe fails a whole batch when a handler raises, and turns most faults into INTERNAL, so errors travel in band,
one per request of the batch, and the gateway translates them to gRPC status codes.
"""

from __future__ import annotations

import json
import re
import unicodedata
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, fields
from enum import StrEnum
from typing import Any, Final

from foundation.commentary_errors import RequestError

INPUT_FIELD: Final = "data"
"""The key of TorchServe's input map that holds the request."""
START_BY_FIELD: Final = "start_by"
"""The key of TorchServe's input map that holds the latest moment at which the request's decode may start: a decimal
number of seconds of CLOCK_MONOTONIC (`time.monotonic()`), which all processes of a machine share. Absent: no limit."""
TRACEPARENT_FIELD: Final = "traceparent"
"""The key of TorchServe's input map that holds the context of the request's trace, as W3C writes it in the header of
that name. The answer to a request that has one tells the times of its batch (`BatchTimes`)."""

ARCHIVE_TAG: Final = "archive"
"""Registry tag of a model version: the run's artifact path of its archive."""
ARCHIVE_SHA256_TAG: Final = "archive_sha256"
"""Registry tag of a model version: the SHA-256 of its archive, in hexadecimal."""
CHAMPION: Final = "champion"
"""Registry alias of the version that answers requests without a pin."""
CHALLENGER: Final = "challenger"
"""Registry alias of a version that is served for requests that pin it."""
PREVIOUS: Final = "previous"
"""Registry alias of the champion before it, kept live so that a rollback takes effect at once."""
ARCHIVE_CONFIG: Final = "config.json"
"""Member of an archive: the bundle's configuration (model name, lineage, sizes, desired topic)."""
CONTRACT_FIELD: Final = "contract"
"""Field of an archive's configuration: the version of the request's JSON that its worker reads."""
CONTRACT: Final = 4
"""Version of the request's JSON that this code writes. It reads versions 1 to 3 as well."""
BATCHES_CONTRACT: Final = 3
"""First version whose worker reads several requests from one call (`handlers.batches`)."""
PARTS_CONTRACT: Final = 4
"""First version whose worker reads parts of requests from such a call: some of a request's samples by themselves."""
TRACES_CONTRACT: Final = 4
"""First version whose worker reads the context of a request's trace (`TRACEPARENT_FIELD`)."""
FIRST_CONTRACT: Final = 1
"""Version that an archive reads whose configuration has none. In it, `no_repeat_ngram_size` is `no_repeat_ngram` and
`bad_words` is `banned`."""
THREADS_FILE_VARIABLE: Final = "DEEPHYPEBOT_THREADS_FILE"
"""Environment variable of a worker: path of the file that holds the number of threads its decode may use."""

MAX_SAMPLES: Final = 64
MAX_TOKENS: Final = 128
MAX_BEST_OF: Final = 16
DEFAULT_BEST_OF: Final = 16
"""Candidates decoded for each sample of a request that does not say, by models that can rank them and stop hopeless
ones early (`handlers.model.acceptability`)."""
MAX_SEQUENCES: Final = MAX_SAMPLES * MAX_BEST_OF
"""Bound on num_samples * best_of, the sequences that one request may add to a decode. Every number of samples may have
every number of candidates, so that the first samples of a request are those of a request for fewer."""
MAX_GENRES: Final = 64
MAX_BAD_WORDS: Final = 64
MAX_TEXT_LENGTH: Final = 200
"""Characters in a genre, a bad word, an artist, a title, a topic, a unit or a request id."""
MAX_SEED: Final = 2**63 - 1
DEFAULT_TEMPERATURE: Final = 0.7
"""Colder than real text's variety asks for: of the sentences that are chosen from 16 candidates, blind readers post
twice as many at 0.7 as at 1 (docs/measurements/quality.md)."""
DEFAULT_TOP_P: Final = 0.92
RANGES: Final[Mapping[str, tuple[float, float]]] = {
    "temperature": (0.0, 5.0),
    "top_k": (0, 1_000_000),
    "top_p": (1e-6, 1.0),
    "min_p": (0.0, 1.0),
    "max_tokens": (1, MAX_TOKENS),
    "guidance": (0.0, 10.0),
    "min_tokens": (0, MAX_TOKENS),
    "no_repeat_ngram_size": (0, MAX_TOKENS),
    "num_samples": (1, MAX_SAMPLES),
    "seed": (0, MAX_SEED),
    "best_of": (1, MAX_BEST_OF),
}
"""Smallest and largest value of each number of a request."""
_MAX_SHOWN: Final = 60
_SINGLE_WORD: Final = re.compile(r"[\w'’\-]+")
"""A word as `handlers.decoding.constraints.word_repeats` splits words."""


def archive_name(model: str, version: str) -> str:
    """File name of a version's archive.

    >>> archive_name("lcgan", "2")
    'lcgan_2.mar'
    """
    return f"{model}_{version}.mar"


class ErrorCode(StrEnum):
    """Names of the gRPC status codes that a worker may answer with."""

    INVALID_ARGUMENT = "INVALID_ARGUMENT"
    DEADLINE_EXCEEDED = "DEADLINE_EXCEEDED"
    """The decode could not start by the moment that was sent as its latest start."""
    INTERNAL = "INTERNAL"


class FinishReason(StrEnum):
    """Reason why a sample ended."""

    STOP = "stop"
    """The sentence ended by itself."""
    LENGTH = "length"
    """The sample reached max_tokens, and its sentence is cut off."""

    @classmethod
    def parse(cls, text: object) -> FinishReason | None:
        """Return the reason of that name, or None for any other value.

        >>> FinishReason.parse("stop"), FinishReason.parse("")
        (<FinishReason.STOP: 'stop'>, None)
        """
        return cls(text) if isinstance(text, str) and text in _REASONS else None


class RankBy(StrEnum):
    """Rule by which the best of a sample's candidates is chosen."""

    ACCEPTABILITY = "acceptability"
    """Score of the archive, whose weights are fitted on what readers accepted."""
    VALUE = "value"
    """Probability that a curator accepts it, by the value function of an archive that learned from verdicts."""
    BOTH = "both"
    """Sum of the log odds of that probability and the score, at a ratio that is the same for all archives."""

    @property
    def needs_values(self) -> bool:
        """Whether only archives with a value function have it."""
        return self is not RankBy.ACCEPTABILITY


_RULES: Final = tuple(rule.value for rule in RankBy)
_REASONS: Final = frozenset(reason.value for reason in FinishReason)


class ContractError(RequestError, ValueError):
    """A request that cannot be answered.

    Attributes:
        code: which side is at fault.
        field: the request's field at fault, empty when there is no single one.
        message: what is wrong with the value and what would be right.
    """

    def __init__(self, code: ErrorCode, field: str, message: str) -> None:
        super().__init__(code, message)
        self.args = (f"{field}: {message}" if field else message,)
        self.code: ErrorCode = code
        self.field = field


@dataclass(frozen=True, slots=True, kw_only=True)
class SamplingParams:
    """Sampling parameters: the settings that decide how a sequence's tokens are drawn.

    They are the same for every sequence of a request. Its seed, its number of samples and its number of candidates are
    not among them: those decide which sequences are decoded, and are fields of `CommentaryRequest`.

    A new option is a field here with a default that changes nothing, and a value in `EXAMPLE_SAMPLING`. It is sent to
    workers only where it differs from its default.

    Raises:
        ContractError: INVALID_ARGUMENT, naming the first field whose type or range is wrong.
    """

    temperature: float = DEFAULT_TEMPERATURE
    """Divisor of the logits; 0 takes the most likely token at each step."""
    top_k: int = 0
    """Keep only the k most likely tokens; 0 keeps all."""
    top_p: float = DEFAULT_TOP_P
    """Keep the most likely tokens that together reach this probability; 1 keeps all."""
    min_p: float = 0.0
    """Drop tokens less likely than this share of the most likely one; 0 drops none."""
    max_tokens: int = 64
    """Maximum length of a sample in tokens, its end included."""
    guidance: float = 1.0
    """Weight of the genres (classifier-free guidance): 1 is the model itself, 2 stresses them, 0 ignores them."""
    min_tokens: int = 0
    """Minimum length of a sample in tokens, its end included. A sample is shorter all the same when everything that
    could go on is forbidden."""
    no_repeat_ngram_size: int = 0
    """Size n of the n-grams of tokens that occur at most once in a sample; 0 allows all."""
    bad_words: tuple[str, ...] | list[str] = ()
    """Words that no sample contains, case ignored, however they are spelled in tokens. A word ends where a character
    that is not part of a word follows, so "pop" forbids neither "pops" nor "synth-pop". The song's names are put in as
    they are."""

    def __post_init__(self) -> None:
        _make_tuple(self, "bad_words")
        _check_float("temperature", self.temperature)
        _check_int("top_k", self.top_k)
        _check_float("top_p", self.top_p)
        _check_float("min_p", self.min_p)
        _check_int("max_tokens", self.max_tokens)
        _check_float("guidance", self.guidance)
        _check_int("min_tokens", self.min_tokens)
        if self.min_tokens > self.max_tokens:
            raise _invalid("min_tokens", f"must be at most max_tokens, {self.max_tokens}, got {self.min_tokens}")
        _check_int("no_repeat_ngram_size", self.no_repeat_ngram_size)
        _check_bad_words(self.bad_words)


@dataclass(frozen=True, slots=True, kw_only=True)
class CommentaryRequest:
    """One request for samples, checked when it is made.

    Raises:
        ContractError: INVALID_ARGUMENT, naming the first field whose type or range is wrong.
    """

    genres: tuple[str, ...] | list[str] = ()
    """The song's genres; may be empty. Unknown ones are answered and listed."""
    artist: str | None = None
    """Text that replaces the placeholder `<artist>`."""
    title: str | None = None
    """Text that replaces the placeholder `<title>`."""
    num_samples: int = 5
    sampling: SamplingParams = field(default_factory=SamplingParams)
    """Sampling parameters. On the wire each is a field of the request."""
    seed: int | None = None
    """Same seed, same weights, same text. The worker draws one when it is absent, and reports it."""
    best_of: int | None = None
    """Candidates decoded for each sample, of which the best is returned; None leaves the number to the model:
    `DEFAULT_BEST_OF`, or 1 by models of earlier versions."""
    rank_by: RankBy = RankBy.ACCEPTABILITY
    """Rule by which the best of the candidates is chosen; an empty text is the default. Archives without
    a value function refuse the other rules. The field is sent only where it differs from the default."""
    topic: str | None = None
    """A topic to steer to, by number or name as the model's description lists them; its desired one when absent."""
    unit: str | None = None
    """Key of sticky assignment in a split."""
    request_id: str | None = None

    def __post_init__(self) -> None:
        _make_tuple(self, "genres")
        _check_texts("genres", self.genres, MAX_GENRES, "genres")
        for name in ("artist", "title", "topic", "unit", "request_id"):
            _check_text(name, getattr(self, name))
        _check_int("num_samples", self.num_samples)
        if self.seed is not None:
            _check_int("seed", self.seed)
        if self.best_of is not None:
            _check_int("best_of", self.best_of)
        object.__setattr__(self, "rank_by", _rule(self.rank_by))

    def to_mapping(self) -> dict[str, Any]:
        """Return the values of the wire's fields (`REQUEST_FIELDS`), None where one is absent.

        >>> request = CommentaryRequest(genres=("ambient",), sampling=SamplingParams(top_k=40))
        >>> request.to_mapping()["top_k"]
        40
        """
        values = field_values(self)
        return {**field_values(values.pop("sampling")), **values}

    def to_json(self, contract: int = CONTRACT) -> bytes:
        """Encode for TorchServe's `data` field; fields at None are omitted, as are later ones at their default.

        Args:
            contract: version of the JSON that the archive's worker reads.
        """
        values = self.to_mapping()
        document = {name: value for name, value in values.items() if value != _OMITTED.get(name)}
        if contract == FIRST_CONTRACT:
            document = {FIRST_NAMES.get(name, name): value for name, value in document.items()}
        return json.dumps(document, ensure_ascii=False, separators=(",", ":")).encode()

    @classmethod
    def from_json(cls, payload: bytes | bytearray | str) -> CommentaryRequest:
        """Decode and check a request.

        Raises:
            ContractError: INVALID_ARGUMENT for anything but a JSON object of known, well-typed fields.
        """
        return cls.from_mapping(_loads(payload))

    @classmethod
    def from_mapping(cls, document: object) -> CommentaryRequest:
        """Check a decoded JSON document of either version; see `from_json`."""
        if not isinstance(document, Mapping):
            raise _invalid("", f"the request must be a JSON object, got {type(document).__name__}")
        values = {name: value for name, value in _renamed(document).items() if value is not None}
        if "genres" not in values:
            raise _invalid("genres", "is required (it may be an empty list)")
        for name in ("genres", "bad_words"):
            if name in values:
                values[name] = _as_tuple(name, values[name])
        sampling = {name: values.pop(name) for name in SAMPLING_FIELDS if name in values}
        return cls(**values, sampling=SamplingParams(**sampling))


SAMPLING_FIELDS: Final = tuple(each.name for each in fields(SamplingParams))
"""Names of the sampling parameters, in Python and on the wire."""
REQUEST_FIELDS: Final = (
    *(each.name for each in fields(CommentaryRequest) if each.name != "sampling"),
    *SAMPLING_FIELDS,
)
"""Names of a request's fields on the wire."""

_FIRST_SAMPLING_FIELDS: Final = frozenset({"temperature", "top_k", "top_p", "min_p", "max_tokens"})
_OMITTED: Final[Mapping[str, Any]] = {
    "rank_by": RankBy.ACCEPTABILITY,
    **{each.name: each.default for each in fields(SamplingParams) if each.name not in _FIRST_SAMPLING_FIELDS},
}
"""Fields that came later, by the defaults at which they change nothing. An archive runs the code that it
was packed with, and refuses fields that its code lacks: they are sent only where a client sets them."""
FIRST_NAMES: Final[Mapping[str, str]] = {"no_repeat_ngram_size": "no_repeat_ngram", "bad_words": "banned"}
"""Names of fields in version 1 of the JSON, where they differ."""


def _renamed(document: Mapping[str, Any]) -> dict[str, Any]:
    """Return a request with the names of this version, whichever version it was written in."""
    values = dict(document)
    for name, first_name in FIRST_NAMES.items():
        if first_name in values:
            if name in values:
                raise _invalid(first_name, f"is the former name of {name}; give only one of them")
            values[name] = values.pop(first_name)
    for key in values:
        if key not in REQUEST_FIELDS:
            raise _invalid(_shown(key), f"unknown field; known fields are {', '.join(sorted(REQUEST_FIELDS))}")
    return values


@dataclass(frozen=True, slots=True, kw_only=True)
class Sample:
    """One generated sentence."""

    text: str
    token_count: int
    """Tokens decoded, the end of the sentence included when it was reached."""
    log_prob: float
    """Sum of the tokens' log-probabilities under the model at temperature 1, in nats."""
    topics: tuple[float, ...]
    """Share of each topic of the model's topic model."""
    seed: int
    """Seed with which a request for one sample, with `best_of` 1, gives this text again."""
    finish_reason: FinishReason | None = None
    """Reason why it ended; None where the worker does not report it, as those of earlier archives do not."""
    value: float | None = None
    """Probability that a curator accepts it; None where the request does not rank by it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelIdentity:
    """The model version that answered."""

    name: str
    version: str
    archive_sha256: str = ""
    """SHA-256 of the archive. The gateway fills it in, because an archive cannot contain its own hash."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Timings:
    """Durations of a request's stages, in milliseconds."""

    queue_ms: float = 0.0
    """Time outside the worker's computation as the gateway measured it: transport, batching delay, waiting."""
    decode_ms: float = 0.0
    """Time of the worker's computation for the whole batch: the decode, the topics and the choice of the best."""


@dataclass(frozen=True, slots=True, kw_only=True)
class BatchTimes:
    """Moments of a worker's batch, in seconds of CLOCK_MONOTONIC (`time.monotonic()`), and its size.

    >>> times = BatchTimes(
    ...     started=7.0, decode_started=7.01, decode_ended=7.2, ended=7.25, requests=2, sequences=160, tokens=2100
    ... )
    >>> BatchTimes.from_mapping(field_values(times)) == times
    True
    """

    started: float
    decode_started: float
    decode_ended: float
    """Moment at which the last sequence ended; topic shares and the choice of the best follow."""
    ended: float
    requests: int
    """Requests that were decoded together."""
    sequences: int
    tokens: int
    """Tokens of all sequences, those of candidates that were not chosen included."""

    @classmethod
    def from_mapping(cls, document: Mapping[str, Any]) -> BatchTimes:
        """Rebuild times from their JSON document; values that a later worker adds are left out.

        Raises:
            KeyError, TypeError, ValueError: the document does not hold all of these times.
        """
        return cls(
            started=float(document["started"]),
            decode_started=float(document["decode_started"]),
            decode_ended=float(document["decode_ended"]),
            ended=float(document["ended"]),
            requests=int(document["requests"]),
            sequences=int(document["sequences"]),
            tokens=int(document["tokens"]),
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class CommentaryResponse:
    """The answer to one `CommentaryRequest`."""

    samples: tuple[Sample, ...]
    model: ModelIdentity
    genres_used: tuple[str, ...]
    """Genre labels of the model that the request's genres were mapped to."""
    genres_unknown: tuple[str, ...]
    """Genres of the request for which the model has no label, not even a coarser one."""
    timings: Timings = Timings()
    request_id: str | None = None
    batch: BatchTimes | None = None
    """Times of the worker's batch; None unless the request has the context of a trace."""
    trace_id: str = ""
    """Trace of the request, 32 hexadecimal digits; empty if it belongs to none. The gateway fills it in."""

    def to_mapping(self) -> dict[str, Any]:
        """Return the JSON document of the response; what only traced requests have is left out of the others."""
        document = {
            **field_values(self),
            "samples": [_sample_values(sample) for sample in self.samples],
            "model": field_values(self.model),
            "timings": field_values(self.timings),
            "batch": None if self.batch is None else field_values(self.batch),
        }
        for name in ("batch", "trace_id"):
            if not document[name]:
                del document[name]
        return document

    @classmethod
    def from_mapping(cls, document: Mapping[str, Any]) -> CommentaryResponse:
        """Rebuild a response from its JSON document; the inverse of `to_mapping`."""
        return cls(
            samples=tuple(_sample(sample) for sample in document["samples"]),
            model=ModelIdentity(**document["model"]),
            genres_used=tuple(document["genres_used"]),
            genres_unknown=tuple(document["genres_unknown"]),
            timings=Timings(**document["timings"]),
            request_id=document.get("request_id"),
            batch=BatchTimes.from_mapping(document["batch"]) if document.get("batch") else None,
            trace_id=document.get("trace_id", ""),
        )


def field_values(value: Any) -> dict[str, Any]:
    """Return a dataclass's values by name, without the copies of `asdict`, which take most of an answer's time."""
    # `fields` would make a tuple of them each time, which costs more than the rest.
    return {name: getattr(value, name) for name in value.__dataclass_fields__}


def _sample_values(sample: Sample) -> dict[str, Any]:
    """Return the JSON of a sample; without a value it is what earlier versions sent."""
    values = field_values(sample)
    if sample.value is None:
        del values["value"]
    return values


def encode_answer(answer: CommentaryResponse | ContractError) -> str:
    """Encode the answer to one request as the worker sends it."""
    if isinstance(answer, ContractError):
        document: dict[str, Any] = {
            "error": {"code": answer.code.value, "field": answer.field, "message": answer.message}
        }
    else:
        document = {"result": answer.to_mapping()}
    return json.dumps(document, ensure_ascii=False, separators=(",", ":"))


def decode_answer(payload: bytes | str) -> CommentaryResponse:
    """Decode the answer to one request.

    Raises:
        ContractError: the error that the worker sent in band, or INTERNAL if the payload is not an answer.
    """
    answer = answer_from_document(_document(payload))
    if isinstance(answer, ContractError):
        raise answer
    return answer


def answer_from_document(document: Any) -> CommentaryResponse | ContractError:
    """Return the answer that a decoded JSON document holds: a response, or the error that the worker sent in band.

    Any other document gives an error INTERNAL.
    """
    try:
        if "error" in document:
            error = document["error"]
            return ContractError(ErrorCode(error["code"]), str(error["field"]), str(error["message"]))
        return CommentaryResponse.from_mapping(document["result"])
    except (ValueError, KeyError, TypeError) as cause:
        return unreadable_answer(cause)


def unreadable_answer(cause: Exception) -> ContractError:
    """Return the error of a payload that a worker cannot have meant as an answer."""
    return ContractError(ErrorCode.INTERNAL, "", f"the worker's answer could not be read: {cause!r}")


def _document(payload: bytes | str) -> Any:
    try:
        return json.loads(payload)
    except (ValueError, RecursionError) as cause:
        raise unreadable_answer(cause) from cause


def _sample(document: Mapping[str, Any]) -> Sample:
    values = {"finish_reason": None, **document}
    reason = FinishReason.parse(values["finish_reason"])
    return Sample(**{**values, "topics": tuple(values["topics"]), "finish_reason": reason})


def _loads(payload: bytes | bytearray | str) -> object:
    try:
        return json.loads(payload)
    except (ValueError, RecursionError) as cause:
        raise _invalid("", f"the request is not valid JSON: {cause}") from cause


def _invalid(field: str, message: str) -> ContractError:
    return ContractError(ErrorCode.INVALID_ARGUMENT, field, message)


def _rule(value: object) -> RankBy:
    if not isinstance(value, str):
        raise _invalid("rank_by", f"must be a string, got {type(value).__name__}")
    if value and value not in _RULES:
        raise _invalid("rank_by", f"must be one of {', '.join(_RULES)}, got {_shown(value)!r}")
    return RankBy(value or RankBy.ACCEPTABILITY)


def _as_tuple(name: str, value: object) -> tuple[Any, ...]:
    if not isinstance(value, list | tuple):
        raise _invalid(name, f"must be a list of strings, got {type(value).__name__}")
    return tuple(value)


def _make_tuple(of: CommentaryRequest | SamplingParams, name: str) -> None:
    """Replace a list by a tuple, which cannot change behind the checks."""
    if isinstance(values := getattr(of, name), list):
        object.__setattr__(of, name, tuple(values))


def _check_texts(name: str, values: object, maximum: int, what: str) -> None:
    if not isinstance(values, tuple):
        raise _invalid(name, f"must be a list of strings, got {type(values).__name__}")
    if len(values) > maximum:
        raise _invalid(name, f"must hold at most {maximum} {what}, got {len(values)}")
    for value in values:
        if value is None:
            raise _invalid(name, "must hold strings, got NoneType")
        _check_text(name, value)


def _check_bad_words(bad_words: Iterable[str]) -> None:
    _check_texts("bad_words", bad_words, MAX_BAD_WORDS, "words")
    for word in bad_words:
        # Composed, as in the corpus: a separate combining mark would split the word.
        if not _SINGLE_WORD.fullmatch(unicodedata.normalize("NFC", word)):
            raise _invalid(
                "bad_words", f"must hold single words (letters, digits, apostrophes and hyphens), got {_shown(word)!r}"
            )


def _check_text(name: str, value: object) -> None:
    if value is None:
        return
    if not isinstance(value, str):
        raise _invalid(name, f"must be a string, got {type(value).__name__}")
    if len(value) > MAX_TEXT_LENGTH:
        raise _invalid(name, f"must have at most {MAX_TEXT_LENGTH} characters, got {len(value)}")
    # Control characters (Cc) would garble a terminal or a log, surrogates (Cs) cannot be written as UTF-8.
    if any(unicodedata.category(character) in {"Cc", "Cs"} for character in value):
        raise _invalid(name, "must not hold control characters or lone surrogates")


def _check_int(name: str, value: object) -> None:
    low, high = RANGES[name]
    # bool is an int in Python, but true is not a count.
    if not isinstance(value, int) or isinstance(value, bool):
        raise _invalid(name, f"must be an integer, got {type(value).__name__}")
    if not low <= value <= high:
        raise _invalid(name, f"must be between {low} and {high}, got {_shown(value)}")


def _check_float(name: str, value: object) -> None:
    low, high = RANGES[name]
    if not isinstance(value, int | float) or isinstance(value, bool):
        raise _invalid(name, f"must be a number, got {type(value).__name__}")
    # NaN compares false with everything, so it is refused like any value out of range.
    if not low <= value <= high:
        raise _invalid(name, f"must be between {low:g} and {high:g}, got {_shown(value)}")


def _shown(value: object) -> str:
    """Shorten a client's value or key for a message, and make it fit for UTF-8."""
    try:
        text = str(value)
    except ValueError:  # an integer of more digits than Python turns into text
        return "a number of thousands of digits"
    return text[:_MAX_SHOWN].encode(errors="backslashreplace").decode() + ("..." if len(text) > _MAX_SHOWN else "")


EXAMPLE_SAMPLING: Final = SamplingParams(
    temperature=0.5,
    top_k=5,
    top_p=0.4,
    min_p=0.3,
    max_tokens=4,
    guidance=3.0,
    min_tokens=4,
    no_repeat_ngram_size=1,
    bad_words=("wa", "wb", "wc"),
)
"""Sampling parameters of which each differs from its default, for the warm-up and for tests."""
