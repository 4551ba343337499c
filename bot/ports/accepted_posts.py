"""Accepted posts that are not sent yet, and what their pace depends on."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Sequence
from datetime import datetime

from bot.domain.pace import AcceptedPost, Pace
from bot.ports.restored import RestoreState


class AcceptedPosts(RestoreState):
    """Accepted posts that are not sent yet. Every method is one transaction."""

    @abstractmethod
    def accepted_posts(self, pace: Pace, *, since: datetime, limit: int) -> list[AcceptedPost]:
        """Return accepted posts that are not sent, in the order in which they are sent.

        Candidates that no pass of the bot has made a post of are among them if they were accepted since a time.
        """

    @abstractmethod
    def departures(self, *, since: datetime) -> list[datetime]:
        """Return the times since a time at which posts left or may have left, in order; some may be ahead of now."""

    @abstractmethod
    def confirm(self, candidate_ids: Sequence[str], who: str) -> None:
        """Record that accepted posts may be sent although there are others about their songs, all or none.

        The confirmation holds until the verdict is taken back.

        Raises:
            UnknownCandidateError: no candidate has an id.
            StaleVerdictError: a candidate is not accepted, or its post is or may be out, or was refused.
        """
