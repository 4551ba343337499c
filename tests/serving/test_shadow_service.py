"""Shadows and exposures of the real service: TorchServe, registry and gateway as a process of their own."""

from __future__ import annotations

import signal
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from serving.client import CommentaryClient
from serving.traffic.exposures import Exposure, Role
from serving.traffic.reading import ExposureFiles
from serving.wire import LiveVersion
from tests.serving.support import (
    EchoRegistry,
    ServiceProcess,
    ask,
    running_service,
    steady_load,
    wait_until,
)

pytestmark = [pytest.mark.integration, pytest.mark.timeout(180)]

MODEL, ARM, SHADOW = "shadowed", "1", "2"


@pytest.fixture(scope="module")
def service(registry: EchoRegistry, tmp_path_factory: pytest.TempPathFactory) -> Iterator[ServiceProcess]:
    """The service with version 1 as champion and version 2 as a shadow."""
    registry.alias(MODEL, "champion", registry.register(MODEL))
    registry.client.set_model_version_tag(MODEL, registry.register(MODEL), "traffic_shadow", "true")
    folder: Path = tmp_path_factory.mktemp("service")
    with running_service(registry.uri, folder, [MODEL]) as running:
        wait_until(lambda: described(running, SHADOW) is not None)
        yield running


def described(service: ServiceProcess, version: str) -> LiveVersion | None:
    with CommentaryClient(service.target) as client:
        (model,) = client.describe(MODEL)
    return next((each for each in model.versions if each.version == version), None)


def outcomes(service: ServiceProcess) -> dict[str, int]:
    found = described(service, SHADOW)
    return dict(found.shadow_outcomes) if found is not None else {}


def rows(service: ServiceProcess) -> list[Exposure]:
    return list(ExposureFiles(folders=[service.folder / "exposures"]))


def shadows_worker(service: ServiceProcess) -> psutil.Process:
    """Worker that answered nobody: it was begun after the champion's."""
    workers = [each for each in service.family() if "model_service_worker.py" in " ".join(each.cmdline())]
    return max(workers, key=lambda worker: worker.create_time())


def test_every_answer_has_a_row_and_copies_have_theirs(service: ServiceProcess) -> None:
    with CommentaryClient(service.target, model=MODEL) as client:
        names = [f"request {number}" for number in range(20)]
        for name in names:
            assert client.generate(ask(request_id=name)).model.version == ARM
    wait_until(lambda: outcomes(service).get("answered", 0) > 0)
    found = rows(service)
    answers = [row for row in found if row.role is Role.ANSWER and row.request_id in names]
    assert [row.request_id for row in answers] == names
    copies = [row for row in found if row.role is Role.SHADOW]
    assert copies
    assert {row.version for row in copies} == {SHADOW}
    seeds = {row.id: row.seed for row in answers}
    assert all(row.seed == seeds[row.mirrors] for row in copies if row.mirrors in seeds)


@pytest.mark.parametrize("number", [signal.SIGSTOP, signal.SIGKILL])
def test_no_request_fails_or_waits_while_a_shadows_worker_hangs_or_is_killed(
    service: ServiceProcess, number: signal.Signals
) -> None:
    worker = shadows_worker(service)
    with steady_load(service.target, MODEL, num_threads=1) as load:
        wait_until(lambda: load.answered.get(ARM, 0) >= 50)
        worker.send_signal(number)
        try:
            before = load.answered[ARM]
            wait_until(lambda: load.answered[ARM] >= before + 200)
        finally:
            if worker.is_running():
                worker.send_signal(signal.SIGCONT)
    assert load.failures == []
    assert load.answered.keys() == {ARM}
    assert load.slowest_s < 5


def test_one_page_has_the_metrics_of_gateway_sync_and_torchserve(service: ServiceProcess) -> None:
    with urllib.request.urlopen(service.ready["gateway_metrics"], timeout=10) as page:  # noqa: S310 - our own
        text = page.read().decode()
    for line in (
        "deephypebot_gateway_torchserve_up 1.0",
        f'deephypebot_sync_switches_total{{model="{MODEL}"}} 1.0',
        f'deephypebot_gateway_answers_total{{model="{MODEL}",version="{ARM}"}}',
        "# TYPE ts_inference_requests_total counter",
    ):
        assert line in text
