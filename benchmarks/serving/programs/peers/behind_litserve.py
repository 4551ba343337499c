"""LitServe with max_batch_size and batch_timeout, after https://lightning.ai/docs/litserve/features/batching.

Its documentation advises `fast_queue` (ZeroMQ between server and workers) for many requests a second.
"""

import litserve
from fastapi import Request, Response

from benchmarks.serving.programs.served import Served
from benchmarks.serving.programs.settings import ServerSettings, announce, server_settings
from foundation.defaults import LOOPBACK


class Commentary(litserve.LitAPI):
    """The engine behind LitServe's API."""

    def __init__(self, settings: ServerSettings) -> None:
        super().__init__(max_batch_size=settings.batch_size, batch_timeout=settings.delay_ms / 1000)
        self._settings = settings

    def setup(self, device: str) -> None:
        """Load the model, in each worker."""
        del device
        self._served = Served(self._settings.model, threads=self._settings.threads)

    def decode_request(self, request: Request) -> str:
        """Return the request's text, one string that the engine validates, as it does behind TorchServe.

        LitServe reads the annotation (which must not be a string), and passes the JSON of the body.
        """
        return str(request["request"])

    def batch(self, inputs: list[str]) -> list[str]:
        """Return the requests unchanged."""
        return inputs

    def predict(self, x: list[str]) -> list[str]:
        """Answer a batch."""
        return self._served.answer(x)

    def unbatch(self, output: list[str]) -> list[str]:
        """Return the answers unchanged."""
        return output

    def encode_response(self, output: str) -> Response:
        """Wrap an answer, which is JSON already."""
        return Response(output, media_type="application/json")


def main() -> None:
    """Serve until the benchmark ends the program."""
    settings = server_settings()
    server = litserve.LitServer(
        Commentary(settings),
        accelerator="cpu",
        devices=1,
        workers_per_device=settings.workers,
        timeout=60,
        fast_queue=True,
    )
    announce(settings, http=f"http://{LOOPBACK}:{settings.port}/predict")
    server.run(host=LOOPBACK, port=settings.port, generate_client_file=False, log_level="warning")


if __name__ == "__main__":
    main()
