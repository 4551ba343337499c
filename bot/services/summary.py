"""Options of the bot's passes, and the summary of a pass."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import timedelta

from handlers.contract import RankBy


@dataclass(frozen=True, slots=True, kw_only=True)
class ServiceOptions:
    """Options of the bot's passes."""

    num_samples: int = 5
    """Number of samples generated for each song."""
    rank_by: RankBy | None = None
    """Rule by which the best candidates are chosen, where the version has it; None leaves it to the version."""
    min_confidence: float = 0.5
    """Minimum confidence of the parser; songs below it are skipped."""
    concurrency: int = 4
    """Maximum source posts processed at once."""
    max_attempts: int = 5
    """Passes in which the server may fail on a source post, while it answers others, before the post fails."""
    song_age: timedelta = timedelta(0)
    """Time within which a song of another source post is not repeated, unless a mention asks for it."""
    outputs_every_s: float = 60.0
    """Seconds after which the board and the post sender get a turn between two source posts of a long pass."""
    grace_s: float = 2.5
    """Seconds that requests in flight get when the bot stops."""


DEFAULT_OPTIONS = ServiceOptions()


@dataclass(slots=True, kw_only=True)
class Summary:
    """Summary of a pass."""

    source_posts_read: int = 0
    """New source posts."""
    source_posts_known: int = 0
    """Source posts whose ids were read before."""
    odd_items: int = 0
    """Rows and posts that could not be read and were set aside."""
    source_posts_done: int = 0
    source_posts_without_song: int = 0
    source_posts_failed: int = 0
    source_posts_postponed: int = 0
    """Source posts that the server failed on, to be retried."""
    source_posts_pending: int = 0
    """Source posts that are left to process."""
    songs: int = 0
    songs_of_unknown_genre: int = 0
    songs_repeated: int = 0
    """Songs that were skipped because another source post named them recently."""
    candidates: int = 0
    rows_appended: int = 0
    """Candidates that the pass found or put on the board."""
    verdicts: int = 0
    """Verdicts that were read from the board."""
    rows_missing: int = 0
    """Waiting candidates that were put on the board and are not on it any more."""
    rows_edited: int = 0
    """Rows of the board that were changed: verdicts given elsewhere, notes, posts."""
    posts_sent: int = 0
    posts_refused: int = 0
    posts_found: int = 0
    """Posts in doubt that were found to be sent."""
    posts_doubtful: int = 0
    """Posts of which it is unknown whether they were sent."""
    posts_held_back: int = 0
    """Posts that were held back by the dry run."""
    posts_waiting: int = 0
    """Accepted posts that are left to send."""
    outage: str = ""
    """Reason why no more commentary was requested; empty if all requests were answered."""
    problems: list[str] = field(default_factory=list)
    """Problems, one line each; the rest of the pass continued."""
    failed_parts: list[str] = field(default_factory=list)
    """Parts that had a problem."""
    waiting: list[str] = field(default_factory=list)
    """Problems of earlier passes whose parts are paused, one line each."""
    notices: list[str] = field(default_factory=list)

    def counts(self) -> dict[str, int]:
        """Return every count by its name."""
        return {name: value for name in self.__slots__ if isinstance(value := getattr(self, name), int)}

    @property
    def is_idle(self) -> bool:
        """Whether the pass had nothing to do."""
        return not (
            self.source_posts_read
            or self.candidates
            or self.rows_appended
            or self.verdicts
            or self.rows_edited
            or self.posts_sent
            or self.source_posts_pending
        )
