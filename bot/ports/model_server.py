"""The model server that a curator tries a version on."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass

from handlers.contract import CommentaryRequest, CommentaryResponse


@dataclass(frozen=True, slots=True, kw_only=True)
class LiveVersion:
    """Model version that is live."""

    model: str
    version: str
    champion: bool
    """Whether it answers requests that do not name a version."""
    topics: tuple[str, ...]
    """Names of the topics in the order of a sample's topics."""
    desired_topic: str
    ranks_by_value: bool = False
    """Whether it can rank candidates by the probability that a curator accepts them."""


class ModelServer(ABC):
    """Model server with several live versions. Called from several threads at once."""

    @abstractmethod
    def live(self) -> Sequence[LiveVersion]:
        """Return the live versions.

        Raises:
            NoServiceError: the server is not available.
        """

    @abstractmethod
    def write(
        self, request: CommentaryRequest, *, model: str | None = None, version: str | None = None
    ) -> CommentaryResponse:
        """Return samples from a version; by default from the champion of the default model.

        Raises:
            SongRefusedError: the request is invalid.
            SongFailedError: the server failed on this request.
            NoServiceError: the server is not available.
        """
