"""Text of HTML documents, as a browser would show it, without its controls."""

from __future__ import annotations

import html
import re
from typing import Final

from selectolax.lexbor import LexborHTMLParser, LexborNode

_TAG: Final = re.compile(r"<[/!?a-zA-Z]")
_BLOCKS: Final = frozenset(
    [
        *("address", "article", "aside", "blockquote", "br", "dd", "div", "dl", "dt", "figcaption", "figure"),
        *("footer", "form", "h1", "h2", "h3", "h4", "h5", "h6", "header", "hr", "iframe"),
        *("li", "main", "nav", "ol", "p", "pre", "section", "table", "td", "th", "tr"),
        "ul",
    ]
)
_HIDDEN: Final = frozenset(("script", "style", "template", "title", "svg", "textarea", "iframe", "noscript"))
_CONTROLS: Final = frozenset(("button", "select"))
"""Elements whose own words are labels. A block within one is text behind a control that was not closed."""
_UNFINISHED_TAG: Final = re.compile(r"<(?=[a-zA-Z/!?][^<>]*\Z)")
_RAW: Final = ("title", "textarea", "iframe", "noembed", "noframes", "xmp", "plaintext")
"""Elements that show no tags within, and so hide all that follows if they are not closed."""
_ANY_TAG: Final = re.compile(r"<[^<>]*>")
_MAX_TAGS: Final = 10_000
"""Tags from which they are cut out one by one: a tree of elements that are never closed takes time by their square."""
_RAW_START: Final = re.compile(rf"<({'|'.join(_RAW)})\b[^>]*>", re.IGNORECASE)


def strip_html(text: str) -> str:
    """Remove tags, comments, scripts and the labels of controls; block tags separate paragraphs.

    Tags may be missing, as HTML allows. A comment, a tag or a title that is never closed hides nothing behind it.

    >>> strip_html("<p>Loud &amp; <em>fast</em></p>").strip()
    'Loud & fast'
    """
    if not _TAG.search(text):
        return text
    if text.count("<") > _MAX_TAGS:
        return html.unescape(_ANY_TAG.sub("\n\n", text))
    root = LexborHTMLParser(_without_unclosed(text)).root
    return "" if root is None else _text(root)


def _without_unclosed(text: str) -> str:
    """Remove the beginnings of comments and of elements without tags whose end never comes."""
    if text.rfind("<!--") > text.rfind("-->"):
        start = text.rfind("<!--")
        text = text[:start] + text[start + len("<!--") :]
    lower = text.casefold()

    def closed(match: re.Match[str]) -> str:
        return match[0] if f"</{match[1].casefold()}" in lower else ""

    return _UNFINISHED_TAG.sub("&lt;", _RAW_START.sub(closed, text))


def _text(root: LexborNode) -> str:
    """Return the text of a tree; of any depth, so without recursion."""
    parts: list[str] = []
    waiting: list[tuple[LexborNode | None, bool]] = [(root, False)]
    """Nodes to come, the next one last, with whether they are words of a control; None for the end of a block."""
    while waiting:
        node, in_control = waiting.pop()
        if node is None:
            parts.append("\n\n")
            continue
        if node.is_text_node:
            if not in_control:
                parts.append(node.text_content or "")
            continue
        tag = node.tag
        if tag in _HIDDEN:
            continue
        if tag in _BLOCKS:
            parts.append("\n\n")
            waiting.append((None, False))
            in_control = False
        inside = in_control or tag in _CONTROLS
        waiting.extend((child, inside) for child in reversed(list(node.iter(include_text=True))))
    return "".join(parts)
