"""The registered model through MLflow's own loading: what its signature lets in is what the archive would answer."""

from __future__ import annotations

import shutil
import sys
from collections.abc import Iterator
from importlib.metadata import version
from pathlib import Path
from typing import Any

import mlflow
import mlflow.artifacts
import pandas as pd
import pytest
from mlflow.exceptions import MlflowException
from mlflow.pyfunc import PyFuncModel

from handlers.commentary import Commentator
from handlers.contract import CommentaryRequest, SamplingParams
from tests.handlers.tiny_bundles import TOPICS, tiny_bundle
from training.options import make_tracker
from training.packaging.export import save_bundle

pytestmark = pytest.mark.integration

BUNDLE = tiny_bundle(generator=True)
PARAMS: dict[str, Any] = {"num_samples": 3, "seed": 11}


@pytest.fixture(scope="module")
def logged(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """Folder of a tiny LC-GAN as it was logged and registered."""
    folder = tmp_path_factory.mktemp("pyfunc")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("MLFLOW_DISABLE_TELEMETRY", "true")
        save_bundle(BUNDLE, folder / "bundle", figures={}, samples=[])
        tracker = make_tracker(f"sqlite:///{folder / 'mlflow.db'}", folder)
        version = tracker.register("", "lcgan", folder / "bundle", tags={})
        yield Path(mlflow.artifacts.download_artifacts(version.uri, dst_path=str(folder / "downloaded")))


@pytest.fixture(scope="module")
def registered(logged: Path) -> PyFuncModel:
    """The model, loaded again."""
    model: PyFuncModel = mlflow.pyfunc.load_model(str(logged))
    return model


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
    with pytest.raises(MlflowException, match="has no topic 'weather'; it has 1 warm/hazy") as refused:
        registered.predict([{"genres": ["pop"], "topic": "weather"}], params=PARAMS)
    # `mlflow models serve` answers it with the message and status 400.
    assert refused.value.error_code == "INVALID_PARAMETER_VALUE"


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


def test_a_rule_of_ranking_is_a_param_and_refused_by_a_model_that_learned_none(registered: PyFuncModel) -> None:
    row: list[dict[str, Any]] = [{"genres": ["pop"]}]
    by_default = registered.predict(row, params=PARAMS)
    assert _texts(registered.predict(row, params={**PARAMS, "rank_by": "acceptability"})) == _texts(by_default)
    for rule, reason in (("value", "has no value function"), ("taste", "must be one of")):
        with pytest.raises(MlflowException, match=reason):
            registered.predict(row, params={**PARAMS, "rank_by": rule})


@pytest.mark.parametrize("row", [{"genres": ["pop"], "topic": 3}, {"genres": "pop"}, {"topic": "1"}])
def test_a_row_of_other_types_is_refused_by_the_signature(registered: PyFuncModel, row: dict[str, Any]) -> None:
    with pytest.raises(MlflowException, match=r"schema|Schema|columns"):
        registered.predict([row], params=PARAMS)


@pytest.mark.parametrize("edited_first", [True, False])
def test_two_versions_in_one_process_each_write_with_the_code_that_was_packed_with_them(
    registered: PyFuncModel, logged: Path, tmp_path: Path, edited_first: bool
) -> None:
    edited = Path(shutil.copytree(logged, tmp_path / "edited"))
    _edit(edited / "code" / "handlers" / "commentary.py", "class Commentator", "class PackedLater")
    with (edited / "code" / "handlers" / "commentary.py").open("a") as source:
        source.write(
            "\n\nclass Commentator(PackedLater):\n"
            "    def answer(self, requests):\n"
            "        from dataclasses import replace\n"
            "        from foundation.mark import MARK\n"
            "        answers = super().answer(requests)\n"
            "        edit = lambda sample: replace(sample, text=MARK + sample.text)\n"
            "        return [replace(each, samples=tuple(map(edit, each.samples))) for each in answers]\n"
        )
    (edited / "code" / "foundation" / "mark.py").write_text("MARK = 'V2: '\n")
    path_before, first = list(sys.path), [{"genres": ["pop"]}]
    before = _texts(registered.predict(first, params=PARAMS)) if not edited_first else []
    later = _texts(mlflow.pyfunc.load_model(str(edited)).predict(first, params=PARAMS))
    again = _texts(mlflow.pyfunc.load_model(str(logged)).predict(first, params=PARAMS))
    assert later == [f"V2: {text}" for text in again]
    assert before in ([], again)
    assert not any(text.startswith("V2") for text in again)
    # The packages of this checkout stay what they are.
    assert sys.path == path_before
    assert Commentator.__module__ == "handlers.commentary"
    assert Path(str(sys.modules["handlers"].__file__)).is_relative_to(Path(__file__).parents[3])


def test_the_logged_model_names_exact_requirements_and_no_path_of_the_machine_that_trained_it(logged: Path) -> None:
    lines = (logged / "requirements.txt").read_text().split()
    assert [line.partition("==")[0] for line in lines] == ["mlflow", "numpy", "pandas", "safetensors", "torch"]
    for line in lines:
        name, _, pinned = line.partition("==")
        assert version(name).partition("+")[0] == pinned
    description = (logged / "MLmodel").read_text()
    assert "model_code_path: pyfunc_model.py" in description
    paths = [line for line in description.splitlines() if str(Path(__file__).parents[3]) in line]
    assert paths == []


def _edit(path: Path, old: str, new: str) -> None:
    text = path.read_text()
    assert text.count(old) == 1
    path.write_text(text.replace(old, new))
