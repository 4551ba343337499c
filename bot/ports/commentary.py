"""The service that writes samples."""

from __future__ import annotations

from abc import ABC, abstractmethod

from handlers.contract import CommentaryRequest, CommentaryResponse


class CommentaryService(ABC):
    """Service that writes samples. Called from several threads at once."""

    @abstractmethod
    def generate(self, request: CommentaryRequest) -> CommentaryResponse:
        """Return samples for one song.

        Raises:
            SongRefusedError: the request is invalid.
            SongFailedError: the server failed on this request.
            NoServiceError: the service is not available at the moment.
        """

    def genres_for(self, genres: tuple[str, ...]) -> tuple[str, ...]:
        """Return the genres of a request for a song with these genres; the same unless the model knows none of them."""
        return genres

    @abstractmethod
    def is_reachable(self) -> bool:
        """Whether the service is available."""

    @abstractmethod
    def close(self) -> None:
        """Close the connection; calls in flight fail with `NoServiceError`."""
