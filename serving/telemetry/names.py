"""Names of spans, attributes and events, in one place.

Those of OpenTelemetry are of its semantic conventions 0.66b2, where `gen_ai.*`, `feature_flag.*` and `rpc.*` have the
status "development": a later version may rename them. The definition of `gen_ai.*` goes on in a repository of its own,
semantic-conventions-genai. A test compares all of them with the installed package. Names of our own begin with
`deephypebot.`.
"""

from __future__ import annotations

from typing import Final

# Resource.
SERVICE_NAME: Final = "service.name"
SERVICE_VERSION: Final = "service.version"

# Remote procedure calls.
RPC_SYSTEM: Final = "rpc.system.name"
RPC_METHOD: Final = "rpc.method"
RPC_STATUS: Final = "rpc.response.status_code"
SERVER_ADDRESS: Final = "server.address"
ERROR_TYPE: Final = "error.type"

# Generation of text.
OPERATION: Final = "gen_ai.operation.name"
PROVIDER: Final = "gen_ai.provider.name"
REQUEST_MODEL: Final = "gen_ai.request.model"
REQUEST_TEMPERATURE: Final = "gen_ai.request.temperature"
REQUEST_TOP_K: Final = "gen_ai.request.top_k"
REQUEST_TOP_P: Final = "gen_ai.request.top_p"
REQUEST_MAX_TOKENS: Final = "gen_ai.request.max_tokens"
REQUEST_SEED: Final = "gen_ai.request.seed"
REQUEST_CHOICES: Final = "gen_ai.request.choice.count"
RESPONSE_ID: Final = "gen_ai.response.id"
"""Id of the exposure of an answer."""
RESPONSE_MODEL: Final = "gen_ai.response.model"
RESPONSE_FINISH_REASONS: Final = "gen_ai.response.finish_reasons"
OUTPUT_TOKENS: Final = "gen_ai.usage.output_tokens"
EVALUATION_NAME: Final = "gen_ai.evaluation.name"
EVALUATION_VALUE: Final = "gen_ai.evaluation.score.value"
EVALUATION_LABEL: Final = "gen_ai.evaluation.score.label"
EVALUATION_EXPLANATION: Final = "gen_ai.evaluation.explanation"

# Versions, which are dealt out as the variants of a feature flag are.
FLAG_KEY: Final = "feature_flag.key"
FLAG_VARIANT: Final = "feature_flag.result.variant"
FLAG_REASON: Final = "feature_flag.result.reason"
FLAG_CONTEXT_ID: Final = "feature_flag.context.id"
FLAG_PROVIDER: Final = "feature_flag.provider.name"
FLAG_SET_ID: Final = "feature_flag.set.id"

# Our own.
REQUEST_ID: Final = "deephypebot.request.id"
EXPERIMENT: Final = "deephypebot.experiment"
ATTEMPT: Final = "deephypebot.attempt"
"""Number of the attempt, from 1; a request is asked once more where its worker was lost."""
BATCH_ID: Final = "deephypebot.batch.id"
"""Key that the requests of one batch share."""
BATCH_REQUESTS: Final = "deephypebot.batch.requests"
BATCH_SEQUENCES: Final = "deephypebot.batch.sequences"
BATCH_TOKENS: Final = "deephypebot.batch.tokens"
SOURCE_POST: Final = "deephypebot.source_post.id"
SONGS: Final = "deephypebot.songs"
CANDIDATES: Final = "deephypebot.candidates"
CANDIDATE: Final = "deephypebot.candidate.id"

# Values.
GRPC: Final = "grpc"
TEXT_COMPLETION: Final = "text_completion"
DEEPHYPEBOT: Final = "deephypebot"
CURATOR_VERDICT: Final = "curator_verdict"
"""Name of the evaluation whose score is a curator's verdict."""

# Spans and events.
GENERATE: Final = "deephypebot.v1.Commentary/Generate"
GENERATE_STREAM: Final = "deephypebot.v1.Commentary/GenerateStream"
PREDICTIONS: Final = "org.pytorch.serve.grpc.inference.InferenceAPIsService/Predictions"
ADMISSION: Final = "admission wait"
BATCHING: Final = "batch wait"
WORKER_BATCH: Final = "worker batch"
DECODE: Final = "decode"
WRITE_CANDIDATES: Final = "write candidates"
FLAG_EVALUATION: Final = "feature_flag.evaluation"
EVALUATION_RESULT: Final = "gen_ai.evaluation.result"

# Services.
BOT: Final = "deephypebot-bot"
GATEWAY: Final = "deephypebot-gateway"
WORKER: Final = "deephypebot-worker"
"""Service of the workers' spans, which the gateway makes from the times that workers tell."""
