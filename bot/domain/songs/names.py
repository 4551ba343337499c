"""Boundaries of artists' names in running text, and the split of a credit into artists.

A list of names is not required. With one, `is_artist` tells the band "Crosby, Stills & Nash" from three people.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Callable

IsArtist = Callable[[str], bool]

MAX_WORDS = 8
"""Maximum words of one name."""
MAX_NAME = 100
"""Maximum characters of one name."""
_SURE_NAME = 4
"""Minimum characters of a name that is taken for known within words in small letters."""
MAX_ARTISTS = 8
"""Maximum artists of one credit."""

FEATURING = re.compile(r"(?:feat(?:uring)?|ft|w/)\.?(?=\s|$)|(?:feat|ft)\.(?=\w)", re.IGNORECASE)


def words_of(text: str) -> frozenset[str]:
    """Return the words of a text as a set."""
    return frozenset(text.split())


_CONNECTORS = frozenset({"&", "+", "x", "X", "×", "and", "vs", "vs.", "with"})
# Small words within names: Queens of the Stone Age, Florence and the Machine, Ludwig van Beethoven.
SMALL_WORDS = words_of(
    "of the and & x × + a an da de del della der des di do dos du e el en et for from i in la las le les los mit "
    "my n 'n' n' no of off on or sur the to und van vom von vs vs. y y'all your zu"
)
# Words that continue the sentence after a name.
_AFTER = words_of(
    "about again after all also although already and any are as at back be because been before being both breaks "
    "but by came can comes debut debuted debuts did do does drops enters ever featuring finally first for forever "
    "from gets gives goes got had has have hits how if in into is it its just keeps lately let live lol loud "
    "makes made might more my never next not now of off omg on one or our out over peaks plays please reached "
    "reaches really remains returns right rn rose rises said says sells since so sold somehow sounds spends spent "
    "still such takes than that the their them then there they this through to today tomorrow tonight too took "
    "topped tops tore until up using via was we went were what when where which while who whose will with won "
    "would yesterday yet you your"
)
_NO_NAME = words_of(
    "accident all another any anyone chance day default design email everyone far foot hand heart her herself him "
    "himself his i it itself law me mistake my myself nature no now now. our phone popular request somebody "
    "someone that the their them themselves then this tomorrow us walking way week what which whom you your "
    "yourself"
)
FIRST_PERSON = frozenset({"I", "I'm", "I've", "I'd", "I'll"})
_NOT_FIRST = _AFTER | _NO_NAME
_ABBREVIATION = re.compile(r"(?:\w\.)+|(?:dr|mr|mrs|ms|st|jr|sr|vs|feat|ft|no|vol|pt)\.", re.IGNORECASE)
_OWN = frozenset({"the", "his", "her", "their"})  # "& the Machine" belongs to the name before it
_END_MARKS = ".,;:!?…"
_SPLIT = re.compile(r"\s*,\s+|\s+vs\.?\s+|\s+(?:&|\+|x|×)\s+(?!(?:the|his|her|their|los|las|la)\b)", re.IGNORECASE)
_AND = re.compile(r"\s+and\s+(?!(?:the|his|her|their)\b)", re.IGNORECASE)
# A name with a comma, the best known of its kind; with a list of artists any other is found as well.
_HALVES = re.compile(r",\s+(the creator)\b", re.IGNORECASE)
# Names that are never split, the best known of their kind; with a list of artists any other stays whole as well.
_WHOLE = frozenset(
    (
        "simon & garfunkel", "earth, wind & fire", "crosby, stills & nash", "crosby, stills, nash & young",
        "hall & oates", "daryl hall & john oates", "blood, sweat & tears", "emerson, lake & palmer",
        "peter, paul & mary", "ike & tina turner", "sam & dave", "brooks & dunn", "mumford & sons", "belle & sebastian",
        "above & beyond", "chase & status", "kruder & dorfmeister", "dan & shay", "seals & crofts", "she & him",
        "angus & julia stone", "peter, bjorn & john", "now, now", "ashford & simpson",
    )
)  # fmt: skip
_KEEP = "\x00"


def is_name_word(word: str) -> bool:
    """Whether a word looks like part of a name: capital, digit, handle, or a script without capitals."""
    core = word.lstrip("(['\".*_")
    if core.startswith("@"):
        return len(core) > 1
    first = core[:1]
    return (first.isalpha() and not first.islower()) or first.isdigit() or core != core.lower() or "$" in core


def is_titled(text: str) -> bool:
    """Whether a text is in title case: every word has a capital, except small words within.

    >>> is_titled("Queens of the Stone Age"), is_titled("My dog asleep")
    (True, False)
    """
    words = text.split()
    ends = words[:1] + words[-1:]
    return bool(words) and all(map(is_name_word, ends)) and all(is_name_word(w) or w in SMALL_WORDS for w in words)


def name_at_start(text: str, is_artist: IsArtist | None = None) -> tuple[str, str]:
    """Split off the credit at the start of a text; return the credit and the rest.

    >>> name_at_start("Florence and the Machine is here")
    ('Florence and the Machine', 'is here')
    >>> name_at_start("the way")
    ('', 'the way')
    """
    # Only as much of a line is read as the longest name could fill, so that the time per quote is bounded.
    window = text[: 4 * MAX_NAME]
    spans = list(re.finditer(r"\S+", window))[: MAX_WORDS * 3]
    words = [window[span.start() : span.end()] for span in spans]
    count, tail = _credit_length(words)
    if is_artist is not None:
        count, tail = _known_length(words, count, tail, is_artist)
    if count == 0:
        return "", text
    return trim(window[spans[0].start() : spans[count - 1].end() - tail]), text[spans[count - 1].end() - tail :].strip()


def _known_length(words: list[str], count: int, tail: int, is_artist: IsArtist) -> tuple[int, int]:
    """Correct the length of a credit by the list of artists; return what `_credit_length` does."""
    # A known name may be longer than the rules find: "Panic! At The Disco".
    for longer in range(min(len(words), MAX_WORDS), count, -1):
        name = " ".join(words[:longer])
        if is_artist(trim(name)) or ("," not in name and all_known(name, is_artist)):
            return longer, 0
    if count > 1 and not all_known(" ".join(words[:count]), is_artist):
        # The sentence is not set off from the name: "ona vell on repeat", "Ona Vell turns 5".
        for shorter in range(count - 1, 0, -1):
            name = trim(" ".join(words[:shorter]))
            if len(name) >= _SURE_NAME and words[shorter][:1].islower() and all_known(name, is_artist):
                return shorter, 0
    return count, tail


def all_known(credit: str, is_artist: IsArtist | None) -> bool:
    """Whether a credit names artists of the list only."""
    names = split_credit(credit, is_artist) if is_artist is not None else ()
    return is_artist is not None and bool(names) and all(map(is_artist, names))


def _credit_length(words: list[str]) -> tuple[int, int]:
    """Words of the credit at the start of `words`, and the characters of the last one that are not part of it."""
    count = start = 0
    for index, word in enumerate(words):
        if index - start >= MAX_WORDS or not _goes_on(words, index, start):
            break
        if _is_connector(words, index) and index > start and words[index + 1].casefold() not in _OWN:
            start = index + 1  # the next name may have another case than the last
            continue
        count = index + 1
        if _ends_here(words, index):
            return count, len(word) - len(word.rstrip(_END_MARKS + ")]}\"'"))
    return count, 0


def _goes_on(words: list[str], index: int, start: int) -> bool:
    """Whether the word at `index` belongs to the name that began at `start`."""
    word = words[index]
    if word[0] in '#([{"|-/~<>' or FEATURING.match(word) or not (any(map(str.isalnum, word)) or word in _CONNECTORS):
        return False
    if index == start:
        return is_name_word(word) or _starts_name(word)
    if _is_connector(words, index):
        after = "".join(words[index + 1 : index + 2])
        by_case = is_name_word(words[start]) and word in {"and", "with"}
        named = is_name_word(after) and after not in FIRST_PERSON
        return after.casefold() in _OWN or (named if by_case else _starts_name(after))
    if words[start].startswith("@"):
        return False  # a handle is one word
    if is_name_word(words[start]):
        return is_name_word(word) or _small_goes_on(word, words[index + 1 : index + 3])
    # A name that began in lower case ends where the sentence continues: "girl in red is".
    return _bare(word) not in _AFTER or (_bare(word) in SMALL_WORDS and index - start < 3)


def _small_goes_on(word: str, rest: list[str]) -> bool:
    """Whether a lower-case word belongs to a name that began with a capital; `rest` follows it."""
    if word.casefold() in SMALL_WORDS:  # inside a name only: "Queens of the Stone Age"
        return _named(rest[:1]) or (rest[:1] != [] and rest[0] in SMALL_WORDS and _named(rest[1:]))
    if word.endswith("..") and not word.endswith("..."):
        return True  # "Fred again.."
    # "Oasis slaps" ends in a verb.
    verb = len(word) > 3 and word.endswith("s") and word.isalpha() and word.islower()
    return _bare(word) not in _AFTER and not verb and (not rest or not is_plain_word(rest[0]))


def _is_connector(words: list[str], index: int) -> bool:
    # "Purist X Mono" are two, "Lil Nas X is back" is one.
    word = words[index]
    return word in _CONNECTORS and (word != "X" or _starts_name("".join(words[index + 1 : index + 2])))


def _bare(word: str) -> str:
    return word.casefold().strip(_END_MARKS)


def _named(words: list[str]) -> bool:
    return any(map(is_name_word, words))


def _starts_name(word: str) -> bool:
    return (
        bool(word)
        and word[0] not in '"([#'
        and not FEATURING.match(word)
        and word.casefold().strip(_END_MARKS) not in (_AFTER | _NO_NAME)
    )


def is_plain_word(word: str) -> bool:
    """Whether a word is prose: lower-case letters, and not a connector."""
    return word.isalpha() and word.islower() and word not in _CONNECTORS and not FEATURING.match(word)


def count_prose(words: list[str]) -> int:
    """Return the number of words that belong to a sentence: small letters, and not of those within names."""
    return sum(is_plain_word(word) and word not in SMALL_WORDS for word in words)


def _ends_here(words: list[str], index: int) -> bool:
    """Whether the name stops with the word at `index`, which is part of it."""
    word = words[index]
    if word[-1] not in _END_MARKS + ")]}":
        return False
    if word[-1] == ".":
        if word.endswith("..") and not word.endswith("..."):
            return False
        return _ABBREVIATION.fullmatch(word) is None
    if word[-1] == ",":
        # A list of artists ends in "& last"; any other comma ends the name.
        rest = words[index + 1 : index + 1 + MAX_WORDS]
        listed = any(following in _CONNECTORS for following in rest[1:]) and _named(rest[:1])
        return not (listed or " ".join(rest[:2]).casefold().strip(_END_MARKS) == "the creator")
    return True


def name_at_end(text: str) -> tuple[str, str]:
    """Split off the credit at the end of a text; return the text before it and the credit.

    >>> name_at_end("I could hear Ona Vell")
    ('I could hear', 'Ona Vell')
    """
    words = text[-4 * MAX_NAME :].split()[-MAX_WORDS * 2 :]
    if not words:
        return text, ""
    begin = len(words)
    for index in range(len(words) - 1, -1, -1):
        word = words[index]
        if word.casefold() in {"cover", "covers", "covered", "covering"}:
            break
        if is_name_word(word) or (begin == len(words) and len(words) == 1):
            begin = index
            if word.startswith((".@", "@")) and (index == 0 or words[index - 1] not in _CONNECTORS):
                break
        elif begin == len(words) or word.casefold() not in SMALL_WORDS:
            break
    if begin == len(words):  # without capitals: a short text may be a name as a whole
        return _small_name(text, words)
    name = " ".join(words[begin:])
    return text[: len(text) - len(name)].strip() if text.endswith(name) else "", trim(name)


def _small_name(text: str, words: list[str]) -> tuple[str, str]:
    whole = len(words) <= 3 and not any(_bare(word) in _NOT_FIRST for word in words)
    return ("", trim(" ".join(words))) if whole else (text, "")


def trim(name: str) -> str:
    """Remove the marks around a name; dots within initials stay.

    >>> trim(".@ona_vell,"), trim("M.O.T."), trim("Ona Vell 😭 😭")
    ('@ona_vell', 'M.O.T.', 'Ona Vell')
    """
    name = _without_pictographs(name)
    name = name.strip(' \t,;:|~-–*_"<>')
    name = name.removeprefix(".") if name.startswith(".@") else name
    last = name.rsplit(" ", 1)[-1]
    if name.endswith((".", "…")) and _ABBREVIATION.fullmatch(last) is None:
        name = name.rstrip(".… ")
    if name.endswith("'") and name.count("'") == 1 and not name.endswith("s'"):
        name = name[:-1]
    return name.strip()


def _without_pictographs(name: str) -> str:
    """Remove the pictographs around a name, which clean text sets off by spaces; a name of pictographs alone stays."""
    words = name.split()
    for end in (-1, 0):
        while len(words) > 1 and all(unicodedata.category(character) in {"So", "Sk"} for character in words[end]):
            del words[end]
    return " ".join(words)


def split_credit(credit: str, is_artist: IsArtist | None = None) -> tuple[str, ...]:
    """Split a credit into its artists, in order.

    "&", "x" and commas separate artists unless the whole is one known name; "and" does so only if both sides are
    known, or at the end of a list, since many bands have it in their names.

    >>> split_credit("Ona Vell & Tor Brisk"), split_credit("Mica and the Dunes")
    (('Ona Vell', 'Tor Brisk'), ('Mica and the Dunes',))
    """
    credit = trim(credit)
    plain = re.sub(r"\s+(?:and|\+)\s+", " & ", credit.casefold()).replace(", &", " &")
    spellings = {credit, *(re.sub(r"\s+(?:&|\+|and)\s+", f" {sign} ", credit) for sign in ("&", "+", "and"))}
    if not credit:
        return ()
    if plain in _WHOLE or (is_artist is not None and any(map(is_artist, spellings))):
        return (credit,)
    halves = re.split(r"\s+(?:&|\+|x|×)\s+(?=The\s)", credit, maxsplit=1)
    if is_artist is not None and len(halves) > 1 and "," not in credit and is_artist(halves[1]):
        return tuple(halves)  # two acts, and not "Mica & the Dunes"
    parts = [part.replace(_KEEP, ", ") for part in _SPLIT.split(_HALVES.sub(rf"{_KEEP}\1", credit))]
    listed = len(parts) > 1 and ", " in credit
    names: list[str] = []
    for part in parts:
        sides = _AND.split(part)
        both = is_artist is not None and not is_artist(part) and all(map(is_artist, sides))
        names += sides if len(sides) > 1 and (both or (listed and part is parts[-1])) else [part]
    trimmed = (trim(re.sub(r"^(?:and|&)\s+", "", name)) for name in names)
    return tuple(dict.fromkeys(name[:MAX_NAME] for name in trimmed if is_name(name)))[:MAX_ARTISTS]


def is_name(name: str) -> bool:
    """Whether a text can be a name: it has a letter, a digit, or consists of a few signs ("!!!", "÷")."""
    return bool(name) and (any(map(str.isalnum, name)) or (len(name) <= 4 and not set(name) & set("()[]{}\"'")))
