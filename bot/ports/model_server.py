"""The model server that a curator tries a version on."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass

from handlers.contract import CommentaryRequest, CommentaryResponse


@dataclass(frozen=True, slots=True, kw_only=True)
class LiveVersion:
    """A model's version that answers at the moment."""

    model: str
    version: str
    champion: bool
    """Whether it answers requests that name no version."""
    topics: tuple[str, ...]
    """Names of the topics, in the order of a sample's."""
    desired_topic: str


class ModelServer(ABC):
    """Who writes, and which of its versions can be asked. Called from several threads at once."""

    @abstractmethod
    def live(self) -> Sequence[LiveVersion]:
        """Versions that answer now.

        Raises:
            NoServiceError: nobody does.
        """

    @abstractmethod
    def write(
        self, request: CommentaryRequest, *, model: str | None = None, version: str | None = None
    ) -> CommentaryResponse:
        """Samples from a version; from the champion of the usual model where none is named.

        Raises:
            SongRefusedError: the request is invalid.
            SongFailedError: the server broke while it answered.
            NoServiceError: nobody can answer at the moment.
        """
