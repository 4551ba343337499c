"""What a worker counts, on TorchServe's own Prometheus page.

TorchServe shows the metrics that the file it was started with names (`serving/torchserve/metrics.yaml`). A worker adds to those it
finds there; started by somebody else with another file, it serves all the same and counts nothing.
"""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Iterable
from dataclasses import fields
from typing import Any, Final

from handlers.contract import INPUT_FIELD, CommentaryRequest, CommentaryResponse, ContractError

_log = logging.getLogger(__name__)

REQUESTS: Final = "deephypebot_requests_total"
"""Requests, whatever became of them."""
REJECTED: Final = "deephypebot_rejected_total"
"""Requests answered with an error, by its code and the field at fault."""
ROWS: Final = "deephypebot_rows_total"
"""Rows decoded: samples times candidates."""
TOKENS: Final = "deephypebot_tokens_total"
"""Tokens of these rows."""
DECODE_SECONDS: Final = "deephypebot_decode_seconds"
"""Histogram of the time of a batch's decode; its count is the number of batches."""
BATCH_ROWS: Final = "deephypebot_batch_rows"
"""Rows of the last batch."""
NAMES: Final = (REQUESTS, REJECTED, ROWS, TOKENS, DECODE_SECONDS, BATCH_ROWS)

_NO_FIELD: Final = "none"
_UNKNOWN_FIELD: Final = "unknown"
_FIELDS: Final = frozenset((INPUT_FIELD, *(field.name for field in fields(CommentaryRequest))))


class WorkerMetrics:
    """Adds to TorchServe's metrics in the name of one version.

    Args:
        cache: `context.metrics` of TorchServe; None where there is none.
        model: the version's registered model.
        version: its number.
    """

    def __init__(self, cache: Any, *, model: str, version: str) -> None:
        # By name, not by `get_metric`: that one wants an enumeration of TorchServe's, which this package cannot import.
        known = {name: metric for by_name in cache.cache.values() for name, metric in by_name.items()} if cache else {}
        self._metrics = {name: known[name] for name in NAMES if name in known}
        self._version = [model, version]
        if lacking := sorted(set(NAMES) - set(known)):
            _log.warning("TorchServe's metrics file does not name %s; they are not counted", ", ".join(lacking))

    def count_answers(self, answers: Iterable[CommentaryResponse | ContractError]) -> None:
        """Count a batch's requests, and those that were answered with an error."""
        kept = list(answers)
        self._add(REQUESTS, len(kept))
        errors = Counter((each.code.value, _label(each.field)) for each in kept if isinstance(each, ContractError))
        for (code, field), number in errors.items():
            self._add(REJECTED, number, code, field)

    def count_decode(self, *, num_rows: int, num_tokens: int, seconds: float) -> None:
        """Count what one decode took and gave."""
        self._add(ROWS, num_rows)
        self._add(TOKENS, num_tokens)
        self._add(BATCH_ROWS, num_rows)
        self._add(DECODE_SECONDS, round(seconds, 6))

    def _add(self, name: str, value: float, *labels: str) -> None:
        if name in self._metrics and (value or name == BATCH_ROWS):
            self._metrics[name].add_or_update(value, [*self._version, *labels])


def _label(field: str) -> str:
    """A field as a label. A client may call a field what it likes: each name would be a series of its own."""
    if not field:
        return _NO_FIELD
    return field if field in _FIELDS else _UNKNOWN_FIELD
