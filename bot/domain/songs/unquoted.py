"""Songs with titles without quotes: `Artist - Title`, `Title - Artist`, else `Title by Artist`."""

from __future__ import annotations

import re

from bot.domain.songs.clauses import last_sentence, strip_lead_in
from bot.domain.songs.everyday import is_credit_line, is_everyday, is_owned, is_remark, is_saying
from bot.domain.songs.known import without_alias
from bot.domain.songs.names import (
    IsArtist,
    all_known,
    count_prose,
    is_name_word,
    is_plain_word,
    is_titled,
    name_at_start,
    split_credit,
    trim,
    words_of,
)
from bot.domain.songs.notes import (
    BRACKETS,
    clean_credit,
    clean_title,
    cover_performer,
    covered_by,
    guests_at_start,
    is_whole_note,
    is_whole_work,
    performer_in,
    side_guests,
    take_notes,
    with_subtitle,
    without_remark,
)
from bot.domain.songs.orientation import second_is_artist
from bot.domain.songs.parts import PROSE, is_credit, is_title, make_song, names_nothing, reads_as_prose
from bot.domain.songs.prose import titled_end
from bot.domain.songs.song import Song

_PLAYING = re.compile(
    r"\b(?:now ?playing|listening to|np|on repeat|now ?spinning|song of the day|sotd|on air|"
    r"obsessed with|addicted to|hooked on|earworm|"
    r"(?:top|most played|favou?rite) song(?: this \w+)?(?: is|:)|to discover|stuck in my head)(?!\w)",
    re.IGNORECASE,
)
_CLIP = re.compile(r"\W*(?:MV|M/V|official (?:video|audio|mv)|premiere|video premiere)[\])]", re.IGNORECASE)
_GOES_ON = re.compile(r"(?:by|since|until|for|at|from|to|of|with|because|then)\s|[^:]+:\s(?-i:[a-z])")
_HASHTAG = re.compile(r"#[^\W\d]\w*")
_HASHTAG_ARTIST = re.compile(r"#([^\W\d]\w*)(?=\s+-\s)")
_DASH = re.compile(r"\s+[-_]{1,3}\s+(?:-\s+)?|\s+-{1,3}(?=\w)|(?<=[\w.)])-{1,3}\s+")
_TIGHT_DASH = re.compile(r"(?<=\w)-(?=\w)")
_COMPOUND = words_of("rock pop hop metal core wave based z day post folk step punk hit man box archives factor")
_REMARK = words_of(
    "best great good new free album albums band bands music song songs track tracks video mix mixes mixtape download "
    "part first favorite favourite amazing awesome beautiful this that these some any help"
)
_REMARK_FIRST = words_of("the a an for from like by with and my our")
_COVER_OF = re.compile(r"^(?:\w+ ){0,3}(?:cover|rendition) of ", re.IGNORECASE)
_REMIX_OF = re.compile(
    r"^(?:.*?\b(?:the|a|this|that)\s+)?(\S.{0,40}?)(?:'s|')?\s+((?:re-?mix|rework|edit|flip|bootleg|refix|dub) of )",
    re.IGNORECASE,
)
_TRAILING = re.compile(r"\s+(?:(?:official|music|lyrics?)\s+)*(?:video|mv|teaser|lyrics?)$", re.IGNORECASE)

_DASHED, _DASHED_PROSE, _TIGHT, _BY_PLAIN, _BY_TITLED, _ANNOUNCED, KNOWN = 0.6, 0.35, 0.5, 0.3, 0.55, 0.8, 0.85
_SHORT_NAME = 3
_MAX_LINE = 400


def unquoted_songs(line: str, is_artist: IsArtist | None, *, announced: bool = False) -> list[Song]:
    """Find the song of a line without quoted titles; an empty list without one.

    Args:
        line: the line, cleaned.
        is_artist: returns whether a name is that of a known artist.
        announced: whether a song is asked for or announced elsewhere.
    """
    if len(line) > 2 * _MAX_LINE:
        return []
    announced = announced or _PLAYING.search(line) is not None or _CLIP.match(line) is not None
    notes = [note.strip() for note in BRACKETS.findall(line[:_MAX_LINE])]
    if any(map(is_whole_note, notes)):
        return []
    body = strip_lead_in(_HASHTAG.sub(" ", _HASHTAG_ARTIST.sub(r"\1", take_notes(line)[1])))
    casual = line[:1].islower()
    song = _dashed(body, is_artist, announced=announced, casual=casual) or _plain_by(
        body, is_artist, announced=announced
    )
    return [song] if song is not None else []


def _dashed(body: str, is_artist: IsArtist | None, *, announced: bool, casual: bool) -> Song | None:
    """Read `Artist - Title` or `Title - Artist`, and ignore trailing remarks."""
    sides = _sides(body, is_artist)
    if sides is None:
        return None
    first, second, tight = sides
    label = first.partition(":")[0].strip()
    if label and label != first and is_everyday(label) and not is_owned(label):
        return None  # `Monday: deadlines - Tuesday: more`
    is_quoted = first.startswith('"') and first.endswith('"')  # then it is the title
    first = _name_side(first, is_artist)
    swapped, credit_notes = clean_credit(second)
    bracketed = performer_in(credit_notes)
    first = without_alias(first, is_artist)
    plain = BRACKETS.sub("", first).strip()
    is_cover = any(map(covered_by, BRACKETS.findall(first))) and not (is_artist is not None and is_artist(plain))
    performer, performer_guests = "", list[str]()
    if is_quoted or is_cover or second_is_artist(plain, swapped, is_artist, bracketed_name=bool(bracketed)):
        credit, (title, notes, guests) = swapped, clean_title(first)
        performer, performer_guests = side_guests(bracketed)
        notes = [*notes, *credit_notes]
    else:
        credit, (title, notes, guests) = first, clean_title(second)
        title = _TRAILING.sub("", title)
    credit, credit_guests = side_guests(credit)
    title = without_remark(trim(title).strip(" '\""), in_sentence=casual)
    if is_owned(plain) or (is_quoted and is_saying(sides[0].strip('" '))):
        return None  # `My neighbour - trumpet practice`
    cover_by = next((by for by in map(cover_performer, notes) if by), "")
    performer = performer or cover_by
    if not is_credit(credit) or not is_title(title) or reads_as_prose(title, 25):
        return None
    performed = _split_cover(title, is_artist)
    if performed is not None:
        title, performer, credit = performed[0], credit, performed[1]
    known = all_known(credit, is_artist)
    by = re.search(r"\bby\b", title) is not None and performed is None
    if is_whole_work(title) or (by and not (known and is_titled(title.replace(" by ", " of ")))):
        return None
    return make_song(
        performer or credit,
        title,
        notes=notes,
        guests=[*performer_guests, *credit_guests, *guests],
        confidence=_dashed_confidence(credit, title, is_artist, announced=announced, tight=tight, body=body),
        is_artist=is_artist,
        cover_of=credit if performer else "",
    )


def _split_cover(title: str, is_artist: IsArtist | None) -> tuple[str, str] | None:
    """Split `Title by Artist` behind a performer, if the artist is known; None for any other title."""
    bare, by, artist = title.rpartition(" by ")
    original = by and len(artist) > _SHORT_NAME and all_known(artist, is_artist) and is_titled(artist)
    return (bare, artist) if original and is_title(bare) else None


def _sides(body: str, is_artist: IsArtist | None) -> tuple[str, str, bool] | None:
    """Return the texts on either side of the first dash, and whether the dash had no spaces around it."""
    if len(body) > _MAX_LINE:
        return None
    # A dash within brackets does not count: "Tin Sea (demo - 2004) - Ona Vell".
    masked = BRACKETS.sub(lambda bracket: re.sub(r"[-_]", "~", bracket.group()), body)
    dash = next((dash for dash in _DASH.finditer(masked) if masked[: dash.start()].strip()), None)
    if dash is not None:
        rest = body[dash.end() :]
        following = _DASH.search(masked[dash.end() :])
        second = rest[: following.start()] if following is not None else rest
        return body[: dash.start()].strip(), second.strip(), False
    artist, colon, title = body.partition(": ")
    title = re.split(r"\s+[>|~]", title, maxsplit=1)[0]
    if (
        colon
        and is_artist is not None
        and all_known(artist, is_artist)
        and not is_everyday(artist)
        and is_titled(BRACKETS.sub("", title))
    ):
        return artist.strip(), title, True
    tight = _TIGHT_DASH.search(masked)
    if tight is None or _TIGHT_DASH.search(masked, tight.end()) or len(body.split()) > 14:
        return None
    first, second = body[: tight.start()], body[tight.end() :]
    following_word = re.split(r"\W", second, maxsplit=1)[0].casefold()
    if " by " in second:
        return None
    whole = len(re.findall(r"\w+$", first)[0]) > 2 and len(second) > 2 and following_word not in _COMPOUND
    known = is_artist is not None and is_artist(first)
    known = known or (is_artist is not None and is_artist(second.strip()))
    titled = is_titled(first) and is_titled(second)
    return (first.strip(), second.strip(), True) if whole and (known or titled) else None


def _name_side(text: str, is_artist: IsArtist | None) -> str:
    """Return the name before a dash, without the sentence or announcement before it: `My pick: Artist`."""
    if is_artist is None:
        clause = last_sentence(text)
        return trim(clause if is_credit(clause) else text)
    whole = trim(text)
    if all(map(is_artist, split_credit(side_guests(whole)[0], is_artist))):
        return whole
    after_comma = text.rpartition(", ")[2]
    candidates = (whole, last_sentence(text), after_comma, whole.removeprefix("New "))
    known = next((name for name in map(trim, candidates) if name and is_artist(side_guests(name)[0])), "")
    known = known or _known_behind_prose(text, is_artist)
    if not known and is_artist(trim(text.partition(":")[0])):
        return ""  # `Artist: Album - a remark`
    return known or _name_side(text, None)


def _known_behind_prose(text: str, is_artist: IsArtist) -> str:
    """Return a known name in capitals behind a sentence in small letters: `so i heard Ona Vell`."""
    words = text.split()
    for start in range(max(2, len(words) - 5), len(words)):
        name = trim(" ".join(words[start:]))
        if is_titled(name) and is_plain_word(words[start - 1]) and count_prose(words[:start]) > 1 and is_artist(name):
            return name
    return ""


def _dashed_confidence(
    credit: str, title: str, is_artist: IsArtist | None, *, announced: bool, tight: bool, body: str
) -> float:
    known = is_artist is not None and any(map(is_artist, {credit, *split_credit(credit, is_artist)}))
    words = title.split()
    if not announced and _is_no_pair(credit, title, is_artist, known=known, listed=_in_list(body)):
        return _DASHED_PROSE
    if sum(map(is_name_word, words)) * 2 < len(words) and not _is_short_title(title, credit, known=known):
        return _ANNOUNCED if announced else _DASHED_PROSE
    titled = sum(map(is_name_word, words)) * 2 >= len(words)
    return KNOWN if known else _ANNOUNCED if announced else _DASHED if titled and not tight else _TIGHT


def _in_list(body: str) -> bool:
    """Whether a dash is one of several, or stands behind a label: `Wishlist: headphones - Sony, lamp - Muji`."""
    return body.count(" - ") > 1 or ": " in body.partition(" - ")[0]


def _is_no_pair(credit: str, title: str, is_artist: IsArtist | None, *, known: bool, listed: bool) -> bool:
    """Whether two sides of a dash that nobody announced are parts of a sentence rather than an artist and a title."""
    if is_remark(title) and (is_name_word(credit) or not known):
        return True
    if known:
        return False
    return (
        # `headphones - Sony`, `weekdays 6 - 10`, `let's rank the records - by label`
        (listed and credit.islower() and " " not in credit)
        or (credit[:1].islower() and not any(map(str.isalpha, title)) and not is_name_word(credit))
        or _GOES_ON.match(title) is not None
        or _GOES_ON.match(credit) is not None
        or (is_artist is not None and is_name_word(credit) and not is_titled(credit) and title.islower())
    )


def _is_short_title(title: str, credit: str, *, known: bool) -> bool:
    """Whether a text in lower case is a title rather than a remark: short, and without typical words of remarks."""
    words = title.casefold().split()
    if set(words) & _REMARK:
        return known and len(words) <= 3
    if words[0] in PROSE and not (known or is_titled(credit)):
        return False
    return len(words) <= 7 and (known or words[0] not in _REMARK_FIRST) and len(credit.split()) <= 4


def _plain_by(body: str, is_artist: IsArtist | None, *, announced: bool) -> Song | None:
    """Read `Title by Artist`, only with other evidence of a song beside the word "by"."""
    head, by, tail = body.rpartition(" by ")
    if not by or '"' in body or len(head) > 100:
        return None
    cover = _COVER_OF.match(head)
    remix = _REMIX_OF.match(head)
    cover = cover or remix
    head = last_sentence(_DASH.split(head)[-1] if cover is None else head[cover.end() :])
    announcement = next(reversed(list(_PLAYING.finditer(head))), None)
    head = strip_lead_in(head[announcement.end() :].strip(" :,") if announcement is not None else head) or head
    credit, rest = name_at_start(tail, is_artist)
    title, notes, guests = clean_title(head)
    title = with_subtitle(trim(title).strip(" '"), head, is_artist)
    if announced and title[:1].islower() and not title.islower():
        title = titled_end(title) or title  # `something nice on Tin Sea`
    if not is_credit(credit) or not is_title(title) or is_whole_work(head) or reads_as_prose(title, 8):
        return None
    if is_credit_line(title) or (announced and names_nothing(title)):
        return None
    known = all_known(credit, is_artist)
    titled = is_titled(title) and is_titled(credit) and title != credit
    if credit.islower() and " " not in credit and not (announced or title.islower()):
        return None  # any word may be a name: "by midnight"
    short = known and not rest and _is_short_title(title, credit, known=False)
    if not (known or announced or not rest or titled):
        return None
    sure = announced or (known and titled)
    return make_song(
        credit,
        title,
        notes=[*notes, *([_remix_note(remix)] if remix else ["cover"] if cover else [])],
        guests=[*guests, *guests_at_start(rest, is_artist)],
        # With a list, a name that it lacks is more often the author of a book than a musician.
        confidence=_ANNOUNCED
        if sure
        else _BY_TITLED
        if (titled and (known or is_artist is None or not rest)) or short
        else _BY_PLAIN,
        is_artist=is_artist,
    )


def _remix_note(remix: re.Match[str]) -> str:
    return f"{trim(strip_lead_in(remix.group(1)))} {remix.group(2).split()[0].capitalize()}"
