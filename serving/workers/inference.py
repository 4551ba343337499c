"""Connection to the workers of a host: requests and batches to their versions."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable

from handlers.batches import BATCH_FIELD
from handlers.contract import (
    CONTRACT,
    INPUT_FIELD,
    START_BY_FIELD,
    TRACEPARENT_FIELD,
    CommentaryRequest,
    CommentaryResponse,
    ContractError,
    decode_answer,
)
from serving.workers.batcher import Batcher
from serving.workers.faults import in_band


class Inference(ABC):
    """Connection to the workers of a running host."""

    @abstractmethod
    async def predict(self, fields: dict[str, bytes], *, model: str, version: str, timeout_s: float) -> bytes:
        """Make one call of a version's handler and return its answer.

        Args:
            fields: fields of the one row that the handler gets.
            model: name of the model.
            version: number of the version.
            timeout_s: longest time to wait for the answer.

        Raises:
            InferenceError: no worker answers; it holds the status for the client.
        """

    @abstractmethod
    async def answers_ping(self, *, timeout_s: float) -> bool:
        """Return whether the host answers at all within the time, whatever state its workers are in."""

    @abstractmethod
    async def close(self, *, grace_s: float | None = None) -> None:
        """Close the connection; calls in flight are cancelled after the grace period."""

    async def generate(
        self,
        request: CommentaryRequest,
        *,
        model: str,
        version: str,
        timeout_s: float,
        contract: int = CONTRACT,
        start_by: float | None = None,
        traceparent: str = "",
    ) -> CommentaryResponse:
        """Ask one version for samples, in a call of its own.

        Args:
            request: request for samples.
            model: name of the model.
            version: number of the version.
            timeout_s: longest time to wait for the answer.
            contract: version of the request's JSON that the version's worker reads.
            start_by: latest start of the decode, in seconds of the machine's monotonic clock; None for any. The worker
                answers later ones with DEADLINE_EXCEEDED; archives packed by earlier versions decode them.
            traceparent: context of the request's trace; empty if it has none.

        Raises:
            InferenceError: the request fails; it holds the status for the client.
        """
        fields = {INPUT_FIELD: request.to_json(contract)}
        if start_by is not None:
            fields[START_BY_FIELD] = b"%.3f" % start_by
        if traceparent:
            fields[TRACEPARENT_FIELD] = traceparent.encode()
        answer = await self.predict(fields, model=model, version=version, timeout_s=timeout_s)
        try:
            return decode_answer(answer)
        except ContractError as fault:
            raise in_band(fault) from fault

    def batcher(self, model: str, version: str, *, num_workers: Callable[[], int], timeout_s: float) -> Batcher:
        """Return a former of batches for one version, whose worker has to read them (`BATCHES_CONTRACT`).

        Args:
            model: name of the model.
            version: number of the version.
            num_workers: returns the number of its workers that are able to answer.
            timeout_s: longest time to wait for the answer to a batch.
        """

        async def send(payload: bytes) -> bytes:
            return await self.predict({BATCH_FIELD: payload}, model=model, version=version, timeout_s=timeout_s)

        return Batcher(send, num_workers=num_workers)
