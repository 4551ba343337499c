"""Replacement of a request's genres by genres that the model knows."""

from __future__ import annotations

from dataclasses import replace

from typing_extensions import override

from bot.domain.nearest_genre import NearestGenre
from bot.ports import CommentaryService, SongSamples
from handlers.contract import CommentaryRequest


class KnownGenres(CommentaryService):
    """Decorator of a commentary service that replaces genres unknown to the model by the nearest known ones.

    The queue keeps the artists' own genres beside those of the request; the model's answer lists genres without a
    neighbour as unknown.

    Args:
        service: the decorated service.
        nearest: index of the model's genres.
    """

    def __init__(self, service: CommentaryService, nearest: NearestGenre) -> None:
        self._service = service
        self._nearest = nearest

    @override
    def generate(self, request: CommentaryRequest) -> SongSamples:
        return self._service.generate(replace(request, genres=self._nearest.replace(request.genres)))

    @override
    def genres_for(self, genres: tuple[str, ...]) -> tuple[str, ...]:
        return self._nearest.replace(genres)

    @override
    def is_reachable(self) -> bool:
        return self._service.is_reachable()

    @override
    def close(self) -> None:
        self._service.close()
