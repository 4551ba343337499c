"""Rows as requests, and answers as MLflow's predictions: the rows of the registered model's own `predict`."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any, Final

from mlflow.deployments import PredictionsResponse

from handlers.contract import CommentaryRequest, CommentaryResponse, ContractError, Sample
from serving.client import CommentaryClient
from serving.deployments.faults import invalid
from serving.deployments.names import shown

MAX_ROWS: Final = 10_000
TIMEOUT_S: Final = 30.0
"""Deadline of each request, in seconds."""
_AT_ONCE: Final = 8
"""Requests that are asked at once; the gateway forms batches of them."""
_WHOLE: Final = frozenset(
    {"num_samples", "seed", "best_of", "top_k", "max_tokens", "min_tokens", "no_repeat_ngram_size"}
)
"""Fields that are whole numbers: a table with a gap in such a column holds floats."""
_LISTS: Final = frozenset({"genres", "bad_words"})


def predict(client: CommentaryClient, inputs: Any, *, model: str, version: str | None) -> PredictionsResponse:
    """Ask the gateway, once for each row.

    Args:
        client: client of the gateway.
        inputs: DataFrame, mapping of one request, list of such, or MLflow's `dataframe_records` or `dataframe_split`. A
            column is a field of a request: `genres`, and `artist`, `title`, `seed`, `num_samples`, ...
        model: registered model.
        version: version that answers; None leaves it to the split.

    Returns:
        Predictions: a row for each sample, with its request's number, and the version that wrote it.

    Raises:
        MlflowException: a row is not a request.
        CommentaryError: the gateway refuses a request, or cannot answer.
    """
    requests = requests_of(inputs)

    def ask(request: CommentaryRequest) -> CommentaryResponse:
        return client.generate(request, model=model, version=version, timeout_s=TIMEOUT_S)

    with ThreadPoolExecutor(max_workers=min(_AT_ONCE, len(requests))) as pool:
        answers = list(pool.map(ask, requests))
    return PredictionsResponse(
        {
            "predictions": [
                _row(number, sample, answer.model.version)
                for number, answer in enumerate(answers)
                for sample in answer.samples
            ]
        }
    )


def stream(
    client: CommentaryClient, requests: Sequence[CommentaryRequest], *, model: str, version: str | None
) -> Iterator[dict[str, Any]]:
    """Yield the row of each sample as it is ready, of one request after the other.

    Args:
        client: client of the gateway.
        requests: the requests; see `requests_of`.
        model: registered model.
        version: version that answers; None leaves it to the split.

    Raises:
        CommentaryError: the gateway refuses a request, or cannot answer.
    """
    for number, request in enumerate(requests):
        for samples in client.generate_stream(request, model=model, version=version, timeout_s=TIMEOUT_S):
            yield from (_row(number, sample, version) for sample in samples)


def requests_of(inputs: Any) -> list[CommentaryRequest]:
    """Return the requests of an input.

    Raises:
        MlflowException: a row is not a request; the message has its number.
    """
    rows = _records(inputs)
    if not 1 <= len(rows) <= MAX_ROWS:
        raise invalid(f"an input has 1 to {MAX_ROWS:,} rows, got {len(rows):,}")
    requests = []
    for number, row in enumerate(rows):
        try:
            requests.append(CommentaryRequest.from_mapping(_fields(row)))
        except ContractError as fault:
            raise invalid(f"row {number}: {fault}") from fault
    return requests


def _records(inputs: Any) -> list[Mapping[str, Any]]:
    if hasattr(inputs, "to_dict") and hasattr(inputs, "columns"):
        return list(inputs.to_dict(orient="records"))
    if isinstance(inputs, Mapping) and len(inputs) == 1:
        if "dataframe_records" in inputs:
            return _records(inputs["dataframe_records"])
        if isinstance(split := inputs.get("dataframe_split"), Mapping):
            return [dict(zip(split["columns"], row, strict=False)) for row in split["data"]]
    if isinstance(inputs, Mapping):
        return [inputs]
    if isinstance(inputs, Sequence) and not isinstance(inputs, str) and all(isinstance(row, Mapping) for row in inputs):
        return list(inputs)
    raise invalid(
        f"an input is a DataFrame with a column genres, a request as a dict, or a list of such; got {shown(inputs)}"
    )


def _fields(row: Mapping[str, Any]) -> dict[str, Any]:
    """Return the fields of a row that have a value; a table fills the gaps of a column with None or NaN."""
    values = {str(name): _plain(str(name), value) for name, value in row.items()}
    return {name: value for name, value in values.items() if value is not None}


def _plain(name: str, value: Any) -> Any:
    """Return a value without numpy or pandas; None for a gap, and for a negative seed, which asks for a fresh one."""
    if hasattr(value, "tolist"):  # numpy's numbers and arrays
        value = value.tolist()
    if value is None or (isinstance(value, float) and value != value):  # noqa: PLR0124 - NaN alone differs from itself
        return None
    if name in _LISTS and isinstance(value, str):
        return _list(name, value)
    if name in _WHOLE and isinstance(value, float) and value.is_integer():
        value = int(value)
    if name == "seed" and isinstance(value, int) and value < 0:
        return None
    return value


def _list(name: str, text: str) -> Any:
    """Read a list that a table holds as text, as CSV does."""
    try:
        return json.loads(text)
    except ValueError:
        raise invalid(f'{name} is a list, in JSON where it is a text, such as ["ambient"]; got {shown(text)}') from None


def _row(number: int, sample: Sample, version: str | None) -> dict[str, Any]:
    return {
        "request": number,
        "text": sample.text,
        "token_count": sample.token_count,
        "log_prob": sample.log_prob,
        "seed": sample.seed,
        "finish_reason": sample.finish_reason,
        "version": version,
    }
