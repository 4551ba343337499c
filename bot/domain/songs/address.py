"""Handles that address somebody, and the words of a request, around the song of a post."""

from __future__ import annotations

import re
from collections.abc import Collection

from bot.domain.songs.names import words_of

_MAX_LINE = 400
"""Maximum characters of a line that is read for handles and requests."""
_HANDLE = r"\.?@[A-Za-z0-9_](?:[\w.-]*\w)?(?:@[\w.-]*\w)?"
_FROM_OTHERS = re.compile(rf"^\s*(?:RT|QT|MT)\s+(?={_HANDLE})", re.IGNORECASE)
_LEADING = re.compile(
    rf"^\s*(?:(?:hey|hi|hello|yo|ok|okay|dear|psst|oi|good (?:morning|evening))[\s,!]+)?(?:{_HANDLE}[\s,:;!]*)+"
    rf"(?=\s*\S)",
    re.IGNORECASE,
)
_HANDLES = re.compile(_HANDLE)
# A handle in the place of an artist stays: `by @ona`, `@ona - Title`, `@ona's "Title"`, `A & @ona`.
_IS_CREDIT_BEFORE = re.compile(
    r"(?:^|\s)(?:by|feat\.?|ft\.?|featuring|with|w/|x|and|&|\+|vs\.?|,|de|von|van|par|di|cover of|from)\s*$"
    r"|[(\[-]\s*$",
    re.IGNORECASE,
)
_IS_CREDIT_AFTER = re.compile(
    r"^\s*(?:'s?\b|'(?=\s)|[-:|~•·/&+](?:\s|$)|x\s|ft\b|feat\b|whose\b|and\s+@)", re.IGNORECASE
)
_BEFORE_ADDRESS = r"(?:\s*[\W_]?\s*\b(?:via|cc|h/t|ht|hat tip(?: to)?|thanks(?: to)?|thx|for|from|on|at|to)\b:?)"
_TRAILING = re.compile(rf"(?:{_BEFORE_ADDRESS}?\s*{_HANDLE}[\s,!?.]*)+$", re.IGNORECASE)

_POLITE_START = (
    r"please|pls|plz|kindly|so|and|also|ok|okay|hmm+|oh|next(?: up)?|today|tonight|quick one|request|song request|"
    r"dear bot|dear(?=\s*[,!])|bot|hey|hi|hello|yo|now"
)
_VERBS = (
    "do|play|try|review|write|say|tell|give|get|hear|have|describe|hype(?: up)?|cover|take|spin|rate|listen to|"
    "consider|"
    "comment on|look at|check out|drop|queue(?: up)?|go for|have a go at|talk about|blurb"
)
_ASKING = (
    (
        rf"(?:can|could|would|will|should|must|might) (?:you|u|we|i|ya)(?: please| pls| maybe| kindly| also|"
        rf" perhaps)? (?:{_VERBS})"
    ),
    rf"(?:you|we|u) (?:should|could|must|need to|have to|ought to|might)(?: please| also| really)? (?:{_VERBS})",
    (
        r"(?:do|have|did) (?:you|u) (?:know|like|love|hear|heard|feel|ever heard(?: of)?|ever hear(?: of)?|think of|"
        r"listened to|got anything)"
    ),
    (
        r"(?:i(?:'d| would) (?:like|love)|i(?:'m| am) curious|i want|we want|i need|we need|i'd be curious)"
        r"(?: (?:you )?to (?:hear|read|know|do|see|have|get))?"
    ),
    (
        r"(?:i|we) (?:love|like|adore|recommend|suggest|propose|nominate|request|vote for|can't stop playing|"
        r"keep playing)"
    ),
    r"what would (?:you|u) (?:say|write|do)",
    r"(?:would|do) (?:you|u) mind \w+ing",
    r"(?:gimme|gib mir|dame|donne-moi|lend me|spare me)",
    (
        r"(?:ton|votre|un) avis|qu'en pensez-vous|que penses-tu|qué (?:piensas|opinas|te parece)|"
        r"was (?:hältst|sagst|meinst) du|deine meinung|cosa (?:ne )?pensi|o que (?:acha|achas)|tu opinión|"
        r"la tua opinione"
    ),
    (
        r"(?:what|how)(?:'s| is| are| were)?(?: (?:about|of|do (?:you|u|we) (?:think|say|make|reckon|"
        r"feel)(?: (?:about|of|on))?|"
        r"(?:your )?(?:take|thoughts?|opinion|view|verdict)))+"
    ),
    (
        r"(?:any |some |your |got (?:any )?|more )?(?:thoughts?|opinions?|words?|views?|takes?|feelings?|ideas?|"
        r"comments?|verdict)"
    ),
    (
        r"(?:next|one more|another|now|today|how|what)?\s*(?:song|track|one|request|suggestion)(?: please|"
        r" for you)?(?= ?[:-])"
    ),
    r"here(?:'s| is) (?:one|another(?: one)?|a (?:song|good one|request|suggestion))(?: for you)?",
    r"(?:a |my )?(?:request|wish|suggestion|question|pick)(?: for you)?(?= ?[:-])",
    r"(?:my|our) (?:all[- ]time )?(?:favou?rite|wish|request|pick|choice)(?: \w+)? (?:is|would be|was)",
    r"let(?:'s| us) (?:hear|have|do|try|talk)",
    r"(?:i )?(?:dare|challenge) you",
    r"(?:more|something|anything) (?:like|about|on)",
    rf"(?:please )?(?:{_VERBS})",
    r"(?:puedes|podrías|pon|toca|kannst du|könntest du|sag|schreib|spiel|joue|peux-tu|pode|puoi)(?: (?:mal|bitte))?",
)
# Words that go on after these: "something nice about the song".
_FILLERS = words_of(
    "smth sth zu zum von de di del sobre "
    "something anything a an few some words word line lines review sentence blurb post hype love nice good kind "
    "fun your "
    "you take thoughts view opinion verdict me us one to do say write hear about on for of with regarding re "
    "the this that "
    "song track tune single banger classic know go at over please was über algo sobre quelque chose sur"
)
_ASKED = "|".join(_ASKING)
_REQUEST = re.compile(
    rf"^[\s\W]*?(?:(?:{_POLITE_START})[\s,:;!.-]+)*(?P<asked>(?:{_ASKED})(?![\w'])[\s,:;-]*)?", re.IGNORECASE
)
_POLITE_END = re.compile(
    r"(?:[\s,.;!?-]+(?:please|pls|plz|pretty please|thanks?(?: you)?(?: (?:so much|a lot|in advance))?|thx|ty|cheers|"
    r"for (?:me|us)|if you (?:can|could|like|want|would)|would you|could you|will you|next|now|today|tonight|mate|"
    r"bot|dear(?: bot)?|friend|buddy|por favor|bitte|merci|danke|gracias|i(?:'d)? love (?:it|that one|this one)|"
    r"any (?:thoughts|opinions?|ideas)|what do you think|thoughts|opinions?|your (?:thoughts|take)|"
    r"what(?:'s| is) your take|what (?:do you )?say(?: you)?|sagen|schreiben|is (?:great|my favou?rite)|it(?:'s|"
    r" is) (?:my favou?rite|great)|"
    r"do you (?:know|like) (?:it|that(?: one)?|this(?: one)?)|go|yes|no|one|asap|x+|<3|:\)|;\)))?[\s!?.]*$",
    re.IGNORECASE,
)


_LAST_SIGNS = re.compile(r"(?:\s+[^\w\s\"'()\[\]!?.…]+)+\s*$")
"""Pictographs at the end of a request."""


def strip_own(text: str, own: Collection[str]) -> str:
    """Remove the bot's own handles, wherever they stand.

    >>> strip_own("Tin Sea by @sandboxbot", ["sandboxbot"]), strip_own("@SandboxBot@example.org hi", ["sandboxbot"])
    ('Tin Sea by', 'hi')
    """
    names = {handle.lstrip("@").casefold() for handle in own if handle}

    def keep(handle: re.Match[str]) -> str:
        name = handle.group().lstrip(".@").casefold()
        return " " if {name, name.partition("@")[0]} & names else handle.group()

    return " ".join(_HANDLES.sub(keep, text).split()) if names else text


def only_handle(lines: Collection[str]) -> frozenset[str]:
    """Return the handle of a mention if it has one only, which is then the bot's own; else nothing.

    >>> only_handle(["Tin Sea by @sandboxbot"]), only_handle(["@sandboxbot Tin Sea by @onavell"])
    (frozenset({'@sandboxbot'}), frozenset())
    """
    handles = frozenset(handle.group().lstrip(".").casefold() for line in lines for handle in _HANDLES.finditer(line))
    return handles if len(handles) == 1 else frozenset()


def without_address(line: str) -> tuple[str, bool]:
    """Remove the handles that address somebody; return the rest, and whether the line began with one.

    A handle in the place of an artist stays.

    >>> without_address("@a @b Tin Sea by @onavell, via @radio")
    ('Tin Sea by @onavell', True)
    >>> without_address("@onavell - Tin Sea"), without_address(".@onavell's new single")
    (('@onavell - Tin Sea', False), (".@onavell's new single", False))
    """
    if "@" not in line or len(line) > _MAX_LINE:
        return line, False
    plain = _FROM_OTHERS.sub("", line)
    is_repost = plain != line
    line, addressed = plain, False
    leading = _LEADING.match(line)
    if leading is not None:
        start = _last_credit(line, leading)
        addressed = start > 0 and not is_repost
        line = line[start:].lstrip(" ,:;!")
    trailing = _TRAILING.search(line)
    while trailing is not None:
        credited = _IS_CREDIT_BEFORE.search(line[: trailing.start()]) or not line[: trailing.start()].strip()
        handles = list(_HANDLES.finditer(line, trailing.start()))
        if credited and len(handles) == 1:
            break
        # The first handle may be the artist, `by @ona @bot`.
        line = line[: handles[0].end()] if credited else line[: trailing.start()]
        if credited:
            break
        trailing = _TRAILING.search(line)
    return line.strip(), addressed


def _last_credit(line: str, leading: re.Match[str]) -> int:
    """Return the end of the addressed handles: before the last one if that is the artist."""
    handles = list(_HANDLES.finditer(line, 0, leading.end()))
    last = handles[-1]
    after = line[last.end() :]
    if re.match(r"\s*:", after) and len(handles) == 1:
        return leading.end()  # `@bot: Artist - Title`
    return last.start() if _IS_CREDIT_AFTER.match(after) else leading.end()


def without_request(line: str) -> str:
    """Remove the words of a request around its song.

    >>> without_request("can you do Tin Sea by Ona Vell please?"), without_request("thoughts on Ona Vell - Tin Sea!!")
    ('Tin Sea by Ona Vell', 'Ona Vell - Tin Sea')
    """
    if len(line) > _MAX_LINE:
        return line
    asked = _LAST_SIGNS.sub("", line)
    for _ in range(3):
        start = _REQUEST.match(asked)
        rest = asked[start.end() :] if start is not None else asked
        if start is not None and start.group("asked"):
            rest = _without_fillers(rest)
        if rest == asked or not rest.strip(" !?."):
            break
        asked = rest
    for _ in range(3):
        end = _POLITE_END.search(asked)
        if end is None or end.start() == 0 or not end.group():
            break
        asked = asked[: end.start()] + ("." if end.group().startswith(".") and asked[end.start() - 1].isupper() else "")
        if not end.group().strip("!?. "):
            break
    return asked.strip() or line


def _without_fillers(text: str) -> str:
    """Remove the small words at the start of a request's rest, but never all before a credit: "On by Ona Vell"."""
    words = text.split()
    start = 0
    while start < len(words) - 1 and words[start].strip(",:;-") in _FILLERS and words[start + 1] not in {"by", "-"}:
        start += 1
    return " ".join(words[start:]).lstrip(" :,;-")
