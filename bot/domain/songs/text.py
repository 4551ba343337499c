"""Normalization of text for the parser: entities, quotes, dashes, links, control characters."""

from __future__ import annotations

import bisect
import html
import re
import unicodedata
from dataclasses import dataclass

MAX_LENGTH = 3_000
"""Maximum characters of a text that are read; the bound limits the parser's time to milliseconds."""
_PIECE = 512
MAX_QUOTE = 150
"""Maximum characters between two quotes."""
MAX_QUOTES = 30
"""Maximum quoted parts of one line."""

_SAME = str.maketrans(
    {
        **dict.fromkeys("“”„‟«»″〝〞〟", '"'),
        **dict.fromkeys("‘’‚‛`´′‹›ʼ", "'"),
        **dict.fromkeys("‐‑‒–−", "-"),
        **dict.fromkeys("—―", " - "),
        # Japanese titles are written in corner brackets, without a space before them.
        **dict.fromkeys("「『", ' "'),
        **dict.fromkeys("」』", '" '),
        **dict.fromkeys("《〈", ' "'),
        **dict.fromkeys("》〉", '" '),
        **dict.fromkeys("【〔〖", " ["),
        **dict.fromkeys("】〕〗", "] "),
    }
)
_LINK = re.compile(r"(?:https?://|www\.|pic\.twitter\.com/|(?<!\S)t\.co/)\S*", re.IGNORECASE)
_MAX_ESCAPES = 4
"""Maximum number of times that entities were escaped, "&amp;amp;", as exports of exports do."""
_NICKNAME = re.compile(
    # `"Big Tom" Hollis - ` at the start, `Ray "Duke" Ellery - ` with one to three words before.
    r"^(?P<before>(?:[^\W\d_][\w'.]*\s){0,3})\"(?P<nick>[^\W\d_][\w'.]*(?:\s[^\W\d_][\w'.]*){0,2})\""
    r"(?P<after>(?:\s(?!(?i:official|video|audio|lyrics?|music|live|remix|out|by|from)\b)[A-ZÀ-Þ][\w'.]*){1,3})"
    r"(?=\s*(?:\([^()]*\)\s*)?(?:\s-|:|\s\||\s~))"
)
_INNER_SPACES = re.compile(r"(?<=«)[ \u00a0\u202f]+|[ \u00a0\u202f]+(?=»)")
_ROW_MARK = re.compile(r"\s[»›]+\s")
"""A closing quote without an opening one, which parts fields: `Radio » Artist » Title`."""
_HIDDEN = "\u02ba"
_NEWLINES = re.compile(r"[\r\n\v\f\x1c-\x1e\x85\u2028\u2029]+")


def clean_lines(text: str) -> list[str]:
    """Return the lines of a text in NFKC, with one kind of single quote, double quote and dash, and single spaces.

    Links, control characters and lone surrogates are removed; pictographs get a space on either side.

    >>> clean_lines("“Slow Lamp”  by Ona Vell &amp; Co https://example.org/1")
    ['"Slow Lamp" by Ona Vell & Co']
    """
    text = text[:MAX_LENGTH]
    for _ in range(_MAX_ESCAPES):
        text, escaped = html.unescape(text), text
        if text == escaped:
            break
    if "«" not in text:
        text = _ROW_MARK.sub(" • ", text)
    plain = _compatible(_INNER_SPACES.sub("", text).translate(_SAME))
    plain = _LINK.sub(" ", plain)
    plain_character = _Plain()
    lines = (" ".join(line.translate(plain_character).split()) for line in _NEWLINES.split(plain))
    return [line for line in lines if line]


def _compatible(text: str) -> str:
    """Return the first `MAX_LENGTH` characters of a text's NFKC form.

    The text is normalized in pieces, because NFKC may expand one character to eighteen and sorts runs of accents in
    quadratic time.
    """
    pieces: list[str] = []
    length = 0
    for start in range(0, len(text), _PIECE):
        if length >= MAX_LENGTH:
            break
        pieces.append(unicodedata.normalize("NFKC", text[start : start + _PIECE]))
        length += len(pieces[-1])
    return "".join(pieces)[:MAX_LENGTH]


class _Plain(dict[int, str]):
    """Table for `str.translate` that computes each character once."""

    def __missing__(self, code: int) -> str:
        self[code] = plain = _plain_character(chr(code))
        return plain


def _plain_character(character: str) -> str:
    category = unicodedata.category(character)
    if category == "So" or 0x1F3FB <= ord(character) <= 0x1F3FF:  # pictographs and their skin tones
        return f" {character} "
    if category == "Cc" or category[0] == "Z":
        return " "
    # Format characters (joiners, direction marks), surrogates, private use; and the emoji variation selector.
    return "" if category[0] == "C" or character == "\ufe0f" else character


@dataclass(frozen=True, slots=True, kw_only=True)
class Quote:
    """Quoted part of a line: `line[start:end]` with its quotes, `text` without them."""

    start: int
    end: int
    text: str
    double: bool


def find_quotes(line: str) -> list[Quote]:
    """Find the quoted parts of a line, in order and not nested; apostrophes and inch marks do not open a quote.

    >>> [quote.text for quote in find_quotes('''The 7" of Ona Vell's "Don't Wait"''')]
    ["Don't Wait"]
    """
    quotes: list[Quote] = []
    doubles = [index for index, character in enumerate(line) if character == '"']
    singles = [index for index, character in enumerate(line) if character == "'"]
    closing = [index for index in singles if _closes(line, index)]
    position = 0
    for start in sorted(doubles + singles):
        if start < position or not _opens(line, start):
            continue
        next_double = _first_after(doubles, start, len(line))
        if line[start] == '"':
            # The next double quote does not close anything: an unbalanced pair.
            end = next_double if next_double < len(line) and _closes(line, next_double) else len(line)
        else:
            # If a double quote lies in between, this was an apostrophe at the start of a word.
            end = _first_after(closing, start, len(line))
            end = end if end < next_double else len(line)
        if end < len(line) and end - start <= MAX_QUOTE:
            quotes.append(
                Quote(start=start, end=end + 1, text=line[start + 1 : end].strip(), double=line[start] == '"')
            )
            position = end + 1
            if len(quotes) == MAX_QUOTES:
                break
    return quotes


def _first_after(places: list[int], start: int, default: int) -> int:
    place = bisect.bisect_right(places, start)
    return places[place] if place < len(places) else default


def _opens(line: str, index: int) -> bool:
    before, after = line[index - 1 : index], line[index + 1 : index + 2]
    return not before.isalnum() and before not in {",", ".", "=", ";"} and bool(after) and not after.isspace()


def _closes(line: str, index: int) -> bool:
    return not line[index - 1].isspace() and not line[index + 1 : index + 2].isalnum()


def hide_nicknames(line: str) -> str:
    """Replace the quotes around a nickname at the start of a line, so that it is not read as a title.

    >>> hide_nicknames('Ray "Duke" Ellery - Toast') == hide_nicknames('Ray "Duke" Ellery, Toast')
    False
    """
    return _NICKNAME.sub(lambda name: name.group().replace('"', _HIDDEN), line)


def show_nicknames(name: str) -> str:
    """Put the quotes back that `hide_nicknames` replaced."""
    return name.replace(_HIDDEN, '"')
