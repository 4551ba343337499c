"""An interleaved experiment between two real models with random weights, in TorchServe behind the gateway."""

from __future__ import annotations

import subprocess
from collections import Counter
from collections.abc import Iterator
from dataclasses import replace
from hashlib import sha256
from pathlib import Path

import mlflow
import pytest

from bot.adapters.sqlite.store import SqliteStore
from bot.domain.candidates import CandidateStatus
from handlers.contract import ARCHIVE_SHA256_TAG, ARCHIVE_TAG, CommentaryRequest, Sample
from serving.client import CommentaryClient
from serving.registry.versions import EXPERIMENT_TAG
from tests.handlers.tiny_bundles import GENRES, tiny_bundle
from tests.integration.support import command, environment
from tests.serving.collector import Collector, collecting
from tests.serving.support import ServiceProcess, running_service, wait_until
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
def collector() -> Iterator[Collector]:
    with collecting() as collector:
        yield collector


@pytest.fixture(scope="module")
def service(
    registry_uri: str, collector: Collector, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[ServiceProcess]:
    folder: Path = tmp_path_factory.mktemp("service")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", collector.url)
        patch.setenv("OTEL_BSP_SCHEDULE_DELAY", "200")
        # Only what the client records, so that the other tests here make no spans.
        patch.setenv("OTEL_TRACES_SAMPLER", "parentbased_always_off")
        with running_service(registry_uri, folder, ["lcgan"]) as service:
            yield service


@pytest.fixture(scope="module")
def client(service: ServiceProcess) -> Iterator[CommentaryClient]:
    with CommentaryClient(service.target) as connected:
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


def test_one_trace_leads_from_the_bot_to_the_decode_of_both_arms_and_no_curator_is_shown_it(
    client: CommentaryClient, service: ServiceProcess, collector: Collector, tmp_path: Path
) -> None:
    assert client.is_serving()
    done = subprocess.run(
        command("bot", "once", "--sandbox", "--target", service.target, "--workspace", str(tmp_path)),
        env={**environment(), "OTEL_EXPORTER_OTLP_ENDPOINT": collector.url, "OTEL_TRACES_SAMPLER": "always_on"},
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    with SqliteStore(tmp_path / "sandbox" / "bot.db") as store:
        candidates = [row.candidate for row in store.rows()]
    traces = {each.trace_id for each in candidates}
    assert "" not in traces
    blind = next(each for each in candidates if each.is_blind)
    songs = len({each.report.number for each in candidates if each.trace_id == blind.trace_id})
    spans = collector.wait_for(1 + 12 * songs, trace_id=blind.trace_id)
    by_id = {span.span_id: span for span in spans}
    assert [span.name for span in spans if span.parent_id not in by_id] == ["write candidates"]
    assert {span.service for span in spans} == {"deephypebot-bot", "deephypebot-gateway", "deephypebot-worker"}
    names = Counter(span.name.rpartition(".")[2] for span in spans)
    assert names == {
        "write candidates": 1,
        "Commentary/Generate": 2 * songs,  # the client's span and the gateway's
        **dict.fromkeys(
            ["admission wait", "batch wait", "InferenceAPIsService/Predictions", "worker batch", "decode"], 2 * songs
        ),
    }
    versions = {span.attributes.get("gen_ai.response.model") for span in spans if span.name == "worker batch"}
    assert versions == {"lcgan/1", "lcgan/2"}
    exported = subprocess.run(
        command("queue", "export", "--workspace", str(tmp_path / "sandbox")),
        env=environment(),
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
    )
    assert blind.trace_id not in exported.stdout + done.stdout + done.stderr
    # The sandbox's curator has accepted candidates of songs of which others wait.
    assert any(each.status is CandidateStatus.ACCEPTED and each.is_blind for each in candidates)
    told = {event.attributes["deephypebot.candidate.id"] for event in collector.events}
    assert told == {each.id for each in candidates if each.status is not CandidateStatus.WAITING and not each.is_blind}
