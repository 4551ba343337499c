"""The text of a Mastodon post, which comes as HTML."""

from __future__ import annotations

import html
import re
from html.parser import HTMLParser

from typing_extensions import override

_BLOCKS = frozenset({"blockquote", "div", "h1", "h2", "h3", "h4", "h5", "h6", "li", "ol", "p", "pre", "ul"})
_BLANK_LINES = re.compile(r"\n{3,}")


def plain_text(content: str) -> str:
    r"""Convert HTML to text: paragraphs and line breaks are kept, links are written out, other tags are removed.

    >>> plain_text('<p>a &lt;b&gt;</p><p>c<br />d <a href="https://example.org/x"><span>exam</span></a></p>')
    'a <b>\n\nc\nd https://example.org/x'
    """
    parser = _Parser()
    parser.feed(content)
    parser.close()
    return _BLANK_LINES.sub("\n\n", "".join(parser.parts)).strip()


def escaped_text(content: str) -> str:
    """Convert HTML to text with `&`, `<` and `>` escaped, as `SourcePost.text` has them."""
    return html.escape(plain_text(content), quote=False)


class _Parser(HTMLParser):
    def __init__(self) -> None:
        super().__init__(convert_charrefs=True)
        self.parts: list[str] = []
        self._in_link = False
        """Whether the address of a link stands for its text."""

    @override
    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        given = dict(attrs)
        if tag in _BLOCKS:
            self._in_link = False  # a link that was never closed ends with its paragraph, as in a browser
        if tag == "br":
            self.parts.append("\n")
        elif tag in _BLOCKS and self.parts:
            self.parts.append("\n\n")
        elif tag == "a":
            self._in_link = False  # a second link ends the first
        if tag == "a" and not set((given.get("class") or "").split()) & {"mention", "hashtag"}:
            # The text of a link is shortened; that of a mention or a hashtag is complete.
            self.parts.append(given.get("href") or "")
            self._in_link = True

    @override
    def handle_endtag(self, tag: str) -> None:
        if tag == "a" or tag in _BLOCKS:
            self._in_link = False

    @override
    def handle_data(self, data: str) -> None:
        if not self._in_link:
            self.parts.append(data)
