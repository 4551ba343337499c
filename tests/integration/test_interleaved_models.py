"""An interleaved experiment between two real models with random weights, in TorchServe behind the gateway."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from hashlib import sha256
from pathlib import Path

import mlflow
import pytest

from handlers.contract import ARCHIVE_SHA256_TAG, ARCHIVE_TAG, CommentaryRequest, Sample
from serving.client import CommentaryClient
from serving.registry.versions import EXPERIMENT_TAG
from tests.handlers.tiny_bundles import GENRES, tiny_bundle
from tests.serving.support import running_service, wait_until
from training.packaging.archive import build_archive
from training.packaging.export import save_bundle

pytestmark = [pytest.mark.integration, pytest.mark.timeout(300)]

MARK = "weights design=interleaved since=2026-11-30T06:00:00Z"


@pytest.fixture(scope="module")
def registry_uri(tmp_path_factory: pytest.TempPathFactory) -> str:
    """A registry in which two versions of lcgan, of different weights, are the arms of an experiment."""
    folder = tmp_path_factory.mktemp("registry")
    uri = f"sqlite:///{folder / 'mlflow.db'}"
    client = mlflow.MlflowClient(tracking_uri=uri, registry_uri=uri)
    experiment = client.create_experiment("archives", artifact_location=(folder / "artifacts").as_uri())
    client.create_registered_model("lcgan")
    for number in ("1", "2"):
        (folder / number).mkdir()
        save_bundle(tiny_bundle(generator=True, seed=int(number)), folder / number, figures={}, samples=[])
        archive = build_archive(folder / number, folder, version=number).path
        run_id = client.create_run(experiment).info.run_id
        version = client.create_model_version("lcgan", source=f"runs:/{run_id}/model", run_id=run_id).version
        client.log_artifact(run_id, str(archive), "archives")
        client.set_model_version_tag("lcgan", version, ARCHIVE_TAG, f"archives/{archive.name}")
        client.set_model_version_tag("lcgan", version, ARCHIVE_SHA256_TAG, sha256(archive.read_bytes()).hexdigest())
        client.set_model_version_tag("lcgan", version, EXPERIMENT_TAG, MARK)
    client.set_registered_model_alias("lcgan", "champion", "1")
    return uri


@pytest.fixture(scope="module")
def client(registry_uri: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[CommentaryClient]:
    folder: Path = tmp_path_factory.mktemp("service")
    with running_service(registry_uri, folder, ["lcgan"]) as service, CommentaryClient(service.target) as connected:
        wait_until(lambda: sum(each.arm for each in connected.describe("lcgan")[0].versions) == 2, timeout_s=60)
        yield connected


def in_order(samples: list[Sample]) -> list[Sample]:
    return sorted(samples, key=lambda each: (each.seed, each.text))


@pytest.mark.parametrize("best_of", [None, 1, 4])
def test_each_arm_writes_to_the_bit_what_it_writes_when_it_is_pinned(
    best_of: int | None, client: CommentaryClient
) -> None:
    texts = set()
    for seed in range(8):
        song = CommentaryRequest(
            genres=(GENRES[seed % len(GENRES)],), seed=seed, unit=f"song {seed}", num_samples=8, best_of=best_of
        )
        together = client.generate_interleaved(song)
        assert together.experiment == "weights"
        for number, version in enumerate(("1", "2")):
            alone = client.generate(replace(song, num_samples=4), version=version)
            mine = [each for each, arm in zip(together.samples, together.sample_arms, strict=True) if arm == number]
            assert together.arms[number].model == alone.model
            assert together.arms[number].genres_unknown == alone.genres_unknown
            assert in_order(mine) == in_order(list(alone.samples))
            texts.add((version, tuple(sample.text for sample in in_order(mine))))
    assert len({told for _, told in texts}) == 16, "the two models write different texts"


def test_without_a_seed_both_arms_have_the_same_drawn_one(client: CommentaryClient) -> None:
    song = CommentaryRequest(genres=(GENRES[0],), num_samples=2, best_of=1)
    first, second = client.generate_interleaved(song).samples
    assert first.seed == second.seed
    assert client.generate_interleaved(song).samples[0].seed != first.seed
