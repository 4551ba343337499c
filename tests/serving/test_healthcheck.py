import os
import subprocess
import sys
from collections.abc import Iterator
from concurrent import futures

import grpc
import pytest
from grpc_health.v1 import health, health_pb2, health_pb2_grpc


def check(target: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "serving.healthcheck"],
        env={**os.environ, "DEEPHYPEBOT_TARGET": target},
        capture_output=True,
        text=True,
        timeout=30,
        check=False,
    )


@pytest.fixture
def health_server() -> Iterator[tuple[str, health.HealthServicer]]:
    server = grpc.server(futures.ThreadPoolExecutor(2))
    service = health.HealthServicer()
    health_pb2_grpc.add_HealthServicer_to_server(service, server)
    port = server.add_insecure_port("127.0.0.1:0")
    server.start()
    yield f"127.0.0.1:{port}", service
    server.stop(grace=0).wait()


def test_a_gateway_that_serves_is_healthy(health_server: tuple[str, health.HealthServicer]) -> None:
    target, service = health_server
    service.set("", health_pb2.HealthCheckResponse.SERVING)
    done = check(target)
    assert (done.returncode, done.stdout) == (0, f"{target} is serving\n")


def test_a_gateway_that_is_up_but_cannot_answer_is_not_healthy(
    health_server: tuple[str, health.HealthServicer],
) -> None:
    target, service = health_server
    service.set("", health_pb2.HealthCheckResponse.NOT_SERVING)
    done = check(target)
    assert (done.returncode, done.stdout) == (1, f"{target} is not serving\n")


def test_nobody_listening_is_not_healthy_and_no_traceback() -> None:
    done = check("127.0.0.1:1")
    assert (done.returncode, done.stdout, done.stderr) == (1, "127.0.0.1:1 is not serving\n", "")
