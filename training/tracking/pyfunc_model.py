"""Registered model for MLflow (models-from-code): a bundle behind the pyfunc interface.

MLflow runs this file in `mlflow.pyfunc.load_model("models:/lcgan@champion")`; nothing else imports it.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from mlflow.models import set_model
from mlflow.pyfunc.model import PythonModel

from handlers.commentary import Commentator
from handlers.contract import CommentaryRequest


class CommentaryModel(PythonModel):
    """Model of commentary: an input row is a request; an output row is a sample, with the number of its request."""

    def load_context(self, context: Any) -> None:
        """Load the weights."""
        self._commentator = Commentator.load(Path(context.artifacts["bundle"]))

    # Without type hints, which MLflow would take for the schema; the signature gives it.
    def predict(self, context, model_input, params=None):  # type: ignore[no-untyped-def]  # noqa: ANN001, ANN201
        """Write samples.

        Args:
            context: context of MLflow, unused.
            model_input: DataFrame with a column `genres` (lists of strings) and optional columns `artist`, `title` and
                `topic` (number or name of the topic to steer to).
            params: `num_samples`, `seed`, `best_of` and the sampling parameters, as in the wire contract; a negative
                seed means a fresh one, and `best_of` 0 leaves the number of candidates to the model.

        Returns:
            DataFrame with columns request, text, token_count, log_prob, seed, finish_reason.
        """
        import pandas as pd  # noqa: PLC0415 - comes with mlflow, and only this call needs it

        del context
        settings = dict(params or {})
        if settings.get("seed", -1) < 0:
            settings.pop("seed", None)
        if not settings.get("best_of"):
            settings.pop("best_of", None)
        requests = [
            CommentaryRequest.from_mapping({**_given(row), **settings, "genres": list(row["genres"])})
            for row in model_input.to_dict(orient="records")
        ]
        rows = [
            {
                "request": number,
                "text": sample.text,
                "token_count": sample.token_count,
                "log_prob": sample.log_prob,
                "seed": sample.seed,
                "finish_reason": sample.finish_reason,
            }
            for number, answer in enumerate(self._commentator.answer(requests))
            for sample in answer.samples
        ]
        return pd.DataFrame(rows)


def _given(row: Mapping[str, Any]) -> dict[str, Any]:
    """Return the string values of a row; a table fills the gaps of a column with None or NaN."""
    return {name: value for name, value in row.items() if isinstance(value, str)}


set_model(CommentaryModel())
