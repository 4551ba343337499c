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

from handlers.contract.answer import (
    BatchTimes,
    CommentaryResponse,
    FinishReason,
    ModelIdentity,
    Sample,
    Timings,
    answer_from_document,
    decode_answer,
    encode_answer,
    unreadable_answer,
)
from handlers.contract.errors import ContractError, ErrorCode
from handlers.contract.limits import (
    DEFAULT_BEST_OF,
    DEFAULT_TEMPERATURE,
    DEFAULT_TOP_P,
    MAX_BAD_WORDS,
    MAX_BEST_OF,
    MAX_GENRES,
    MAX_SAMPLES,
    MAX_SEED,
    MAX_SEQUENCES,
    MAX_TEXT_LENGTH,
    MAX_TOKENS,
    RANGES,
)
from handlers.contract.names import (
    ARCHIVE_CONFIG,
    ARCHIVE_SHA256_TAG,
    ARCHIVE_SIGNATURE_TAG,
    ARCHIVE_TAG,
    BATCHES_CONTRACT,
    CHALLENGER,
    CHAMPION,
    COMPILED_VARIABLE,
    CONTRACT,
    CONTRACT_FIELD,
    FIRST_CONTRACT,
    INPUT_FIELD,
    KERNEL_CACHE_VARIABLE,
    PARTS_CONTRACT,
    PREVIOUS,
    RANK_BY_FIELD,
    RULES_CONTRACT,
    START_BY_FIELD,
    THREADS_FILE_VARIABLE,
    TRACEPARENT_FIELD,
    TRACES_CONTRACT,
    archive_name,
)
from handlers.contract.request import FIRST_NAMES, REQUEST_FIELDS, CommentaryRequest
from handlers.contract.sampling import EXAMPLE_SAMPLING, SAMPLING_FIELDS, RankBy, SamplingParams
from handlers.contract.values import field_values

__all__ = [
    "ARCHIVE_CONFIG",
    "ARCHIVE_SHA256_TAG",
    "ARCHIVE_SIGNATURE_TAG",
    "ARCHIVE_TAG",
    "BATCHES_CONTRACT",
    "CHALLENGER",
    "CHAMPION",
    "COMPILED_VARIABLE",
    "CONTRACT",
    "CONTRACT_FIELD",
    "DEFAULT_BEST_OF",
    "DEFAULT_TEMPERATURE",
    "DEFAULT_TOP_P",
    "EXAMPLE_SAMPLING",
    "FIRST_CONTRACT",
    "FIRST_NAMES",
    "INPUT_FIELD",
    "KERNEL_CACHE_VARIABLE",
    "MAX_BAD_WORDS",
    "MAX_BEST_OF",
    "MAX_GENRES",
    "MAX_SAMPLES",
    "MAX_SEED",
    "MAX_SEQUENCES",
    "MAX_TEXT_LENGTH",
    "MAX_TOKENS",
    "PARTS_CONTRACT",
    "PREVIOUS",
    "RANGES",
    "RANK_BY_FIELD",
    "REQUEST_FIELDS",
    "RULES_CONTRACT",
    "SAMPLING_FIELDS",
    "START_BY_FIELD",
    "THREADS_FILE_VARIABLE",
    "TRACEPARENT_FIELD",
    "TRACES_CONTRACT",
    "BatchTimes",
    "CommentaryRequest",
    "CommentaryResponse",
    "ContractError",
    "ErrorCode",
    "FinishReason",
    "ModelIdentity",
    "RankBy",
    "Sample",
    "SamplingParams",
    "Timings",
    "answer_from_document",
    "archive_name",
    "decode_answer",
    "encode_answer",
    "field_values",
    "unreadable_answer",
]
