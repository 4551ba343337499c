"""The whole service with the real TorchServe and MLflow; one shared process, one model for each test."""

from __future__ import annotations

import json
import logging
import re
import sqlite3
import threading
import time
import urllib.request
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from hashlib import sha256
from pathlib import Path
from typing import Any

import pytest

from foundation.processors import num_processors
from handlers.contract import CommentaryResponse
from serving.client import (
    CommentaryClient,
    DeadlineError,
    InternalServiceError,
    InvalidRequestError,
    LiveModel,
    UnavailableError,
    UnknownModelError,
)
from serving.promotion import NotSwitchedError, wait_for_champion
from serving.registry.client import Registry
from serving.registry.versions import SYNC_ERROR_TAG, Move
from tests.serving.support import (
    ONE_ATTEMPT,
    EchoRegistry,
    ServiceProcess,
    ask,
    launch_service,
    steady_load,
    wait_ready,
    wait_until,
)

pytestmark = pytest.mark.integration

_log = logging.getLogger(__name__)


def live(client: CommentaryClient, model: str) -> LiveModel:
    (described,) = client.describe(model)
    return described


def live_versions(client: CommentaryClient, model: str) -> list[str]:
    return [version.version for version in live(client, model).versions]


def worker_count(service: ServiceProcess) -> int:
    return len(service.workers())


def promote(registry: EchoRegistry, client: CommentaryClient, model: str, version: str) -> None:
    control = Registry(registry.uri)
    control.promote(model, version)
    assert wait_for_champion(client, control, model=model, version=version, timeout_s=60)


@pytest.mark.torchserve
def test_a_killed_jvm_is_unavailable_at_once_and_comes_back_with_all_its_versions(service: ServiceProcess) -> None:
    with CommentaryClient(service.target, model="alpha", retry=ONE_ATTEMPT) as client:
        before = client.describe()
        owed = call_in_background(lambda: client.generate(ask(artist="sleep 5"), timeout_s=20))
        wait_until(lambda: sum(version.in_flight for version in live(client, "alpha").versions) == 1)
        jvm = service.jvm
        workers = jvm.children()
        started = time.monotonic()
        jvm.kill()
        assert isinstance(owed(), UnavailableError)
        with pytest.raises(UnavailableError):
            client.generate(ask(), timeout_s=20)
        assert time.monotonic() - started < 2
        wait_until(lambda: not client.is_serving(), timeout_s=2)
        # Until the end of the JVM is noticed, the versions are still listed, although none of them answers.
        wait_until(client.is_serving, timeout_s=60)
        answered_s = time.monotonic() - started
        wait_until(lambda: [described(model) for model in client.describe()] == [described(m) for m in before])
        _log.info("JVM killed: answers after %.1f s, all back after %.1f s", answered_s, time.monotonic() - started)
        assert client.generate(ask()).model.version == live(client, "alpha").champion
        assert service.jvm.pid != jvm.pid
        assert not any(worker.is_running() for worker in workers)


def test_versions_switch_under_load_without_a_failed_request(service: ServiceProcess, registry: EchoRegistry) -> None:
    model = "alpha"
    second, third = registry.register(model), registry.register(model)
    with CommentaryClient(service.target, model=model, timeout_s=30) as client:
        before = worker_count(service)
        with steady_load(service.target, model) as load:
            with steady_load(service.target, model, version="1", num_threads=1) as pinned:
                promote(registry, client, model, second)
                assert live_versions(client, model) == ["1", second]
                wait_until(lambda: load.answered.get(second, 0) > 20)
            assert set(pinned.answered) == {"1"}
            assert pinned.failures == []
            # The first version still owes an answer when it loses its last alias.
            with ThreadPoolExecutor(1) as pool:
                owed = pool.submit(client.generate, ask(artist="sleep 4"), version="1")
                wait_until(lambda: live(client, model).versions[0].in_flight == 1)
                promote(registry, client, model, third)
                wait_until(lambda: live_versions(client, model) == [second, third])
                assert owed.result().model.version == "1"
            wait_until(lambda: worker_count(service) == before + 1)
            Registry(registry.uri).rollback(model)
            wait_until(lambda: live(client, model).champion == second, timeout_s=5)
            answered = dict(load.answered)
            wait_until(lambda: load.answered[second] > answered[second] + 20)
        assert load.failures == []
        assert set(load.answered) == {"1", second, third}
        _log.info("switch under load: %s, slowest %.0f ms", load.answered, 1000 * load.slowest_s)
        with pytest.raises(UnknownModelError, match=f"no live version '1'; live: {second}, {third}"):
            client.generate(ask(), version="1")
        aliases = {version.version: version.aliases for version in live(client, model).versions}
        assert aliases == {second: ("champion",), third: ("previous",)}


def truncate(archive: Path) -> None:
    archive.write_bytes(archive.read_bytes()[:-100])


@pytest.mark.parametrize(
    ("flaw", "reason"),
    [
        ({"damage": truncate}, "damaged or changed after it was registered"),
        ({"digest": "0" * 64}, "the registry has 000000000000"),
        ({"signed": False}, "is not signed"),
        ({"batch_size": -64}, "batchSize -64"),
        ({"broken": True}, "Failed to start workers|these weights cannot be loaded"),  # TorchServe or the pool
        ({"mute": True}, "the decode failed: on purpose"),
    ],
    ids=["truncated", "other hash", "unsigned", "batch size", "weights do not load", "canary fails"],
)
def test_a_version_that_is_not_fit_is_refused_and_the_registry_says_why(
    service: ServiceProcess, registry: EchoRegistry, flaw: dict[str, Any], reason: str
) -> None:
    model = "beta"
    version = registry.register(model, **flaw)
    with CommentaryClient(service.target, model=model) as client:
        champion = live(client, model).champion
        with steady_load(service.target, model, num_threads=1) as load:
            with pytest.raises(NotSwitchedError, match=f"was refused, version {champion} still answers: .*{reason}"):
                promote(registry, client, model, version)
            with pytest.raises(UnknownModelError):
                client.generate(ask(), version=version)
        assert (load.failures, set(load.answered)) == ([], {champion})
    assert re.search(reason, registry.tag(model, version, SYNC_ERROR_TAG))
    registry.alias(model, "champion", champion)


def test_a_refused_version_gets_another_try_when_its_tag_is_removed(
    service: ServiceProcess, registry: EchoRegistry
) -> None:
    model = "beta"
    version = registry.register(model, digest="1" * 64)
    with CommentaryClient(service.target, model=model) as client:
        with pytest.raises(NotSwitchedError):
            promote(registry, client, model, version)
        archive = registry.folder / "built" / f"{model}_{version}.mar"
        digest = sha256(archive.read_bytes()).hexdigest()
        registry.client.set_model_version_tag(model, version, "archive_sha256", digest)
        registry.sign(model, version, digest)
        Registry(registry.uri).set_sync_error(model, version, "")
        wait_until(lambda: live(client, model).champion == version)
        assert registry.tag(model, version, SYNC_ERROR_TAG) == ""


@pytest.mark.parametrize(
    ("command", "error", "message"),
    [
        ("fail", InternalServiceError, "on purpose"),
        ("raise", InternalServiceError, "workers.log"),
        ("garbage", InternalServiceError, "could not be read"),
        ("refuse", InvalidRequestError, "refused on purpose"),
    ],
)
def test_faults_of_a_worker_reach_the_client_as_what_they_are(
    service: ServiceProcess, command: str, error: type[Exception], message: str
) -> None:
    with CommentaryClient(service.target, model="gamma") as client:
        with pytest.raises(error, match=message):
            client.generate(ask(artist=command))
        assert client.generate(ask(title="after")).samples[0].text == "after"


def test_the_traceback_of_a_handler_is_in_the_workers_log(service: ServiceProcess) -> None:
    with CommentaryClient(service.target, model="gamma") as client, pytest.raises(InternalServiceError):
        client.generate(ask(artist="raise"))
    log = service.folder / "logs" / "workers.log"
    wait_until(lambda: "a fault that the handler did not catch" in log.read_text())


def test_a_deadline_ends_a_request_in_the_worker(service: ServiceProcess) -> None:
    with CommentaryClient(service.target, model="gamma") as client:
        started = time.monotonic()
        with pytest.raises(DeadlineError):
            client.generate(ask(artist="sleep 5"), timeout_s=0.3)
        assert time.monotonic() - started < 4
        assert client.generate(ask(title="after")).samples[0].text == "after"


def test_a_killed_worker_is_unavailable_and_a_patient_client_notices_nothing(service: ServiceProcess) -> None:
    with CommentaryClient(service.target, model="gamma", retry=ONE_ATTEMPT) as client:
        with pytest.raises(UnavailableError, match=r"[Ww]orker died"):
            client.generate(ask(artist="die"))
        assert client.generate(ask(title="after"), timeout_s=25).samples[0].text == "after"


def test_many_clients_get_their_own_answers(service: ServiceProcess) -> None:
    def generate(number: int) -> CommentaryResponse:
        return client.generate(ask(title=f"song {number}", num_samples=3, request_id=str(number)))

    with CommentaryClient(service.target, model="gamma", timeout_s=30) as client, ThreadPoolExecutor(32) as pool:
        for number, answer in enumerate(pool.map(generate, range(200))):
            assert [sample.text for sample in answer.samples] == [f"song {number}"] * 3
            assert answer.request_id == str(number)


def test_serving_goes_on_while_the_registry_is_down_and_follows_it_afterwards(
    service: ServiceProcess, registry: EchoRegistry
) -> None:
    model = "gamma"
    version = registry.register(model)
    database = sqlite3.connect(registry.uri.removeprefix("sqlite:///"), isolation_level=None)
    with CommentaryClient(service.target, model=model) as client, steady_load(service.target, model) as load:
        Registry(registry.uri).promote(model, version)
        database.execute("ALTER TABLE registered_models RENAME TO mislaid")
        try:
            wait_until(lambda: "serving continues with the live versions" in service.log())
            assert client.generate(ask()).model.version
        finally:
            database.execute("ALTER TABLE mislaid RENAME TO registered_models")
            database.close()
        wait_until(lambda: live(client, model).champion == version)
        wait_until(lambda: "the registry is available again" in service.log())
    assert load.failures == []


def test_an_alias_that_a_person_moves_in_mlflow_keeps_the_way_back_to_what_answered(
    service: ServiceProcess, registry: EchoRegistry
) -> None:
    model, control = "gamma", Registry(registry.uri)
    second, third = registry.register(model), registry.register(model)
    with CommentaryClient(service.target, model=model, timeout_s=30) as client:
        answered = live(client, model).champion
        registry.alias(model, "favourite", answered)
        for version in (second, third):
            registry.alias(model, "champion", version)
            wanted = {"champion": version, "previous": answered}
            wait_until(partial(is_live, client, model, version))
            wait_until(partial(is_held, control, model, wanted))
            answered = version
        assert control.rollback(model) == Move(model=model, champion=second, previous=third)
        wait_until(lambda: live(client, model).champion == second)
    told = [line for line in service.log().splitlines() if "'favourite'" in line]
    assert len(told) == 1
    assert "is not served" in told[0]


def test_a_champion_that_loses_its_alias_answers_until_another_is_named_and_the_registry_says_why(
    service: ServiceProcess, registry: EchoRegistry
) -> None:
    model = "gamma"
    with CommentaryClient(service.target, model=model) as client, steady_load(service.target, model) as load:
        challenger, champion = registry.register(model), live(client, model).champion
        registry.alias(model, "challenger", challenger)
        wait_until(lambda: challenger in live_versions(client, model))
        before = worker_count(service)
        registry.client.delete_registered_model_alias(model, "champion")
        wait_until(lambda: "lost the alias 'champion'" in registry.tag(model, champion, SYNC_ERROR_TAG))
        time.sleep(3)  # longer than the grace period, which keeps what is asked for again in time
        assert live(client, model).champion == champion
        # The champion is TorchServe's default version, which TorchServe does not give up by itself.
        registry.alias(model, "champion", challenger)
        wait_until(partial(is_live, client, model, challenger))
        wait_until(lambda: registry.tag(model, champion, SYNC_ERROR_TAG) == "")
        registry.client.delete_registered_model_alias(model, "previous")
        wait_until(lambda: f"{model}/{champion} is drained and removed" in service.log())
        wait_until(lambda: worker_count(service) < before)
    assert load.failures == []
    assert service.log().count("lost the alias 'champion'") == 1
    assert "could not remove" not in service.log()


def test_a_champion_that_is_deleted_answers_until_another_is_named_and_the_model_says_why(
    service: ServiceProcess, registry: EchoRegistry
) -> None:
    model = "gamma"

    def told() -> str:
        return str(registry.client.get_registered_model(model).tags.get(SYNC_ERROR_TAG, ""))

    with CommentaryClient(service.target, model=model) as client, steady_load(service.target, model) as load:
        champion, other = live(client, model).champion, registry.register(model)
        registry.alias(model, "challenger", other)
        wait_until(lambda: other in live_versions(client, model))
        workers = worker_count(service)
        registry.client.delete_model_version(model, champion)
        wait_until(lambda: f"{model}/{champion} does not exist in the registry any more" in told())
        assert live(client, model).champion == champion
        registry.alias(model, "champion", other)
        wait_until(partial(is_live, client, model, other))
        wait_until(lambda: told() == "")
        wait_until(lambda: live_versions(client, model) == [other])
        wait_until(lambda: worker_count(service) < workers)
    assert load.failures == []


def is_live(client: CommentaryClient, model: str, champion: str) -> bool:
    return live(client, model).champion == champion


def is_held(control: Registry, model: str, wanted: dict[str, str]) -> bool:
    snapshot = control.snapshot(model)
    found = {alias: snapshot.holder(alias) for alias in ("champion", "previous")}
    return {alias: version.version for alias, version in found.items() if version is not None} == wanted


def test_a_description_says_what_the_worker_is_and_its_share_of_the_cores_as_versions_come_and_go(
    registry: EchoRegistry, tmp_path: Path
) -> None:
    first = registry.register("describing")
    registry.alias("describing", "champion", first)
    folder = tmp_path / "service"
    launched = launch_service(registry.uri, folder, ["describing"], "--workers", "1")
    try:
        service = wait_ready(launched, folder)
        with CommentaryClient(service.target, model="describing") as client:
            # The worker is asked for its description once the version is live.
            asked = []

            def is_described() -> bool:
                asked.append(live(client, "describing"))
                return bool(asked[-1].versions[0].genres)

            wait_until(is_described)
            (alone,) = asked[-1].versions
            assert (alone.genres, alone.lineage) == (("pop",), {"corpus": "ab" * 32})
            assert (alone.precision, alone.slots, alone.batch_size) == ("fp32", 3, 8)
            assert alone.threads == num_processors()
            assert service.ready["metrics"].startswith("http://127.0.0.1:")
            with urllib.request.urlopen(service.ready["gateway_metrics"], timeout=5) as page:  # noqa: S310 - our own
                counted = f'grpc_server_handled_total{{grpc_code="OK",grpc_method="Describe"}} {len(asked)}.0'
                assert counted.encode() in page.read()
            registry.alias("describing", "challenger", registry.register("describing"))
            wait_until(lambda: threads_of(client) == [max(1, num_processors() // 2)] * 2)
            # One that cannot say what it is serves all the same.
            registry.alias("describing", "challenger", registry.register("describing", shy=True))
            wait_until(lambda: live_versions(client, "describing") == [first, "3"])
            wait_until(lambda: threads_of(client) == [max(1, num_processors() // 2), 0])
            assert client.generate(ask(title="x"), version="3").samples[0].text == "x"
            registry.client.delete_registered_model_alias("describing", "challenger")
            wait_until(lambda: threads_of(client) == [num_processors()])
        assert service.stop() == 0, service.log()
    finally:
        launched.kill()
        launched.wait()


def threads_of(client: CommentaryClient) -> list[int]:
    return [version.threads for version in live(client, "describing").versions]


def described(model: LiveModel) -> tuple[str, str, tuple[str, ...]]:
    return model.name, model.champion, tuple(version.version for version in model.versions)


def call_in_background(call: Callable[[], object]) -> Callable[[], object]:
    """Start a call; the function that comes back waits for its answer or its error."""
    outcome: list[object] = []

    def run() -> None:
        try:
            outcome.append(call())
        except Exception as fault:  # noqa: BLE001 - it is what the test asks for
            outcome.append(fault)

    thread = threading.Thread(target=run)
    thread.start()

    def wait() -> object:
        thread.join()
        return outcome[0]

    return wait


def test_a_program_that_knows_http_alone_gets_the_same_text(service: ServiceProcess) -> None:
    body = json.dumps({"genres": ["dream pop"], "title": "by curl", "num_samples": 2, "seed": "7"}).encode()
    url = f"{service.ready['http']}/v1/models/alpha:generate"
    headers = {"Content-Type": "application/json", "X-Request-Timeout": "20"}
    request = urllib.request.Request(url, data=body, headers=headers)  # noqa: S310 - our own
    with urllib.request.urlopen(request, timeout=30) as response:  # noqa: S310 - our own
        answer = json.load(response)
    with CommentaryClient(service.target, model="alpha") as client:
        expected = client.generate(ask(title="by curl", num_samples=2, seed=7))
    assert [sample["text"] for sample in answer["samples"]] == [sample.text for sample in expected.samples]
    assert (answer["model"]["name"], answer["arms"][0]["exposure_id"] != "") == ("alpha", True)
