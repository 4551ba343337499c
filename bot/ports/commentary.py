"""The service that writes samples."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass

from handlers.contract import CommentaryRequest, ModelIdentity, Sample


@dataclass(frozen=True, slots=True, kw_only=True)
class WrittenSample:
    """A sample with the version that wrote it."""

    sample: Sample
    model: ModelIdentity
    genres_unknown: tuple[str, ...] = ()
    """Genres of the request that this version does not know."""
    exposure_id: str = ""
    """Id of the exposure that the gateway recorded of the version's answer; empty if it named none."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SongSamples:
    """Samples for one song, in the order in which curators see them."""

    samples: tuple[WrittenSample, ...]
    experiment: str = ""
    """Experiment to which they belong; if it is interleaved, samples of all arms, shuffled. Empty without one."""
    arms_failed: int = 0
    """Number of arms that did not answer. Their versions are not told: a song with few samples would tell its own."""
    trace_id: str = ""
    """Trace of the request, 32 hexadecimal digits; empty if it belongs to none."""


class CommentaryService(ABC):
    """Service that writes samples. Called from several threads at once."""

    @abstractmethod
    def generate(self, request: CommentaryRequest) -> SongSamples:
        """Return samples for one song: of every arm while an interleaved experiment runs, else of one version.

        Their number is that of the request; the arms of an experiment write equal numbers, which may be more in all.

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
