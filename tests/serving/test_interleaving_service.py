"""An interleaved experiment on the real service: TorchServe, registry and gateway as a process of their own."""

from __future__ import annotations

import json
import signal
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from handlers.contract import CommentaryRequest
from serving.client import CommentaryClient, InterleavedResponse, LiveModel
from serving.registry.versions import EXPERIMENT_TAG, SYNC_ERROR_TAG
from serving.traffic.exposures import Exposure, Role
from serving.traffic.policy import AssignedBy
from serving.traffic.reading import ExposureFiles
from tests.serving.support import ONE_ATTEMPT, EchoRegistry, ServiceProcess, ask, running_service, wait_until

pytestmark = [pytest.mark.integration, pytest.mark.timeout(180)]

MODEL = "compared"
MARK = "shorter design=interleaved since=2026-11-30T06:00:00Z"


@pytest.fixture(scope="module")
def service(registry: EchoRegistry, tmp_path_factory: pytest.TempPathFactory) -> Iterator[ServiceProcess]:
    """The service with version 1 as champion, and versions 1 and 2 in an experiment."""
    for _ in range(2):
        registry.client.set_model_version_tag(MODEL, registry.register(MODEL, signs=True), EXPERIMENT_TAG, MARK)
    registry.alias(MODEL, "champion", "1")
    folder: Path = tmp_path_factory.mktemp("service")
    with running_service(registry.uri, folder, [MODEL]) as running:
        wait_until(lambda: {each.version for each in described(running).versions if each.arm} == {"1", "2"})
        yield running


@pytest.fixture
def client(service: ServiceProcess) -> Iterator[CommentaryClient]:
    with CommentaryClient(service.target, model=MODEL, retry=ONE_ATTEMPT) as connected:
        yield connected


def described(service: ServiceProcess) -> LiveModel:
    with CommentaryClient(service.target) as client:
        (model,) = client.describe(MODEL)
    return model


def rows(service: ServiceProcess, name: str) -> list[Exposure]:
    files = ExposureFiles(folders=[service.folder / "exposures"])
    return [row for row in files if (row.request_id or "").startswith(name)]


def request(name: str, **values: object) -> CommentaryRequest:
    return ask(**{"num_samples": 4, "unit": name, "request_id": name, "title": "A song", **values})


def texts_by_version(answer: InterleavedResponse) -> dict[str, list[str]]:
    found: dict[str, list[str]] = {}
    for place, sample in enumerate(answer.samples):
        found.setdefault(answer.arm_of(place).model.version, []).append(sample.text)
    return found


def worker_of(service: ServiceProcess, version: str) -> psutil.Process:
    """Worker of a version: its folder holds what the archive held."""
    workers = [each for each in service.family() if "model_service_worker.py" in " ".join(each.cmdline())]
    configs = {each: json.loads(Path(each.cwd(), "config.json").read_text()) for each in workers}
    return next(each for each, config in configs.items() if config["version"] == version)


def test_each_song_has_what_pinned_requests_with_its_seed_give_and_two_rows(
    service: ServiceProcess, client: CommentaryClient
) -> None:
    assert (described(service).experiment, described(service).experiment_design) == ("shorter", "interleaved")
    for number in range(10):
        answer = client.generate_interleaved(request(f"song {number}", seed=number))
        pinned = {
            version: client.generate(request("pinned", seed=number, num_samples=2), version=version) for version in "12"
        }
        assert {version: sorted(texts) for version, texts in texts_by_version(answer).items()} == {
            version: sorted(sample.text for sample in response.samples) for version, response in pinned.items()
        }
    found = rows(service, "song")
    assert len(found) == 20
    assert {(row.role, row.assigned_by, row.experiment) for row in found} == {
        (Role.ANSWER, AssignedBy.INTERLEAVED, "shorter")
    }
    for first, second in zip(found[::2], found[1::2], strict=True):
        assert (first.version, second.version) == ("1", "2")
        assert (first.unit, first.request_id, first.seed) == (second.unit, second.request_id, second.seed)
    assert client.generate(request("plain")).model.version == "1"


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGSTOP])
def test_a_song_keeps_the_other_arms_samples_while_an_arms_worker_is_killed_or_hangs(
    number: signal.Signals, service: ServiceProcess, client: CommentaryClient
) -> None:
    wait_until(lambda: not client.generate_interleaved(request("before"), timeout_s=5).arms[1].error, timeout_s=60)
    worker = worker_of(service, "2")
    name = f"{number.name} song"
    worker.send_signal(number)
    try:
        answers = [client.generate_interleaved(request(f"{name} {index}"), timeout_s=2) for index in range(6)]
    finally:
        if worker.is_running():
            worker.send_signal(signal.SIGCONT)
    for answer in answers:
        assert len(texts_by_version(answer)["1"]) == 2
        assert not answer.arms[0].error
        assert bool(answer.arms[1].error) == ("2" not in texts_by_version(answer))
    failed = [answer for answer in answers if answer.arms[1].error]
    if number is signal.SIGSTOP:
        assert failed, "a worker that hangs answers nothing"
    found = rows(service, name)
    told = {answer.arms[1].exposure_id for answer in failed} - {""}
    assert {row.id for row in found if row.role is Role.FAILURE} == told
    assert {row.code for row in found if row.role is Role.FAILURE} <= {"UNAVAILABLE", "DEADLINE_EXCEEDED"}
    assert sum(row.role is Role.ANSWER for row in found) == 2 * len(answers) - len(failed)
    wait_until(lambda: not client.generate_interleaved(request("after"), timeout_s=5).arms[1].error, timeout_s=90)


def test_the_experiment_ends_with_its_tags_and_tags_that_make_none_are_told(
    registry: EchoRegistry, service: ServiceProcess, client: CommentaryClient
) -> None:
    registry.client.delete_model_version_tag(MODEL, "2", EXPERIMENT_TAG)
    wait_until(lambda: "one version" in registered_fault(registry))
    assert described(service).experiment == "shorter", "the last policy that could be read stays"
    assert client.generate_interleaved(request("still")).experiment == "shorter"
    registry.client.delete_model_version_tag(MODEL, "1", EXPERIMENT_TAG)
    wait_until(lambda: not described(service).experiment)
    answer = client.generate_interleaved(request("ended"))
    assert ([arm.model.version for arm in answer.arms], answer.experiment) == (["1"], "")
    assert len(answer.samples) == 4
    wait_until(lambda: {each.version for each in described(service).versions} == {"1"})


def registered_fault(registry: EchoRegistry) -> str:
    return str(registry.client.get_registered_model(MODEL).tags.get(SYNC_ERROR_TAG, ""))
