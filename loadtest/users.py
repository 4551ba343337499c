"""Users of the load test: each requests samples in a loop and checks the answers.

A failed call is recorded under the name of its gRPC status code, an answer that does not match its request under
WRONG_ANSWER. Calls are not retried, so that every error is counted.
"""

from __future__ import annotations

import random
import time
import uuid
from typing import Any, Final

from locust import User, task
from locust.user.wait_time import constant, constant_throughput

from foundation.defaults import DEFAULT_MODEL, GATEWAY_TARGET
from handlers.contract import CommentaryRequest, CommentaryResponse
from loadtest.arguments import credentials_of, read_genres
from loadtest.checks import WRONG_ANSWER, FailedCallError, find_fault
from serving.client import CommentaryClient, CommentaryError, RetryPolicy, ServiceError

REQUEST_TYPE: Final = "grpc"
_TURNED_AWAY: Final = ("UNAVAILABLE", "RESOURCE_EXHAUSTED")
_TURNED_AWAY_PAUSE_S: Final = 0.1


class CommentaryUser(User):
    """Base of the users: requests samples of one model in a loop."""

    abstract = True
    host = GATEWAY_TARGET
    model = ""
    version: str | None = None
    """Version to pin; None for the champion."""

    def __init__(self, environment: Any) -> None:
        super().__init__(environment)
        options = environment.parsed_options
        self._num_samples: int = options.num_samples
        self._genres = read_genres(options.genres_file)
        # Each user is one unit of a sticky split, as a curator would be.
        self._unit = f"loadtest-{uuid.uuid4().hex}"
        self._wait = constant_throughput(options.user_rate) if options.user_rate else constant(0)
        self._client = CommentaryClient(
            environment.host or self.host,
            timeout_s=options.deadline,
            retry=RetryPolicy(max_attempts=1),
            credentials=credentials_of(options),
        )

    def wait_time(self) -> float:
        """Return the seconds until the next request."""
        return self._wait(self)

    def on_stop(self) -> None:
        """Close the connection."""
        self._client.close()

    @task
    def generate(self) -> None:
        """Send a request, check the answer and record it."""
        request = CommentaryRequest(
            genres=random.choice(self._genres),
            artist="The Loopbacks",
            title="Ten Thousand Requests",
            num_samples=self._num_samples,
            unit=self._unit,
            request_id=uuid.uuid4().hex,
        )
        started, clock = time.time(), time.perf_counter()
        response, failure = self._ask(request)
        self.environment.events.request.fire(
            request_type=REQUEST_TYPE,
            name=f"Generate {self.model}" + (f" v{self.version}" if self.version else ""),
            start_time=started,
            response_time=(time.perf_counter() - clock) * 1000,
            response_length=sum(len(sample.text.encode()) for sample in response.samples) if response else 0,
            response=response,
            exception=failure,
            context=self.context(),
        )
        if failure and failure.kind in _TURNED_AWAY:
            # A refused client waits, instead of sending a thousand requests a second: as long as the gateway asks for.
            time.sleep(max(failure.retry_after_s, _TURNED_AWAY_PAUSE_S))

    def _ask(self, request: CommentaryRequest) -> tuple[CommentaryResponse | None, FailedCallError | None]:
        try:
            response = self._client.generate(request, model=self.model, version=self.version)
        except CommentaryError as error:
            retry_after_s = error.retry_after_s if isinstance(error, ServiceError) else 0.0
            return None, FailedCallError(error.code, error.message, retry_after_s=retry_after_s)
        fault = find_fault(request, response, model=self.model, version=self.version)
        return response, FailedCallError(WRONG_ANSWER, fault) if fault else None


class LcganUser(CommentaryUser):
    """User of the champion of `lcgan`."""

    abstract = False
    model = DEFAULT_MODEL


class CvaeUser(CommentaryUser):
    """User of the champion of `cvae`."""

    abstract = False
    model = "cvae"


class PinnedUser(CommentaryUser):
    """User of the version `--pinned-version` of the model `--pinned-model`."""

    abstract = False

    def __init__(self, environment: Any) -> None:
        super().__init__(environment)
        self.model = environment.parsed_options.pinned_model
        self.version = environment.parsed_options.pinned_version
