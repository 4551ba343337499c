"""From scraped text to clean paragraphs, in small pure steps.

`paragraphs` runs them all. Placeholders travel as single private-use characters, so that no step takes `<artist>` for
a tag and no step splits it; `show_placeholders` turns them into what a corpus holds.
"""

from __future__ import annotations

import html
import re
from html.parser import HTMLParser
from typing import Final

import ftfy

ARTIST: Final = "\ue000"
TITLE: Final = "\ue001"
AUTHOR: Final = "\ue002"
SITE: Final = "\ue003"
LINK: Final = "\ue004"
"""Stands where a bare URL was: the sentence around it points at something that is not there."""

_PRIVATE: Final = re.compile("[\ue000-\uf8ff]")
_PLACEHOLDER: Final = re.compile(r"<\s*(artist|song_title|title|author|sitename)\s*>", re.IGNORECASE)
_PLACEHOLDERS: Final = {"artist": ARTIST, "song_title": TITLE, "title": TITLE, "author": AUTHOR, "sitename": SITE}
_TAG: Final = re.compile(r"<[/!?a-zA-Z]")
_BLOCKS: Final = frozenset(
    [
        "address",
        "article",
        "aside",
        "blockquote",
        "br",
        "dd",
        "div",
        "dl",
        "dt",
        "figcaption",
        "figure",
        "footer",
        "form",
        "h1",
        "h2",
        "h3",
        "h4",
        "h5",
        "h6",
        "header",
        "hr",
        "iframe",
        "li",
        "main",
        "nav",
        "ol",
        "p",
        "pre",
        "section",
        "table",
        "td",
        "th",
        "tr",
        "ul",
    ]
)
_SILENT: Final = frozenset(("script", "style", "template", "head", "button", "select", "svg"))

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
_TICK: Final = re.compile(r"(?<=\w)[`´](?=\w)")

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
_SPACED_MARK: Final = re.compile(r" (\.\.\.|[,.;:!?](?= |$)|'(?:s|ve|re|ll|d|m)\b)")
_GLUED_STOP: Final = re.compile(
    r"(?<=[a-z]{2})[.!?](?=[A-Z][a-z])|(?<=[a-z0-9]{2}),(?=[A-Za-z]{2})|(?<=[a-z])\.\.\.(?=[A-Za-z])"
)
_FTFY: Final = ftfy.TextFixerConfig(unescape_html=False, uncurl_quotes=True, normalization="NFC")

_WRAPPED: Final = 50
"""A line of at least so many characters goes on in the next one; shorter ones end where they end."""


def paragraphs(text: str) -> list[str]:
    """Clean a post's text and part it into paragraphs without line breaks."""
    # Twice, because scraped text is often escaped twice.
    text = hide_placeholders(html.unescape(html.unescape(repair(text))))
    text = strip_markdown(strip_html(text))
    lines = unwrap(mark_links(text))
    return [clean for line in lines if (clean := tidy(line))]


def repair(text: str) -> str:
    r"""Undo encoding accidents and typographic quotes; drop private-use characters.

    >>> repair("itâ€™s “fine”")
    'it\'s "fine"'
    """
    if text.isascii():
        return text
    return _PRIVATE.sub("", ftfy.fix_text(text, _FTFY))


def hide_placeholders(text: str) -> str:
    """Turn placeholders, the original's included, into single private-use characters."""
    return _PLACEHOLDER.sub(lambda match: _PLACEHOLDERS[match[1].casefold()], text) if "<" in text else text


def show_placeholders(sentence: str) -> str:
    """Turn the characters for artist and title into the placeholders that a corpus holds."""
    return sentence.replace(ARTIST, "<artist>").replace(TITLE, "<title>")


class _Text(HTMLParser):
    """Collects what a browser would show; blocks become paragraphs."""

    def __init__(self) -> None:
        super().__init__(convert_charrefs=True)
        self.parts: list[str] = []
        self._silent = 0

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        del attrs
        if tag in _SILENT:
            self._silent += 1
        elif tag in _BLOCKS:
            self.parts.append("\n\n")

    def handle_endtag(self, tag: str) -> None:
        if tag in _SILENT:
            self._silent = max(0, self._silent - 1)
        elif tag in _BLOCKS:
            self.parts.append("\n\n")

    def handle_data(self, data: str) -> None:
        if not self._silent:
            self.parts.append(data)


def strip_html(text: str) -> str:
    """Remove tags, comments, scripts; block tags part paragraphs.

    >>> strip_html("<p>Loud &amp; <em>fast</em></p>").strip()
    'Loud & fast'
    """
    if not _TAG.search(text):
        return text
    parser = _Text()
    parser.feed(text)
    parser.close()
    return "".join(parser.parts)


def strip_markdown(text: str) -> str:
    """Remove markdown's marks and keep what they mark; headings and list items become paragraphs.

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
    return _TICK.sub("'", text) if "`" in text or "´" in text else text


def mark_links(text: str) -> str:
    """Put `LINK` where bare URLs and mail addresses are."""
    # The hints are cheap to look for, the addresses are not, and most texts hold none.
    if "://" in text or "ww." in text or "pic." in text:
        text = _URL.sub(LINK, text)
    if "@" in text:
        text = _MAIL.sub(LINK, text)
    return _DOMAIN.sub(LINK, text) if _DOMAIN_HINT.search(text) else text


def unwrap(text: str) -> list[str]:
    """Join the lines of hard-wrapped paragraphs; lines that end early stay apart."""
    joined: list[str] = []
    for block in re.split(r"\n\s*\n", text):
        previous = 0
        for raw in block.splitlines():
            line = raw.strip()
            if not line:
                continue
            if previous and (previous >= _WRAPPED or line[0].islower()):
                joined[-1] += " " + line
            else:
                joined.append(line)
            previous = len(line)
    return joined


def tidy(line: str) -> str:
    """One form for dashes, dots, spaces and shouting; no emoji, no link at the ends.

    >>> tidy("Wow!!!  It is --really-- loud…")
    'Wow! It is – really – loud...'
    """
    if not line.isascii():
        line = _EMOJI.sub(" ", line)
    line = _TWO_DOTS.sub(".", _DOTS.sub("...", line))
    line = _DASH.sub(" – ", line.replace("''", '"'))
    line = _SHOUT.sub(r"\1", line)
    line = _SPACED_MARK.sub(r"\1", " ".join(line.split()))
    line = _GLUED_STOP.sub(lambda match: match[0] + " ", line)
    return line.strip(f" {LINK}–|•·")
