"""An archive that 0.1.0 packed, served beside one that the current code packs from the same weights."""

from __future__ import annotations

from collections.abc import Iterator
from hashlib import sha256
from pathlib import Path

import mlflow
import pytest

from handlers.contract import (
    ARCHIVE_SHA256_TAG,
    ARCHIVE_TAG,
    CHAMPION,
    PREVIOUS,
    CommentaryRequest,
    CommentaryResponse,
    SamplingParams,
)
from serving.client import CommentaryClient
from tests.handlers.tiny_bundles import GENRES, TOPICS
from tests.integration.support import scrape
from tests.serving.support import ServiceProcess, running_service, wait_until
from tests.training.packaging.unpacked import OLD_ARCHIVE
from training.packaging.archive import build_archive, load_archive

pytestmark = [pytest.mark.integration, pytest.mark.timeout(300)]

OLD, NEW = "1", "2"


@pytest.fixture(scope="module")
def registry_uri(tmp_path_factory: pytest.TempPathFactory) -> str:
    """A registry in which version 1 of lcgan is the old archive and version 2, the champion, the new one."""
    folder = tmp_path_factory.mktemp("registry")
    load_archive(OLD_ARCHIVE, folder / "bundle")
    new = build_archive(folder / "bundle", folder, version=NEW).path
    uri = f"sqlite:///{folder / 'mlflow.db'}"
    client = mlflow.MlflowClient(tracking_uri=uri, registry_uri=uri)
    experiment = client.create_experiment("archives", artifact_location=(folder / "artifacts").as_uri())
    client.create_registered_model("lcgan")
    for alias, archive in ((PREVIOUS, OLD_ARCHIVE), (CHAMPION, new)):
        run_id = client.create_run(experiment).info.run_id
        version = client.create_model_version("lcgan", source=f"runs:/{run_id}/model", run_id=run_id).version
        client.log_artifact(run_id, str(archive), "archives")
        client.set_model_version_tag("lcgan", version, ARCHIVE_TAG, f"archives/{archive.name}")
        client.set_model_version_tag("lcgan", version, ARCHIVE_SHA256_TAG, sha256(archive.read_bytes()).hexdigest())
        client.set_registered_model_alias("lcgan", alias, version)
    return uri


@pytest.fixture(scope="module")
def service(registry_uri: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[ServiceProcess]:
    folder: Path = tmp_path_factory.mktemp("service")
    with running_service(registry_uri, folder, ["lcgan"]) as service:
        with CommentaryClient(service.target) as client:
            wait_until(lambda: len(client.describe()[0].versions) == 2, timeout_s=60)
        yield service


@pytest.fixture
def client(service: ServiceProcess) -> Iterator[CommentaryClient]:
    with CommentaryClient(service.target, model="lcgan") as connected:
        yield connected


def _texts(answer: CommentaryResponse) -> list[tuple[str, int, float]]:
    return [(sample.text, sample.seed, sample.log_prob) for sample in answer.samples]


@pytest.mark.parametrize("genres", [(), ("dream pop", "techno")], ids=str)
def test_both_archives_answer_and_give_the_same_texts_for_a_seed(
    genres: tuple[str, ...], client: CommentaryClient
) -> None:
    request = CommentaryRequest(genres=genres, num_samples=8, seed=5, artist="Ona Vell")
    old, new = (client.generate(request, version=version) for version in (OLD, NEW))
    assert (old.model.version, new.model.version) == (OLD, NEW)
    assert _texts(old) == _texts(new)
    assert len(_texts(new)) == 8
    assert old.model.archive_sha256 == sha256(OLD_ARCHIVE.read_bytes()).hexdigest()


def test_options_that_came_after_the_first_ones_reach_the_old_archive_by_its_own_names(
    client: CommentaryClient,
) -> None:
    free = CommentaryRequest(genres=(), num_samples=32, seed=5, sampling=SamplingParams(temperature=1.5))
    words = {word for sample in client.generate(free, version=OLD).samples for word in sample.text.split()}
    banned = tuple(sorted(word for word in words if word.isalpha())[:8])
    assert len(banned) == 8
    request = CommentaryRequest(
        genres=(),
        num_samples=32,
        seed=5,
        sampling=SamplingParams(temperature=1.5, no_repeat_ngram_size=2, bad_words=banned, min_tokens=4, guidance=1.5),
    )
    old, new = (client.generate(request, version=version) for version in (OLD, NEW))
    assert _texts(old) == _texts(new)
    assert not set(banned) & {word for sample in old.samples for word in sample.text.split()}
    assert _texts(old) != _texts(client.generate(free, version=OLD))


def test_both_versions_are_described(client: CommentaryClient) -> None:
    (model,) = client.describe()
    versions = {version.version: version for version in model.versions}
    assert set(versions) == {OLD, NEW}
    for version in versions.values():
        assert (version.topics, version.genres, version.desired_topic) == (TOPICS, GENRES, TOPICS[0])
    assert versions[OLD].precision == versions[NEW].precision != ""


def test_each_version_is_counted_under_the_names_that_its_own_code_has(
    service: ServiceProcess, client: CommentaryClient
) -> None:
    for version in (OLD, NEW):
        client.generate(CommentaryRequest(genres=(), num_samples=1), version=version)
    page = scrape(str(service.ready["metrics"]))
    for name, version in (("requests_total", OLD), ("worker_requests_total", NEW), ("worker_build_info", NEW)):
        counted = [dict(labels)["model_version"] for labels in page[f"deephypebot_{name}"]]
        assert counted == [version], name
