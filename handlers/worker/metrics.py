"""Metrics of a worker, on TorchServe's Prometheus page.

TorchServe shows the metrics that its metrics file names (`serving/workers/metrics.yaml`). In a TorchServe that was
started with another file, a worker answers all the same and counts nothing.
"""

from __future__ import annotations

import logging
import platform
from collections import Counter
from collections.abc import Iterable
from typing import Any, Final

import torch

from handlers.contract import INPUT_FIELD, REQUEST_FIELDS, CommentaryResponse, ContractError, archive_name
from handlers.decoding.matmul import Precision

_log = logging.getLogger(__name__)

REQUESTS: Final = "deephypebot_worker_requests_total"
"""Counter of requests, answered with samples or with an error."""
ERRORS: Final = "deephypebot_worker_errors_total"
"""Counter of requests answered with an error, by its code and the field at fault."""
SEQUENCES: Final = "deephypebot_worker_sequences_total"
"""Counter of decoded sequences: samples times candidates."""
TOKENS: Final = "deephypebot_worker_tokens_total"
"""Counter of the tokens of all decoded sequences."""
DECODE_SECONDS: Final = "deephypebot_worker_decode_seconds"
"""Histogram of the time of a batch: its decode, topic shares and genre odds. Its count is the number of batches."""
BATCH_SEQUENCES: Final = "deephypebot_worker_batch_sequences"
"""Gauge of the sequences of the last batch."""
BUILD_INFO: Final = "deephypebot_worker_build_info"
"""Gauge of constant value 1, labelled by the archive, the precision of the weights, and the versions in use."""
NAMES: Final = (REQUESTS, ERRORS, SEQUENCES, TOKENS, DECODE_SECONDS, BATCH_SEQUENCES, BUILD_INFO)

_NO_FIELD: Final = "none"
_UNKNOWN_FIELD: Final = "unknown"
_FIELDS: Final = frozenset((INPUT_FIELD, *REQUEST_FIELDS))


class WorkerMetrics:
    """Counts of one model version in TorchServe's metrics.

    Args:
        cache: `context.metrics` of TorchServe; None where there is none.
        model: the registered model of the version.
        version: its number.
    """

    def __init__(self, cache: Any, *, model: str, version: str) -> None:
        # By name, not by `get_metric`, which needs an enumeration of TorchServe's that this package cannot import.
        known = {name: metric for by_name in cache.cache.values() for name, metric in by_name.items()} if cache else {}
        self._metrics = {name: known[name] for name in NAMES if name in known}
        self._model, self._version = model, version
        if lacking := sorted(set(NAMES) - set(known)):
            _log.warning("TorchServe's metrics file does not name %s; they are not counted", ", ".join(lacking))

    def set_build_info(self, precision: Precision) -> None:
        """Show the archive, the precision of its weights, and the versions of torch and Python."""
        archive = archive_name(self._model, self._version)
        self._add(BUILD_INFO, 1, archive, precision.value, torch.__version__, platform.python_version())

    def count_answers(self, answers: Iterable[CommentaryResponse | ContractError]) -> None:
        """Count a batch's requests, and those that were answered with an error."""
        kept = list(answers)
        self._add(REQUESTS, len(kept))
        errors = Counter((each.code.value, _label(each.field)) for each in kept if isinstance(each, ContractError))
        for (code, field), number in errors.items():
            self._add(ERRORS, number, code, field)

    def count_decode(self, *, num_sequences: int, num_tokens: int, seconds: float) -> None:
        """Count the sequences, the tokens and the time of one batch."""
        self._add(SEQUENCES, num_sequences)
        self._add(TOKENS, num_tokens)
        self._add(BATCH_SEQUENCES, num_sequences)
        self._add(DECODE_SECONDS, round(seconds, 6))

    def _add(self, name: str, value: float, *labels: str) -> None:
        if name in self._metrics and (value or name == BATCH_SEQUENCES):
            self._metrics[name].add_or_update(value, [self._model, self._version, *labels])


def _label(field: str) -> str:
    """Return a field's label: unknown names share one, since each label value is a time series of its own."""
    if not field:
        return _NO_FIELD
    return field if field in _FIELDS else _UNKNOWN_FIELD
