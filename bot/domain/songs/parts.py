"""Parts of a song: what may be a title or a credit, and the song that is made of them."""

from __future__ import annotations

import re

from bot.domain.songs.names import SMALL_WORDS, IsArtist, is_name, is_name_word, is_titled, split_credit, words_of
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
_ASKING = words_of(
    "what who why how where when which do does did is are was can could would you i i'm it's he she they we my your "
    "more any some all see thank thanks love hugs kisses"
)
"""Words with which a question or a remark begins, as titles in small letters seldom do."""
_NO_TITLE = words_of(
    "song songs track tracks tune music something anything everything nothing stuff one ones more it this that these "
    "those album albums record records ep lp mixtape cover covers remix remixes version review interview word words "
    "performance set show concert gig video quote thread piece post story book sets all some any another new old best "
    "first second last latest debut greetings regards hello news birthday fans fan question message"
)
_KINDS = frozenset({"song", "songs", "track", "tracks", "album", "albums", "record", "band", "cover", "music"})


def names_nothing(title: str) -> bool:
    """Whether words in a title's place stand for a song without naming it: `anything`, `a song`, `her best album`.

    >>> [names_nothing(title) for title in ("anything", "my favourite song", "which one do you", "Anything Goes")]
    [True, True, True, False]
    """
    words = [word.casefold().strip(".,!?'\"") for word in title.split()]
    if not words:
        return True
    asks = words[0] in _ASKING and (not is_titled(title) or len(words) == 1)
    kind = words[-1] in _KINDS and (title.rsplit(maxsplit=1)[-1].islower() or words[0] == "my")
    return asks or kind or set(words) - SMALL_WORDS <= _NO_TITLE


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
