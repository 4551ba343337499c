"""Requests in the genres that the model knows."""

from __future__ import annotations

from dataclasses import replace

from bot.domain.nearest_genre import NearestGenre
from bot.ports import CommentaryService
from handlers.contract import CommentaryRequest, CommentaryResponse


class KnownGenres(CommentaryService):
    """Asks another service, with the nearest genres that the model knows in the place of those that it does not.

    The queue keeps the artists' own genres; the model's answer still names those without any neighbour.

    Args:
        service: who writes.
        nearest: the model's genres.
    """

    def __init__(self, service: CommentaryService, nearest: NearestGenre) -> None:
        self._service = service
        self._nearest = nearest

    def generate(self, request: CommentaryRequest) -> CommentaryResponse:
        """See `CommentaryService.generate`."""
        return self._service.generate(replace(request, genres=self._nearest.replace(request.genres)))

    def is_reachable(self) -> bool:
        """See `CommentaryService.is_reachable`."""
        return self._service.is_reachable()

    def close(self) -> None:
        """See `CommentaryService.close`."""
        self._service.close()
