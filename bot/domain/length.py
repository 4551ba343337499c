"""Length of a text by each network's own rule; none of them counts code points.

X's rules are those of twitter-text, configuration 3: a character of the Latin, Greek, Cyrillic, Hebrew, Arabic scripts
and their neighbours counts 1, any other 2, an emoji 2 whatever its number of characters, a link 23.
https://github.com/twitter/twitter-text/blob/master/config/v3.json

Bluesky and Mastodon count what a reader sees as one character (grapheme clusters). Mastodon counts a link 23, and of a
mention the name without the server.
https://docs.joinmastodon.org/user/posting/#text
"""

from __future__ import annotations

import re
import unicodedata

import regex

LINK_LENGTH = 23
_LIGHT = ((0x0, 0x10FF), (0x2000, 0x200D), (0x2010, 0x201F), (0x2032, 0x2037))
_TOP_DOMAINS = "com|org|net|edu|gov|info|biz|app|dev|fm|io|co|tv|me|link|page|band|music|live|online|site|store"
_LINK = re.compile(
    rf"https?://[^\s/?#]+\.[^\s]*[\w/=&#-]|"
    rf"(?<![\w@.$#-])(?:[a-z0-9-]+\.)+(?:{_TOP_DOMAINS})\b(?:/[\w/=&#?.%+~-]*[\w/=&#-])?|"
    # Domains of countries are words as well, so a path has to follow, or "www." to stand before them: youtu.be/x
    r"(?<![\w@.$#-])(?:www\.(?:[a-z0-9-]+\.)+[a-z]{2,}\b|(?:[a-z0-9-]{2,}\.)+[a-z]{2}(?=/\w))(?:/[\w/=&#?.%+~-]*[\w/=&#-])?",
    re.IGNORECASE,
)
# A flag is two letters, a keycap ends in U+20E3; the rest are pictographs with their tones, signs, tags, in a chain.
_PICTOGRAPH = (
    r"[\U0001F000-\U0001FAFF\u2600-\u27BF\u2300-\u23FF\u2B05-\u2B55\u2934\u2935\u3030\u303D\u3297\u3299\u24C2\u25AA-\u25FE"
    r"\u2194-\u21AA\u2139\u203C\u2049\u2122\u00A9\u00AE]"
)
_ADDED = r"(?:[\U0001F3FB-\U0001F3FF]|\uFE0F|[\U000E0020-\U000E007F])*"
_EMOJI = re.compile(
    rf"[\U0001F1E6-\U0001F1FF]{{2}}|[0-9#*]\uFE0F?\u20E3|{_PICTOGRAPH}{_ADDED}(?:\u200D{_PICTOGRAPH}{_ADDED})*"
)


_GRAPHEME = regex.compile(r"\X")
_WEB_LINK = re.compile(r"https?://[^\s/?#]+\.[^\s]*[\w/=&#-]", re.IGNORECASE)
"""Link that Mastodon shortens: it has to begin with http."""
_REMOTE_MENTION = re.compile(r"(?<![\w/])(@\w+(?:[\w.-]*\w)?)@[\w.-]*\w")


def links(text: str) -> list[str]:
    """Links of a text, with or without https:// before them, as X finds them.

    >>> links("hear it: example.com/x, or https://example.org.")
    ['example.com/x', 'https://example.org']
    """
    return [match[0] for match in _LINK.finditer(text)]


def grapheme_length(text: str) -> int:
    """The length of a text by Bluesky's counting: characters as a reader sees them.

    >>> [grapheme_length(text) for text in ("a slow lamp", "日本", "https://example.org/?a=1", "👩‍👩‍👧")]
    [11, 2, 24, 1]
    """
    return len(_GRAPHEME.findall(text))


def mastodon_length(text: str) -> int:
    """The length of a text by Mastodon's counting.

    >>> [mastodon_length(text) for text in ("日本", "https://example.org/?a=1&b=two", "@ona@example.org")]
    [2, 23, 4]
    """
    plain = _REMOTE_MENTION.sub(r"\1", _WEB_LINK.sub("x" * LINK_LENGTH, text))
    return grapheme_length(plain)


def weighted_length(text: str) -> int:
    """The length of a text by X's own counting; a post may have 280.

    >>> [weighted_length(text) for text in ("a slow lamp", "日本", "https://example.org/?a=1", "👩‍👩‍👧")]
    [11, 4, 23, 2]
    """
    # X counts the composed form (NFC). Links and emoji are removed from the text and counted by their fixed lengths.
    plain, links = _LINK.subn("", unicodedata.normalize("NFC", text))
    plain, emoji = _EMOJI.subn("", plain)
    return links * LINK_LENGTH + emoji * 2 + sum(map(_weight, plain))


def _weight(character: str) -> int:
    code = ord(character)
    return 1 if any(first <= code <= last for first, last in _LIGHT) else 2
