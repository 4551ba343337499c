"""Who writes."""

from __future__ import annotations

from abc import ABC, abstractmethod

from handlers.contract import CommentaryRequest, CommentaryResponse


class CommentaryService(ABC):
    """Who writes the samples. Called from several threads at once."""

    @abstractmethod
    def generate(self, request: CommentaryRequest) -> CommentaryResponse:
        """Samples for one song.

        Raises:
            SongRefusedError: the request is invalid.
            SongFailedError: the server broke while it answered.
            NoServiceError: nobody can answer at the moment.
        """

    @abstractmethod
    def is_reachable(self) -> bool:
        """Whether somebody would answer now."""

    @abstractmethod
    def close(self) -> None:
        """End the connection; calls in flight fail with `NoServiceError`."""
