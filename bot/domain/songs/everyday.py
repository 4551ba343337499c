"""Posts that are written like songs and name none: prices, scores, recipes, books, offers, complaints.

The tables are of kinds, not of cases: words that begin lists of everyday things, and words that only such posts have.
"""

from __future__ import annotations

import re

from bot.domain.songs.names import words_of

_THINGS = words_of(
    # Days and moods, work and home, food, travel, shopping: as the first side of `Coffee - again` they name nobody.
    "monday tuesday wednesday thursday friday saturday sunday today tomorrow yesterday tonight morning evening "
    "weekend "
    "january february march april june july august september october november december day week month year mood "
    "status "
    "coffee tea lunch dinner breakfast snack nap sleep work school office email emails meeting meetings call calls "
    "deadline dentist doctor gym yoga laundry dishes homework traffic weather news sport sports train bus "
    "flight gate "
    "platform room boss mum mom dad neighbour neighbor cat dog kids rent bills car milk bread eggs butter rice "
    "chicken "
    "salt sugar flour onion garlic lemon tomatoes cheese boots jumper torch step chapter page episode season "
    "part price "
    "shipping sale discount stock size colour color height weight age sex location verdict result score winner "
    "question answer "
    "problem solution reminder breaking update tip fact warning job hiring vacancy hoodie tee shirt tote mug "
    "cap poster vinyl cd tape lp cassette ticket tickets doors despair anxiety me you us them everyone nobody "
    "someone "
    "thanks thank cheers wow lol ok okay yes no hello hi hey sorry stop nice great cool sure congrats "
    "mañana hoy heute morgen gestern lundi mardi mercredi jeudi vendredi montag dienstag mittwoch donnerstag freitag "
    "guten bonjour hola"
)
_OWNED = re.compile(r"^(?:my|our|your|his|her|their|meine?|unsere?|mon|ma|mes|mi|mis)\s+\S", re.IGNORECASE)
_NO_SONG = re.compile(
    r"[€£]\s?\d|\$\d+\.\d\d|- \$\d|\d\s?(?:€|£|eur\b|usd\b|gbp\b|% (?:off|up|down|after|in|on|cheaper)\b)|"
    r"\b\d+\s?(?:kg|g|ml|cm|mm|cups?|tbsp|tsp|kcal|servings?)\b|"
    r"\b(?:serves|preheat|recipe|ingredients)\b|"
    r"\b(?:stocks?|shares?) (?:up|down|rose|fell|jumped|dropped|of)\b|\bearnings\b|"
    r"\b(?:full[- ]time|half[- ]time|kick[- ]?off|FT:|HT:)|\b\d+\s*[-:]\s*\d+\b(?=.*\b(?:half|goal|win|loss|"
    r"match|semi|final|set|game|united|"
    r"city|rovers|wanderers|athletic|fc)\b)|\b\d-\d,\s*\d-\d\b|"
    r"\b(?:oil on (?:canvas|wood|panel)|watercolou?r|paperback|hardback|isbn|novel|memoir|in cinemas|box office|"
    r"best (?:book|film|movie|novel|show|series)|(?:film|movie|book|read) of the (?:week|month|year|day)|"
    r"currently reading|just finished reading|s\d\de\d\d|assembled|collection only|would not (?:sit|stand|sleep|"
    r"buy|eat|recommend)|"
    r"\d+/10 would|now hiring|job opening|vacancy|apply (?:by|now)|full[- ]time|part[- ]time|for sale:|"
    r"vote postponed|delayed|cancelled|off until)\b",
    re.IGNORECASE,
)
_DAY = r"(?:mon|tues?|wed(?:nes)?|thu(?:rs)?|fri|sat(?:ur)?|sun)(?:day)?"
_MORE_NO_SONG = re.compile(
    # Scores in the middle of a line, opening hours, devices and offers, journeys, sayings.
    rf"\b(?-i:[A-ZÀ-Þ])\w*\s\d{{1,2}}\s?-\s?\d{{1,2}}\s(?-i:[A-ZÀ-Þ])|\b{_DAY}\s?-\s?{_DAY}\b|"
    r"\bopening hours\b|\b\d+\s?(?:GB|TB|mAh)\b|"
    r"\b(?:as new|mint condition|hardly used|free to collect|kick[- ]?off|flight [A-Z]{2}\s?\d+|by train|"
    r"who's watching|just watched|(?:book|film|poetry|reading) (?:club|group|prize)|booker|exhibition|vernissage|"
    r"museum|kunsthalle|orangerie|art gallery|a poem by|poem of the|finished reading|just (?:finished|re-?read|read)|"
    r"quote of the (?:day|week)|proverb)\b|^\W*(?:currently |"
    r"now |still )?(?:re-?)?reading\b|^[^-]{2,40} - [^-]{2,40}, (?:\d{1,2}(?::\d\d)?\s?[ap]m\b|\d\d[:.]\d\d\b)|"
    # Episodes, and remarks in a row: `Berlin - cold. Coffee - hot.`
    r"\bseason (?:\d+|one|two|three|four|five|six|finale|premiere)\b|\bepisode \d|"
    r"(?:^|[.:!?]\s)\W*\S+ - (?-i:[a-z])[^-.]{0,20}[.!]\s+\S+ - (?-i:[a-z])",
    re.IGNORECASE,
)
_ART = re.compile(
    r"^\W*(?:art|painting|book|novel|poem|poetry|film|movie|exhibition|recipe|quote|chess)s?\s*:", re.IGNORECASE
)
_CREDITS = words_of(
    "photo photos photograph photography picture pictures words text story art artwork illustration illustrations "
    "design cover directed written produced illustrated designed edited painted painting drawn drawing cooked recipe "
    "brought presented sponsored powered made built translated narrated hosted filmed shot styling "
    "review interview report"
)
_REMARK_WORDS = words_of(
    "again actually still just down up late early on off as in also too finally obviously apparently"
)
_GREETING = re.compile(r"^(?:good|guten?|buen[oa]s|bon|bonne|happy) [\w']+$", re.IGNORECASE)
_SAYING = 4
"""Minimum words of a saying, less one."""
_PLACEHOLDERS = words_of("tba tbc tbd unknown untitled n/a none anonymous various id ??? tbd. xxx")
_BOOKISH = re.compile(
    r"\b(?:book|novel|film|movie|poem|play|series|documentary|painting|novella|memoir)\b", re.IGNORECASE
)


def names_no_song(line: str) -> bool:
    """Whether a line is of a kind that names no song, whatever its shape.

    >>> names_no_song("Tin Sea by Ona Vell"), names_no_song("Hoodie - £35"), names_no_song("Rovers 3 - 1 United")
    (False, True, True)
    """
    return any(kind.search(line) is not None for kind in (_NO_SONG, _MORE_NO_SONG, _ART))


def is_everyday(name: str) -> bool:
    """Whether a text in an artist's place is a thing of every day rather than a name.

    >>> is_everyday("Coffee"), is_everyday("My neighbour"), is_everyday("My Chemical Romance"), is_everyday("Bus 14")
    (True, True, False, True)
    """
    words = re.sub(r"^The(?= [a-z])", "", name).casefold().strip(" .,!?:").split()
    if not words:
        return True
    if is_owned(name) or _GREETING.match(name):
        return True
    first = words[0].strip(":,.")
    return first in _THINGS and (len(words) == 1 or any(map(str.isdigit, words[-1])))


def is_owned(name: str) -> bool:
    """Whether a text is a thing of somebody in small letters, `My neighbour`, rather than a name, `My Quiet Friend`."""
    return _OWNED.match(name) is not None and all(word.islower() for word in name.split()[1:])


def is_placeholder(name: str) -> bool:
    """Whether a name says that there is none yet: "TBA", "Unknown"."""
    return name.casefold().strip(" .?!") in _PLACEHOLDERS


def speaks_of_a_work(text: str) -> bool:
    """Whether words behind a title and a name speak of a book, a film or a painting.

    >>> speaks_of_a_work("is the best book I read"), speaks_of_a_work("is the best track")
    (True, False)
    """
    return _BOOKISH.search(text[:60]) is not None


def is_credit_line(title: str) -> bool:
    """Whether the words before "by" say what somebody did rather than name a song: "Photos by", "Directed by"."""
    words = title.casefold().split()
    return bool(words) and words[-1] in _CREDITS


def is_saying(text: str) -> bool:
    """Whether quoted words are a sentence with a capital at its start only, which somebody said.

    >>> is_saying("Small is the new large"), is_saying("Small Is the New Large"), is_saying("small is the new large")
    (True, False, False)
    """
    words = text.split()
    capitals = sum(not word[:1].islower() for word in words)
    return len(words) > _SAYING and not text.islower() and capitals * 2 < len(words)


def is_remark(title: str) -> bool:
    """Whether the words behind a dash are a remark in small letters: "again", "in retrograde"."""
    words = title.split()
    return title.islower() and len(words) <= 3 and words[0] in _REMARK_WORDS
