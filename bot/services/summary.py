"""How the bot works, and what a pass of it did."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import timedelta


@dataclass(frozen=True, slots=True, kw_only=True)
class ServiceOptions:
    """How the bot works."""

    num_samples: int = 5
    """Samples asked for each song."""
    min_confidence: float = 0.5
    """Songs that the parser is less sure of are passed over."""
    concurrency: int = 4
    """Tweets handled at once."""
    max_attempts: int = 5
    """Passes in which the server may fail on a tweet, while it answers others, before the tweet counts as failed."""
    song_age: timedelta = timedelta(0)
    """A song that another tweet brought within this time is passed over, save where somebody asks for it."""
    grace_s: float = 2.5
    """Seconds that requests in flight get when the bot is told to stop."""


DEFAULT_OPTIONS = ServiceOptions()


@dataclass(slots=True, kw_only=True)
class Summary:
    """What a pass did."""

    source_posts_read: int = 0
    """New tweets of the sources."""
    source_posts_known: int = 0
    """Tweets of the sources that were read before, by their ids."""
    bad_rows: int = 0
    source_posts_done: int = 0
    source_posts_without_song: int = 0
    source_posts_failed: int = 0
    source_posts_postponed: int = 0
    """Tweets that the server failed on, to be tried again."""
    source_posts_pending: int = 0
    """Tweets that are left to handle."""
    songs: int = 0
    songs_of_unknown_genre: int = 0
    songs_repeated: int = 0
    """Songs that came lately, and for which nothing was asked again."""
    candidates: int = 0
    rows_appended: int = 0
    """Candidates that are on the board now."""
    verdicts: int = 0
    """Verdicts that were read from the board."""
    rows_edited: int = 0
    """Rows of the board that show a verdict given elsewhere now."""
    posts_sent: int = 0
    posts_refused: int = 0
    posts_found: int = 0
    """Posts in doubt that were found to be out."""
    posts_doubtful: int = 0
    """Posts of which nobody knows yet whether they are out."""
    posts_held_back: int = 0
    """Posts that would have been sent, were this no dry run."""
    outage: str = ""
    """Why no more commentary was asked for; empty when all was answered."""
    problems: list[str] = field(default_factory=list)
    """What went wrong, a line each; the rest of the pass went on."""
    notices: list[str] = field(default_factory=list)

    def counts(self) -> dict[str, int]:
        """Every count by its name."""
        return {name: value for name in self.__slots__ if isinstance(value := getattr(self, name), int)}

    @property
    def is_idle(self) -> bool:
        """Whether nothing came in and nothing went out."""
        return not (
            self.source_posts_read
            or self.candidates
            or self.rows_appended
            or self.verdicts
            or self.rows_edited
            or self.posts_sent
            or self.source_posts_pending
        )
