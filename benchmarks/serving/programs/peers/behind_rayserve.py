"""Ray Serve with @serve.batch, after https://docs.ray.io/en/latest/serve/advanced-guides/dyn-req-batch.html.

There is a replica per worker with one reserved core, which accepts more requests than a batch at a time, as that page
advises. The decode blocks the replica's event loop, as in that page's examples: with a decode thread the loop accepted
so few requests that batches held five (385 samples per second instead of 536). Ray's own folder has a short path,
because it creates Unix sockets there.
"""

from __future__ import annotations

import tempfile

import ray
from ray import serve
from starlette.requests import Request
from starlette.responses import Response

from benchmarks.serving.programs.served import Served
from benchmarks.serving.programs.settings import ServerSettings, announce, server_settings, wait_for_end
from foundation.defaults import LOOPBACK


def application(settings: ServerSettings) -> serve.Application:
    """Build the application around the engine."""

    class Commentary:
        def __init__(self) -> None:
            self._served = Served(settings.model, threads=settings.threads)

        @serve.batch(max_batch_size=settings.batch_size, batch_wait_timeout_s=settings.delay_ms / 1000)
        async def answer(self, payloads: list[bytes]) -> list[str]:
            return self._served.answer(payloads)

        async def __call__(self, request: Request) -> Response:
            return Response(await self.answer(await request.body()), media_type="application/json")

    deployment = serve.deployment(
        num_replicas=settings.workers,
        max_ongoing_requests=4 * settings.batch_size,
        ray_actor_options={"num_cpus": 1},
    )
    return deployment(Commentary).bind()


def main() -> None:
    """Serve until the benchmark ends the program."""
    settings = server_settings()
    with tempfile.TemporaryDirectory(prefix="ray-", ignore_cleanup_errors=True) as folder:
        ray.init(
            num_cpus=settings.workers + 1,
            include_dashboard=False,
            log_to_driver=False,
            object_store_memory=100 * 2**20,
            _node_ip_address=LOOPBACK,
            _temp_dir=folder,
        )
        try:
            serve.start(http_options={"host": LOOPBACK, "port": settings.port})
            serve.run(application(settings))
            announce(settings, http=f"http://{LOOPBACK}:{settings.port}/")
            wait_for_end()
        finally:
            serve.shutdown()
            ray.shutdown()


if __name__ == "__main__":
    main()
