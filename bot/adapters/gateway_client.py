"""Samples from the gateway, over gRPC, through the project's own client."""

from __future__ import annotations

import logging
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace

from typing_extensions import override

from bot.domain.errors import NoServiceError, SongFailedError, SongRefusedError
from bot.ports import CommentaryService, LiveVersion, ModelServer, SongSamples, WrittenSample
from handlers.contract import CommentaryRequest, CommentaryResponse
from serving import client
from serving.interleaving import InterleavedResponse

_log = logging.getLogger(__name__)

_DESCRIBE_S = 1.0


class GatewayClient(CommentaryService, ModelServer):
    """Client of one model behind a gateway.

    Args:
        target: address of the gateway, `host:port`.
        model: the registered model that writes the samples.
        timeout_s: seconds that a request may take, retries included.
        credentials: how the client verifies the gateway, and what it shows.
    """

    def __init__(
        self, target: str, *, model: str, timeout_s: float, credentials: client.Credentials | None = None
    ) -> None:
        self._target = target
        self._client = client.CommentaryClient(target, model=model, timeout_s=timeout_s, credentials=credentials)

    @override
    def generate(self, request: CommentaryRequest) -> SongSamples:
        with _bot_errors(self._target):
            answer = self._ask(request)
        return SongSamples(
            samples=tuple(
                WrittenSample(
                    sample=sample, model=arm.model, genres_unknown=arm.genres_unknown, exposure_id=arm.exposure_id
                )
                for place, sample in enumerate(answer.samples)
                for arm in [answer.arm_of(place)]
            ),
            experiment=answer.experiment,
            arms_failed=sum(bool(arm.error) for arm in answer.arms),
            trace_id=answer.trace_id,
        )

    def _ask(self, request: CommentaryRequest) -> InterleavedResponse:
        """Ask for samples, by each version's own rule where one cannot rank as the request says.

        The versions that answer change while a bot runs. All arms of an experiment get the same request.
        """
        try:
            return self._client.generate_interleaved(request)
        except client.InvalidRequestError as error:
            if error.field != "rank_by":
                raise
            _log.warning("candidates are ranked by each version's own rule: %s", error.message)
            return self._client.generate_interleaved(replace(request, rank_by=None))

    @override
    def write(
        self, request: CommentaryRequest, *, model: str | None = None, version: str | None = None
    ) -> CommentaryResponse:
        with _bot_errors(self._target):
            return self._client.generate(request, model=model, version=version)

    @override
    def live(self) -> Sequence[LiveVersion]:
        with _bot_errors(self._target):
            models = self._client.describe(timeout_s=_DESCRIBE_S)
        return [
            LiveVersion(
                model=model.name,
                version=version.version,
                champion=version.version == model.champion,
                topics=version.topics,
                desired_topic=version.desired_topic,
                ranks_by_value=version.ranks_by_value,
            )
            for model in models
            for version in model.versions
        ]

    @override
    def is_reachable(self) -> bool:
        """Whether the gateway's health check succeeds."""
        return self._client.is_serving(timeout_s=1.0)

    @override
    def close(self) -> None:
        self._client.close()


@contextmanager
def _bot_errors(target: str) -> Iterator[None]:
    """Turn the client's errors into the bot's own."""
    try:
        yield
    except client.InvalidRequestError as error:
        field = f" ({error.field})" if error.field else ""
        raise SongRefusedError(f"the request was refused{field}: {error.message}") from error
    except (client.InternalServiceError, client.DeadlineError) as error:
        if error.code == "UNIMPLEMENTED":
            raise NoServiceError(f"no commentary from {target}: {error.message}") from error
        raise SongFailedError(f"the server failed: {error}") from error
    except client.CommentaryError as error:
        # Unreachable, at its limit, or without the model: not because of the song, so no source post counts as failed.
        raise NoServiceError(f"no commentary from {target}: {error}") from error
