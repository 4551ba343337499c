"""Comparison of the account's own posts with texts that were or may be sent."""

from __future__ import annotations

from bot.domain.keys import text_key
from bot.domain.outgoing_posts import OutgoingPost, OwnPost

_TELLING = 12
"""Minimum letters and digits of a text for a match with a longer text that contains it, such as with a name added."""
_NAMED = 3
"""Minimum letters and digits of a name that is looked for in a text: shorter ones are in many words."""


def is_same(post: OutgoingPost, own: OwnPost) -> bool:
    """Whether a post of the account is the one that was sent; a network may add a name before it or a link after it."""
    sent, shown = text_key(post.text), text_key(own.text)
    return sent == shown or (len(sent) >= _TELLING and sent in shown)


def likeness(shown: str, *, text: str, artist: str, title: str) -> int:
    """Whether an own post shows a candidate's text in whatever template: 0 if not, and more the surer it is.

    Args:
        shown: `text_key` of the own post.
        text: `text_key` of the candidate's text.
        artist: `text_key` of its artist.
        title: `text_key` of its title.

    >>> likeness("onavellmossaslowandcarefullamp", text="aslowandcarefullamp", artist="onavell", title="moss")
    2
    >>> likeness("torbriskryeaslowandcarefullamp", text="aslowandcarefullamp", artist="onavell", title="moss")
    1
    >>> likeness("onavellmossaslowandcarefullamp", text="moss", artist="onavell", title="moss")
    0
    """
    if not text or text not in shown:
        return 0
    rest = shown
    for name in (artist, title):
        rest = rest.replace(name, "", 1)
    if text in (shown, rest):
        return 2
    if len(text) < _TELLING:
        return 0
    return 2 if title in shown.replace(text, "", 1) else int(2 * len(text) >= len(shown))


def names_song(shown: str, *, artist: str, title: str) -> bool:
    """Whether an own post names a song; all arguments are keys as for `likeness`."""
    return all(len(name) >= _NAMED and name in shown for name in (artist, title))
