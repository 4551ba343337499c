from __future__ import annotations

from io import StringIO
from typing import Any

import numpy as np
import pandas as pd
import pytest
from mlflow.exceptions import MlflowException

from handlers.contract import CommentaryRequest, SamplingParams
from serving.deployments.predictions import requests_of

REQUEST = CommentaryRequest(genres=("dream pop", "ambient"), artist="Low", num_samples=2, seed=7)
ROW = {"genres": ["dream pop", "ambient"], "artist": "Low", "num_samples": 2, "seed": 7}


@pytest.mark.parametrize(
    "inputs",
    [
        ROW,
        [ROW],
        pd.DataFrame([ROW]),
        {"dataframe_records": [ROW]},
        {"dataframe_split": {"columns": list(ROW), "data": [list(ROW.values())]}},
        [{**ROW, "genres": np.array(ROW["genres"]), "seed": np.int64(7)}],
        [{**ROW, "genres": '["dream pop", "ambient"]'}],
        [{**ROW, "title": None}],
        pd.read_json(StringIO('[{"genres": ["dream pop", "ambient"], "artist": "Low", "num_samples": 2, "seed": 7}]')),
    ],
    ids=["dict", "list", "frame", "records", "split", "numpy", "text", "gap", "json"],
)
def test_every_form_of_an_input_is_the_same_request(inputs: Any) -> None:
    assert requests_of(inputs) == [REQUEST]


def test_gaps_of_a_table_are_absent_fields() -> None:
    table = pd.DataFrame([ROW, {"genres": [], "top_k": 40, "temperature": 1.0}])
    first, second = requests_of(table)
    assert first == REQUEST
    assert second == CommentaryRequest(genres=(), sampling=SamplingParams(top_k=40, temperature=1.0))


def test_a_negative_seed_asks_for_a_fresh_one() -> None:
    assert requests_of({"genres": [], "seed": -1})[0].seed is None


@pytest.mark.parametrize(
    ("inputs", "told"),
    [
        ([], "an input has 1 to 10,000 rows, got 0"),
        ("ambient", "an input is a DataFrame"),
        ([1, 2], "an input is a DataFrame"),
        (None, "an input is a DataFrame"),
        ([{"artist": "Low"}], "row 0: genres: is required"),
        ([ROW, {**ROW, "top_p": 2.0}], "row 1: top_p"),
        ([{**ROW, "colour": "blue"}], "row 0: colour: unknown field"),
        ([{**ROW, "seed": 7.5}], "row 0: seed"),
        ([{**ROW, "genres": "ambient"}], "genres is a list, in JSON where it is a text"),
    ],
)
def test_a_row_that_is_not_a_request_is_refused_with_its_number(inputs: Any, told: str) -> None:
    with pytest.raises(MlflowException, match=told) as caught:
        requests_of(inputs)
    assert caught.value.error_code == "INVALID_PARAMETER_VALUE"
