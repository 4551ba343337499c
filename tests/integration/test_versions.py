"""Two versions of one model: registered, served, switched under load, rolled back."""

from __future__ import annotations

import hashlib
import json
import zipfile
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import mlflow
import pytest

from handlers.contract import CommentaryRequest
from loadtest.runner import Load, run_headless
from serving.client import CommentaryClient, UnknownModelError
from tests.integration.conftest import DemoRun
from tests.integration.support import Place, run, serving
from tests.serving.support import ServiceProcess

pytestmark = [pytest.mark.integration, pytest.mark.timeout(1200)]

SECOND = ["--set", "lcgan.steps=60", "--set", "lcgan.num_samples=600", "--set", "lcgan.evaluation_samples=100"]


@pytest.fixture(scope="module")
def place(demo_run: DemoRun) -> Place:
    """The demo's place with a second version of lcgan, trained with other settings."""
    corpus = demo_run.place.workspace / "corpora" / "posts"
    run("train", str(corpus), "--preset", "demo", *SECOND, *demo_run.place.options, timeout=600)
    return demo_run.place


@pytest.fixture(scope="module")
def service(place: Place) -> Iterator[ServiceProcess]:
    with serving(place) as running:
        yield running


@pytest.fixture
def client(service: ServiceProcess) -> Iterator[CommentaryClient]:
    with CommentaryClient(service.target) as connected:
        yield connected


def test_a_second_version_is_registered_without_becoming_the_champion(place: Place) -> None:
    versions = mlflow.MlflowClient(place.tracking_uri).get_registered_model("lcgan")
    assert str(versions.aliases["champion"]) == "1"
    assert (place.model_store / "lcgan_2.mar").exists()
    # The settings of the cvae are the same, so it was not trained again.
    assert not (place.model_store / "cvae_2.mar").exists()


@pytest.mark.parametrize("model", ["lcgan", "cvae"])
def test_the_registered_model_writes_what_the_served_archive_writes(
    model: str, place: Place, client: CommentaryClient
) -> None:
    mlflow.set_tracking_uri(place.tracking_uri)
    loaded = mlflow.pyfunc.load_model(f"models:/{model}@champion")
    songs = (("dream pop", "techno"), ())
    predicted = loaded.predict([{"genres": list(genres)} for genres in songs], params={"seed": 7, "num_samples": 4})
    for number, genres in enumerate(songs):
        request = CommentaryRequest(genres=genres, seed=7, num_samples=4)
        served = [sample.text for sample in client.generate(request, model=model).samples]
        assert predicted[predicted["request"] == number]["text"].tolist() == served


def test_the_answer_names_the_version_and_the_hash_of_its_archive(place: Place, client: CommentaryClient) -> None:
    answer = client.generate(CommentaryRequest(genres=("techno",)))
    archive = place.model_store / "lcgan_1.mar"
    assert (answer.model.name, answer.model.version) == ("lcgan", "1")
    assert answer.model.archive_sha256 == hashlib.sha256(archive.read_bytes()).hexdigest()
    with zipfile.ZipFile(archive) as opened:
        assert json.loads(opened.read("config.json"))["version"] == "1"


def test_an_unknown_genre_is_answered_and_listed(client: CommentaryClient) -> None:
    answer = client.generate(CommentaryRequest(genres=("techno", "gobbledygook")))
    assert answer.genres_unknown == ("gobbledygook",)
    assert len(answer.samples) == 5


def test_a_version_or_model_that_is_not_live_is_the_clients_fault_and_the_live_ones_are_listed(
    client: CommentaryClient,
) -> None:
    with pytest.raises(UnknownModelError, match="99"):
        client.generate(CommentaryRequest(genres=()), version="99")
    with pytest.raises(UnknownModelError, match="lcgan, cvae"):
        client.generate(CommentaryRequest(genres=()), model="../cvae")


def test_promote_and_rollback_under_load_fail_no_request(
    place: Place, service: ServiceProcess, client: CommentaryClient, tmp_path: Path
) -> None:
    options = ["--workspace", str(place.workspace), "--target", service.target]
    load = Load(
        target=service.target,
        users=6,
        seconds=25,
        user_classes=("LcganUser", "CvaeUser", "PinnedUser"),
        pinned_version="1",
        deadline_s=10,
    )
    with ThreadPoolExecutor(1) as pool:
        running = pool.submit(run_headless, load, tmp_path / "load")
        run("models", "promote", "lcgan", "2", *options)
        assert client.generate(CommentaryRequest(genres=())).model.version == "2"
        assert client.generate(CommentaryRequest(genres=()), version="1").model.version == "1"
        run("models", "rollback", "lcgan", *options)
        assert client.generate(CommentaryRequest(genres=())).model.version == "1"
        report = running.result()
    assert report.requests > 50
    assert (report.failures, dict(report.errors)) == (0, {})
