"""The command `deephypebot experiment replay`, with real archives, exposures and a registry."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import pytest
from mlflow import MlflowClient
from typer.testing import CliRunner

from experiments.cli import app_experiment
from experiments.definition import Experiment
from experiments.errors import ExperimentError
from experiments.replaying import compare_versions, exposures_of
from handlers.commentary import Commentator
from handlers.contract import ARCHIVE_SHA256_TAG, CommentaryRequest
from serving.traffic.exposures import Exposure, Role
from tests.experiments.lab import EXPERIMENT, Lab, exposure
from tests.handlers.tiny_bundles import tiny_bundle
from training.packaging.archive import build_archive
from training.packaging.export import save_bundle

pytestmark = pytest.mark.integration

_REQUESTS = 24


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Archives of two versions."""
    folder = tmp_path_factory.mktemp("store")
    for version in ("1", "2"):
        bundle = tiny_bundle(seed=int(version), generator=True)
        save_bundle(bundle, folder / version, figures={"kl": 1.0}, samples=["[pop] a sentence"])
        build_archive(folder / version, folder, version=version)
    return folder


@pytest.fixture
def exposures(lab: Lab, store: Path) -> list[Exposure]:
    """What the two versions served in the experiment, by their own archives."""
    from foundation.hashes import file_sha256

    client = MlflowClient(lab.uri, lab.uri)
    found = []
    for version in ("1", "2"):
        sha256 = file_sha256(store / f"lcgan_{version}.mar")
        client.set_model_version_tag("lcgan", version, ARCHIVE_SHA256_TAG, sha256)
        commentator = Commentator(tiny_bundle(seed=int(version), generator=True))
        for number in range(_REQUESTS):
            request = CommentaryRequest(
                genres=("dream pop",), num_samples=2, seed=50 + number, artist="Ona Vell", title="Slow Lamp"
            )
            (answer,) = commentator.answer([request])
            seeds = tuple(sample.seed for sample in answer.samples)
            found.append(
                exposure(
                    f"{version}-{number}", version, archive_sha256=sha256, unit=str(number), seed=request.seed,
                    sample_seeds=seeds,
                )
            )  # fmt: skip
    lab.expose(*found)
    return found


def _run(lab: Lab, monkeypatch: pytest.MonkeyPatch, *arguments: str) -> str:
    monkeypatch.setenv("DEEPHYPEBOT_WORKSPACE", str(lab.folder))
    result = CliRunner(env={"COLUMNS": "200"}).invoke(app_experiment, ["replay", "winter", *arguments])
    if result.exception is not None and not isinstance(result.exception, SystemExit):
        raise result.exception
    assert result.exit_code == 0, result.output
    return result.stdout


@pytest.mark.usefixtures("exposures")
def test_the_command_checks_what_was_served_and_replays_another_version(
    lab: Lab, store: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    lab.registry.start(EXPERIMENT)
    lab.add_song([("1", True), ("2", False)])
    document = json.loads(_run(lab, monkeypatch, "--model-store", str(store), "--json"))
    for version in document["versions"]:
        assert version["answers"] == 2 * _REQUESTS
        assert (version["served"], version["different"], version["left_out"]) == (_REQUESTS, [], 0)
    assert document["ranking"] == []
    told = _run(lab, monkeypatch, "--model-store", str(store), "--model", "lcgan/2")
    assert "texts compared" in told
    with pytest.raises(ExperimentError, match="lcgan/1 gives no values"):
        _run(lab, monkeypatch, "--model-store", str(store), "--value", "1")


def test_versions_are_ranked_by_a_value_function(lab: Lab, exposures: list[Exposure], store: Path) -> None:
    def lengths(texts: Sequence[str]) -> list[float]:
        return [min(1.0, len(text) / 100) for text in texts]

    told: list[tuple[str, int]] = []
    found = compare_versions(
        EXPERIMENT, ("1", "2"), exposures, lab.models, model_store=store, texts={}, values=lengths,
        progress=lambda version, done: told.append((version, done)),
    )  # fmt: skip
    assert {each.version for each in found.ranking} == {"1", "2"}
    assert found.ranking[0].value >= found.ranking[1].value
    assert found.ranking[0].units == _REQUESTS
    assert told == [("1", 2 * _REQUESTS), ("2", 2 * _REQUESTS)]


def test_only_answers_of_the_experiment_are_replayed() -> None:
    def ids(found: Experiment, *rows: Exposure) -> list[str]:
        return [each.id for each in exposures_of(found, rows)]

    other_model = exposure("cvae", "1", model="cvae")
    shadow = exposure("shadow", "2", role=Role.FAILURE)
    assert ids(EXPERIMENT, exposure("own", "1"), other_model, shadow) == ["own"]
    early = exposure("early", "1", experiment="", time=EXPERIMENT.started.replace(year=2020))
    with pytest.raises(ExperimentError, match="no exposure of winter was found"):
        ids(EXPERIMENT, early)


def test_where_the_trainings_packages_are_missing_a_replay_names_the_installation() -> None:
    program = "import sys; sys.modules['sklearn'] = None; from experiments.data_cli import replay; replay('winter')"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=60, check=False)
    assert "pip install 'deephypebot[train,experiments]'" in done.stderr
    assert "sklearn" in done.stderr
