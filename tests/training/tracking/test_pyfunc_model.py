"""The registered model through MLflow's own loading: what its signature lets in is what the archive would answer."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import mlflow
import pandas as pd
import pytest
from mlflow.exceptions import MlflowException
from mlflow.pyfunc import PyFuncModel

from handlers.commentary import Commentator
from handlers.contract import CommentaryRequest, ContractError, SamplingParams
from tests.handlers.tiny_bundles import TOPICS, tiny_bundle
from training.options import make_tracker
from training.packaging.export import save_bundle

pytestmark = pytest.mark.integration

BUNDLE = tiny_bundle(generator=True)
PARAMS: dict[str, Any] = {"num_samples": 3, "seed": 11}


@pytest.fixture(scope="module")
def registered(tmp_path_factory: pytest.TempPathFactory) -> Iterator[PyFuncModel]:
    """A tiny LC-GAN, logged, registered and loaded again."""
    folder = tmp_path_factory.mktemp("pyfunc")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("MLFLOW_DISABLE_TELEMETRY", "true")
        save_bundle(BUNDLE, folder / "bundle", figures={}, samples=[])
        tracker = make_tracker(f"sqlite:///{folder / 'mlflow.db'}", folder)
        version = tracker.register("", "lcgan", folder / "bundle", tags={})
        yield mlflow.pyfunc.load_model(version.uri)


def _texts(table: Any) -> list[str]:
    return [str(text) for text in table["text"]]


def test_a_topic_reaches_the_generator_by_name_and_by_number(registered: PyFuncModel) -> None:
    rows: list[dict[str, Any]] = [{"genres": ["pop"], "topic": topic} for topic in (*TOPICS, "2")]
    table = registered.predict(pd.DataFrame(rows), params=PARAMS)
    requests = [CommentaryRequest.from_mapping({**row, **PARAMS}) for row in rows]
    expected = [sample.text for answer in Commentator(BUNDLE).answer(requests) for sample in answer.samples]
    assert _texts(table) == expected
    by_topic = [expected[start : start + 3] for start in range(0, 12, 3)]
    assert by_topic[0] != by_topic[1]
    assert by_topic[1] == by_topic[3]


def test_a_row_without_a_topic_beside_rows_with_one_has_the_desired_one(registered: PyFuncModel) -> None:
    rows: list[dict[str, Any]] = [{"genres": ["pop"], "topic": TOPICS[1]}, {"genres": ["pop"]}]
    mixed = _texts(registered.predict(pd.DataFrame(rows), params=PARAMS))
    assert mixed[3:] == _texts(registered.predict([{"genres": ["pop"], "topic": TOPICS[0]}], params=PARAMS))
    assert mixed[3:] == _texts(registered.predict([{"genres": ["pop"]}], params=PARAMS))
    assert mixed[:3] != mixed[3:]


def test_a_topic_that_is_not_there_is_refused_with_those_that_are(registered: PyFuncModel) -> None:
    with pytest.raises(ContractError, match="has no topic 'weather'; it has 1 warm/hazy"):
        registered.predict([{"genres": ["pop"], "topic": "weather"}], params=PARAMS)


def test_limits_given_as_params_are_those_of_a_request(registered: PyFuncModel) -> None:
    free = _texts(registered.predict([{"genres": ["pop"]}], params={**PARAMS, "num_samples": 20}))
    word = free[0].split()[0].strip(",.")
    limits: dict[str, Any] = {"min_tokens": 9, "no_repeat_ngram_size": 2, "bad_words": [word, "so"], "guidance": 2.5}
    found = _texts(registered.predict([{"genres": ["pop"]}], params={**PARAMS, "num_samples": 20, **limits}))
    request = CommentaryRequest(
        genres=("pop",),
        seed=11,
        num_samples=20,
        sampling=SamplingParams(min_tokens=9, no_repeat_ngram_size=2, bad_words=(word, "so"), guidance=2.5),
    )
    (expected,) = Commentator(BUNDLE).answer([request])
    assert found == [sample.text for sample in expected.samples] != free
    assert not any(word in text.split() for text in found)


@pytest.mark.parametrize("row", [{"genres": ["pop"], "topic": 3}, {"genres": "pop"}, {"topic": "1"}])
def test_a_row_of_other_types_is_refused_by_the_signature(registered: PyFuncModel, row: dict[str, Any]) -> None:
    with pytest.raises(MlflowException, match=r"schema|Schema|columns"):
        registered.predict([row], params=PARAMS)
