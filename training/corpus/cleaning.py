"""Cleaning of scraped text into paragraphs, in small pure steps.

`clean` runs all of them. Between steps a placeholder is a single private-use character, so that no step takes
`<artist>` for a tag or splits it; `show_placeholders` turns the characters into what a corpus holds.
"""

from __future__ import annotations

import html
import re
from collections.abc import Callable
from typing import Final, TypeVar

import ftfy
from ftfy.fixes import uncurl_quotes

from training.corpus.markup import strip_html
from training.corpus.words import is_common, is_known, split_glued

_T = TypeVar("_T")

ARTIST: Final = "\ue000"
TITLE: Final = "\ue001"
AUTHOR: Final = "\ue002"
SITE: Final = "\ue003"
LINK: Final = "\ue004"
"""Mark of a removed URL: the sentence around it refers to something that is not there."""

_PRIVATE: Final = re.compile("[\ue000-\uf8ff]")
_PLACEHOLDER: Final = re.compile(r"<\s*(artist|song_title|title|author|sitename)\s*>", re.IGNORECASE)
_PLACEHOLDERS: Final = {"artist": ARTIST, "song_title": TITLE, "title": TITLE, "author": AUTHOR, "sitename": SITE}
_CONTROL: Final = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\x7f]")
_TRANSLITERATED: Final = re.compile(r"aEUR(\(tm\)|oe|~|\"|\||)")
_MEANT: Final = {"(tm)": "'", "oe": '"', "~": "'", '"': " – ", "|": "..."}
"""Marks by their spelling in ASCII after a wrong decoding: "whataEUR(tm)s" is "what's"."""

_IMAGE: Final = re.compile(r"!\[[^\]]*\]\([^)]*\)")
_INLINE_LINK: Final = re.compile(r"\[([^\[\]]*)\]\s?\((?:[^()\s]|\([^()\s]*\))*(?:\s+\"[^\"]*\")?\s*\)")
_REFERENCE: Final = re.compile(r"\[([^\[\]]+)\]\[[^\[\]]*\]|^\s*\[[^\[\]]+\]:\s+\S+.*$", re.MULTILINE)
_RULE: Final = re.compile(r"^\s*(?:[*_=-]\s*){3,}$", re.MULTILINE)
_HEADING: Final = re.compile(r"^\s{0,3}#{1,6}\s+(.*?)\s*#*$", re.MULTILINE)
_QUOTE: Final = re.compile(r"^[ \t]*(?:>[ \t]?)+", re.MULTILINE)
_ITEM: Final = re.compile(r"^[ \t]*(?:[*+•·-]|\d{1,3}[.)])[ \t]+", re.MULTILINE)
_STRONG: Final = re.compile(r"(?<!\w)(\*{1,3}|_{1,3})(?=\S)((?:(?!\n\s*\n).){1,400}?)(?<=\S)\1(?!\w)", re.DOTALL)
_STRAY: Final = re.compile(r"(?<![\w\\])(?:\*+|__+)|(?<!\\)(?:\*+|__+)(?!\w)")
_ESCAPE: Final = re.compile(r"\\([\\`*_{}\[\]()#+.!>~|-])")
_EDITORIAL: Final = re.compile(r"\[([^\[\]\n]{1,60})\]")
_BRACKETED_REMARK: Final = re.compile(r"\s*[\[(](?:sic|\.\.\.|…|\. \. \.|\.\.\. )[\])]", re.IGNORECASE)
_BROKEN_ENTITY: Final = re.compile(r"(?<=\w&\w);|(?<=\w&\w\w);")
_SHOUTED: Final = re.compile(r"(?<![\w'-])(?:[A-Z]{2,}(?: (?:[A-Z]{2,}|[AI]))+|[A-Z]{4,})(?![\w'-])")
_REST: Final = r"[^\s<>\"\ue000-\ue004]*[^\s<>\".,;:!?)\]'\ue000-\ue004]"
_URL: Final = re.compile(rf"(?:https?://|www\.|pic\.twitter\.com/){_REST}", re.IGNORECASE)
_MAIL: Final = re.compile(r"[\w.+-]+@[\w-]+(?:\.[\w-]+)+")
_DOMAIN_HINT: Final = re.compile(r"\.(?:com|net|org|uk|fm|io|[a-z]{2,7}/)", re.IGNORECASE)
_DOMAIN: Final = re.compile(
    rf"\b(?:[a-z0-9-]+\.)+(?:(?:com|net|org|co\.uk|fm|io)(?!\w|\.\w)(?:/{_REST})?|[a-z]{{2,7}}/{_REST})", re.IGNORECASE
)
_EMOJI: Final = re.compile(
    "[\u2190-\u2bff\u3000-\u303f\ufe00-\ufe0f\U0001f000-\U0001faff\u200b-\u200f\u2060\ufeff\u00ad]"
)
_DASH: Final = re.compile(r"[—―]|-{2,}| [-–]+ ")
_DOTS: Final = re.compile(r"…|\.(?: ?\.){2,}")
_TWO_DOTS: Final = re.compile(r"(?<!\.)\.\.(?!\.)")
_SHOUT: Final = re.compile(r"([!?])[!?]+")
_ELISIONS: Final = r"(?:em|til|till|cause|bout|round|n|nuff|tis|twas|neath|\d\ds?)\b"
"""Words that begin with an apostrophe which is not a quote: 'em, 'til, rock 'n' roll, the '80s."""
_SPACED_MARK: Final = re.compile(r" (\.\.\.|[,.;:!?](?= |$))")
_GLUED_STOP: Final = re.compile(
    r"(?<=[a-z]{2})[.!?](?=[A-Z][a-z])|(?<=[a-z0-9]{2}),(?=[A-Za-z]{2})|(?<=[a-z])\.\.\.(?=[A-Za-z])"
)
_FTFY: Final = ftfy.TextFixerConfig(unescape_html=False, uncurl_quotes=False, normalization="NFC")

_PLACES: Final = (
    "facebook|twitter|instagram|soundcloud|spotify|youtube|bandcamp|tumblr|pinterest|reddit|e-?mail|print|website|google"
    "|itunes|apple music|homepage|official site|official website|whatsapp|linkedin"
)
_HEADINGS: Final = (
    r"related(?:\ (?:posts?|articles?|stories))?|tags?|tagged|filed\ under|categor(?:y|ies)|share(?:\ (?:this|on))?"
    r"|you\ (?:may|might)\ also\ (?:like|enjoy)|more\ (?:from|on)|read\ (?:more|next|also)|see\ also|next"
    r"|previous(?:ly)?"
)
_TAIL: Final = re.compile(
    rf"""^\W*(?:{_PLACES})\W*(?:[|/•·,–-]\W*(?:{_PLACES})\W*)+$
    | ^\W*(?:{_HEADINGS})\W*(?::.{{0,300}})?$
    | ^\W*(?:artist\ connect|connect\ with|keep\ up\ with|follow|find|stay\ (?:up\ to\ date|connected)\ with)\b
      .{{0,80}}(?:{_PLACES}).*$
    | ^\W*(?:leave\ a\ (?:reply|comment)|\d+\ comments?|comments\ are\ closed|©|copyright\b|all\ rights\ reserved)""",
    re.IGNORECASE | re.VERBOSE,
)
_BROKEN_WORD: Final = re.compile(r"\w-$")
_OPENING: Final = re.compile(rf"(?<![\w'{ARTIST}-{LINK}])'(?!{_ELISIONS})")
_SPLIT_CONTRACTION: Final = re.compile(r"(?<=[a-z]n) '(?=t\b)|(?<=\S) '(?=(?:s|ve|re|ll|d|m)\b)")
_RNB: Final = re.compile(r"\bR ?(?:&|[Aa]nd|'?[Nn]'?) ?B\b")
_SINGLE: Final = re.compile(
    rf"(?<![\w'{ARTIST}-{LINK}])'(?!{_ELISIONS})(?=\S)((?:[^'\n]|(?<=\w)'(?=\w)){{1,80}}?)(?<=\S)'(?![\w'])"
)

_ALL_SHOUTED: Final = 0.5
"""Share of capitals from which a line is written in capitals as a whole."""
_WRAPPED: Final = 50
"""Minimum characters of a hard-wrapped line, which continues in the next one."""


CHANGES: Final = (
    "encoding repaired",
    "entities unescaped",
    "typographic quotes made plain",
    "HTML stripped",
    "markdown stripped",
    "links taken out",
    "page tail cut",
    "shouting calmed",
    "glued words parted",
)
"""Steps that change texts, in order."""


def clean(text: str) -> tuple[list[str], list[str]]:
    """Clean a post's text and split it into paragraphs without line breaks.

    Returns:
        The paragraphs, and the names of the `CHANGES` that changed something.
    """
    changes: dict[str, None] = {}

    def step(name: str, apply: Callable[[_T], _T], before: _T) -> _T:
        after = apply(before)
        if after != before:
            changes[name] = None
        return after

    text = step("encoding repaired", repair, text)
    text = step("entities unescaped", unescape, text)
    text = hide_placeholders(step("typographic quotes made plain", plain_quotes, text))
    text = step("HTML stripped", strip_html, text)
    text = step("markdown stripped", strip_markdown, text)
    text = step("links taken out", mark_links, text)
    lines = step("page tail cut", cut_tail, unwrap(text))
    tidied = [line for each in lines if (line := tidy(each))]
    calmed = step("shouting calmed", lambda each: list(map(calm, each)), tidied)
    parted = step("glued words parted", lambda each: list(map(split_glued, each)), calmed)
    return list(map(double_quotes, parted)), list(changes)


def paragraphs(text: str) -> list[str]:
    """Return only the paragraphs of `clean`."""
    return clean(text)[0]


def repair(text: str) -> str:
    """Repair encoding errors; drop control and private-use characters.

    >>> repair("itâ€™s  fine")
    'it’s  fine'
    """
    text = _CONTROL.sub("", text)
    if "aEUR" in text:
        text = _TRANSLITERATED.sub(lambda match: _MEANT.get(match[1], '"'), text)
    return text if text.isascii() else _PRIVATE.sub("", ftfy.fix_text(text, _FTFY))


def unescape(text: str) -> str:
    """Unescape HTML twice, because scraped text is often escaped twice.

    >>> unescape("R&amp;amp;B; &lt;3")
    'R&B <3'
    """
    return _BROKEN_ENTITY.sub("", html.unescape(html.unescape(text))) if "&" in text else text


def plain_quotes(text: str) -> str:
    r"""Make quotation marks plain: one kind of single and one of double marks.

    >>> plain_quotes("it’s “fine”, `so to say´")
    'it\'s "fine", \'so to say\''
    """
    if not text.isascii():
        text = uncurl_quotes(text)
    return text.replace("`", "'").replace("´", "'")


def hide_placeholders(text: str) -> str:
    """Turn placeholders, including the original's, into single private-use characters."""
    return _PLACEHOLDER.sub(lambda match: _PLACEHOLDERS[match[1].casefold()], text) if "<" in text else text


def show_placeholders(sentence: str) -> str:
    """Turn the characters for artist and title into the placeholders that a corpus holds."""
    return sentence.replace(ARTIST, "<artist>").replace(TITLE, "<title>")


def strip_markdown(text: str) -> str:
    """Remove Markdown's marks and keep the text; headings and list items become paragraphs.

    >>> strip_markdown('**"Glass"** is [out](https://a.example).')
    '"Glass" is out.'
    """
    if "[" in text:
        text = _INLINE_LINK.sub(r"\1", _IMAGE.sub(" ", text))
        text = _REFERENCE.sub(lambda match: match[1] or "", text)
    text = _RULE.sub("\n", _QUOTE.sub("", text))
    text = _HEADING.sub(r"\n\n\1\n\n", text)
    text = _ITEM.sub("\n\n", text)
    if "*" in text or "_" in text:
        for _ in range(2):  # emphasis may stand inside emphasis
            text = _STRONG.sub(r"\2", text)
        text = _STRAY.sub("", text)
    if "\\" in text:
        text = _ESCAPE.sub(r"\1", text)
    if "[" in text:
        text = _EDITORIAL.sub(r"\1", _BRACKETED_REMARK.sub("", text))
    return text


def mark_links(text: str) -> str:
    """Replace bare URLs and mail addresses by `LINK`."""
    # Searching for hints is cheap, searching for addresses is not, and most texts hold none.
    if "://" in text or "ww." in text or "pic." in text:
        text = _URL.sub(LINK, text)
    if "@" in text:
        text = _MAIL.sub(LINK, text)
    return _DOMAIN.sub(LINK, text) if _DOMAIN_HINT.search(text) else text


def unwrap(text: str) -> list[str]:
    """Join the lines of hard-wrapped paragraphs; short lines stay separate."""
    joined: list[str] = []
    for block in re.split(r"\n\s*\n", text):
        previous = 0
        for raw in block.splitlines():
            line = raw.strip()
            if not line:
                continue
            if previous and (previous >= _WRAPPED or line[0].islower()):
                # "garden-" and "variety" were one word before the line was broken at its hyphen.
                joined[-1] += line if _BROKEN_WORD.search(joined[-1]) and line[0].islower() else " " + line
            else:
                joined.append(line)
            previous = len(line)
    return joined


def cut_tail(lines: list[str]) -> list[str]:
    """Drop everything from the first link list, tag line or list of related posts below a page's text.

    >>> cut_tail(["It is loud.", "Facebook | Twitter | SoundCloud", "Related: It is louder."])
    ['It is loud.']
    """
    for number, line in enumerate(lines):
        if number >= len(lines) // 2 and _TAIL.search(line):
            return lines[:number]
    return lines


def tidy(line: str) -> str:
    """Unify dashes, dots, spaces and repeated marks; remove emoji, and links at the ends.

    >>> tidy("Wow!!!  It is --really-- loud…")
    'Wow! It is – really – loud...'
    """
    if not line.isascii():
        line = _EMOJI.sub(" ", line)
    line = _TWO_DOTS.sub(".", _DOTS.sub("...", line))
    line = _DASH.sub(" – ", line.replace("''", '"'))
    line = _RNB.sub("R&B", _SPLIT_CONTRACTION.sub("'", _SHOUT.sub(r"\1", line)))
    line = _SPACED_MARK.sub(r"\1", " ".join(line.split()))
    line = _GLUED_STOP.sub(lambda match: match[0] + " ", line)
    return line.strip(f" {LINK}–|•·")


def calm(line: str) -> str:
    """Write words in capitals in lower case, and names of several words like names, unless the whole line shouts.

    >>> calm("What a GREAT album it is by ABBA, and as good as GOODBYE YELLOW BRICK ROAD.")
    'What a great album it is by ABBA, and as good as Goodbye Yellow Brick Road.'
    """
    if sum(map(str.isupper, line)) > _ALL_SHOUTED * len(line):
        return line
    return _SHOUTED.sub(lambda match: _calmed(match[0], at_start=match.start() == 0), line)


def _calmed(words: str, *, at_start: bool) -> str:
    if " " in words:
        return words.title() if all(is_known(word) for word in words.split()) else words
    if not is_common(words):
        return words
    return words.capitalize() if at_start else words.casefold()


def double_quotes(line: str) -> str:
    r"""Turn single quotation marks around a few words into double ones, except within double ones.

    >>> double_quotes("The 'Glass' EP isn't 'em at their 'Tide's Out' best.")
    'The "Glass" EP isn\'t \'em at their "Tide\'s Out" best.'
    """
    if "'" not in line:
        return line
    pieces = line.split('"')
    pieces[::2] = [_SINGLE.sub(r'"\1"', piece) for piece in pieces[::2]]
    return '"'.join(pieces)


def has_stray_quote(line: str) -> bool:
    """Whether an opening single quote is left after `double_quotes`.

    >>> has_stray_quote("From 'Ode to the finale."), has_stray_quote("Give 'em the '80s, rockin' boys' toys")
    (True, False)
    """
    return "'" in line and _OPENING.search(line) is not None
