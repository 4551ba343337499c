"""Parts of a song: what may be a title or a credit, and the song that is made of them."""

from __future__ import annotations

import re

from bot.domain.songs.names import IsArtist, is_name, is_name_word, is_titled, split_credit, words_of
from bot.domain.songs.notes import artists_of, covered_by, version_of
from bot.domain.songs.song import Song

PROSE = words_of(
    "i i'm i've i'd i'll he she you you're your my me we we're they're it's that's this is are was were am be "
    "been have "
    "has had do does did don't can can't could should would will won't if because what how why who when where "
    "there here let's lets anyone anybody someone help please thanks looking think thoughts know just really very"
)
"""Words of sentences, which titles and credits begin with or hold rarely."""
_NO_CREDIT = re.compile(
    r"\b(?:out now|episode|fans|songs|tracks|albums|anyone|ep|lp|mixtape|podcast)\b|\"|"
    r"'s (?:\w+ ){0,2}(?:album|ep|lp|record|book|film)\b",
    re.IGNORECASE,
)


def make_song(
    credit: str,
    title: str,
    *,
    notes: list[str],
    guests: list[str],
    confidence: float,
    is_artist: IsArtist | None,
    cover_of: str = "",
) -> Song | None:
    """Build a song from its parts; None if the credit has no artist."""
    artists = split_credit(credit, is_artist)
    if not artists:
        return None
    covered = cover_of or next(filter(None, map(covered_by, notes)), "")
    return Song(
        artists=artists,
        title=title,
        featured=artists_of(guests, is_artist),
        version=version_of(notes),
        cover_of=covered or None,
        confidence=round(confidence, 2),
    )


def is_title(title: str) -> bool:
    """Whether a text between quotes can be a title."""
    balanced = all(title.count(left) == title.count(right) for left, right in ("()", "[]", "{}"))
    return balanced and is_name(title) and len(title) <= 150


def is_credit(credit: str) -> bool:
    """Whether a text can be a credit: short, and not a sentence."""
    words = credit.casefold().split()
    # "My Chemical Romance" is a name, "my dog asleep" is not.
    prose = bool(PROSE & set(words)) and not (is_titled(credit) and len(words) <= 5)
    return 0 < len(words) <= 9 and len(credit) <= 80 and is_name(credit) and not prose and not _NO_CREDIT.search(credit)


def reads_as_prose(text: str, limit: int) -> bool:
    """Whether a text in a title's place is a sentence."""
    words = text.split()
    return len(words) > limit or (
        not is_titled(text) and len(words) > 5 and words[0].casefold() in PROSE and not is_name_word(words[1])
    )
