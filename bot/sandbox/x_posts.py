"""Users and posts of the stand-in for X, in the format of the v2 API."""

from __future__ import annotations

import html
import re
import secrets
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from bot.sandbox.account import USERNAME, X_USER_ID

_EPOCH_MS = 1288834974657
"""Epoch of X's ids, whose upper bits are milliseconds."""
_URL = re.compile(r"https?://\S+")
_MENTION = re.compile(r"@(\w{1,15})")
_NOTE_AT = 280
MAX_WEIGHT = 280
_URL_WEIGHT = 23
# Code points that count once; all others count twice (X's configuration v3).
_SINGLE = ((0, 4351), (8192, 8205), (8208, 8223), (8242, 8247))


@dataclass(frozen=True, slots=True, kw_only=True)
class XUser:
    """A user of X."""

    id: str
    username: str

    def document(self) -> dict[str, Any]:
        """Return the user as the API shows it."""
        return {"id": self.id, "name": self.username.title(), "username": self.username}


@dataclass(frozen=True, slots=True, kw_only=True)
class XPost:
    """A post. `text` is what its author typed."""

    id: str
    author: XUser
    text: str
    created_at: str
    lang: str = "en"
    reply_to: str | None = None
    quoted: str | None = None
    reposted: str | None = None
    links: Mapping[str, str] = field(default_factory=dict)
    """Short addresses of X by the addresses as typed."""

    def mentions(self, username: str) -> bool:
        """Whether the post mentions a user."""
        return any(name.lower() == username.lower() for name in _MENTION.findall(self.text))


class XPosts:
    """All users and posts, the newest last."""

    def __init__(self) -> None:
        self.me = XUser(id=X_USER_ID, username=USERNAME)
        self.users: dict[str, XUser] = {USERNAME: self.me}
        self.posts: dict[str, XPost] = {}
        self._last_id = 0

    def user(self, username: str) -> XUser:
        """Return the user of a name, created if needed."""
        if username not in self.users:
            self.users[username] = XUser(id=str(int(X_USER_ID) + len(self.users)), username=username)
        return self.users[username]

    def add(
        self,
        text: str,
        author: XUser,
        *,
        reply_to: str | None = None,
        quoted: str | None = None,
        reposted: str | None = None,
        post_id: str | None = None,
    ) -> XPost:
        """Add a post of a user."""
        new_id = int(post_id or self._new_id())
        self._last_id = max(self._last_id, new_id)
        if reposted is not None:
            original = self.posts[reposted]
            text = f"RT @{original.author.username}: {original.text}"
        post = XPost(
            id=str(new_id),
            author=author,
            text=text,
            created_at=datetime.now(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z"),
            reply_to=reply_to,
            quoted=quoted,
            reposted=reposted,
            links={url: f"https://t.co/{secrets.token_hex(5)}" for url in _URL.findall(text)},
        )
        self.posts[post.id] = post
        return post

    def between(self, since_id: str | None, until_id: str | None) -> Iterator[XPost]:
        """Return the posts between two ids, exclusive, the newest first."""
        low, high = int(since_id or 0), int(until_id) if until_id else None
        for number in sorted(map(int, self.posts), reverse=True):
            if number > low and (high is None or number < high):
                yield self.posts[str(number)]

    def document(self, post: XPost, fields: set[str]) -> dict[str, Any]:
        """Return a post with the requested fields; id, text and edit history are always included."""
        shown, rest = _shorten(post, self._addressee(post))
        everything: dict[str, Any] = {
            "author_id": post.author.id,
            "created_at": post.created_at,
            "lang": post.lang,
            "conversation_id": post.reply_to or post.id,
            "entities": self._entities(post, shown),
            "referenced_tweets": _references(post),
        }
        if rest:
            text = self._addressee(post) + _with_links(post.text, post.links)
            everything["note_tweet"] = {"text": text, "entities": self._entities(post, text)}
        if post.reply_to in self.posts:
            everything["in_reply_to_user_id"] = self.posts[str(post.reply_to)].author.id
        asked = {key: value for key, value in everything.items() if key in fields and value}
        return {"id": post.id, "text": html.escape(shown, quote=False), "edit_history_tweet_ids": [post.id], **asked}

    def _addressee(self, post: XPost) -> str:
        """Return the prefix that X adds to a reply: the handle of the author of the post that it answers."""
        target = self.posts.get(post.reply_to or "")
        return f"@{target.author.username} " if target and not post.text.startswith("@") else ""

    def _entities(self, post: XPost, shown: str) -> dict[str, Any]:
        urls = [
            {
                "start": shown.find(short),
                "end": shown.find(short) + len(short),
                "url": short,
                "expanded_url": url,
                "display_url": url.removeprefix("https://")[:30],
            }
            for url, short in post.links.items()
            if short in shown
        ]
        mentions = [self._mention(found) for found in _MENTION.finditer(shown)]
        return {key: value for key, value in (("urls", urls), ("mentions", mentions)) if value}

    def _mention(self, found: re.Match[str]) -> dict[str, Any]:
        mention = {"start": found.start(), "end": found.end(), "username": found[1]}
        user = self.users.get(found[1].lower())
        return mention | ({"id": user.id} if user is not None else {})

    def _new_id(self) -> int:
        return max((int(time.time() * 1000) - _EPOCH_MS) << 22, self._last_id + 1)


def weight(text: str) -> int:
    """Return the length of a text by X's rules.

    >>> weight("no 音楽"), weight("see https://example.org/a-long-address/of-many-parts")
    (7, 27)
    """
    links = _URL.findall(text)
    rest = _URL.sub("", text)
    return _URL_WEIGHT * len(links) + sum(1 if any(a <= ord(c) <= b for a, b in _SINGLE) else 2 for c in rest)


def _with_links(text: str, links: Mapping[str, str]) -> str:
    for url, short in links.items():
        text = text.replace(url, short)
    return text


def _shorten(post: XPost, addressee: str) -> tuple[str, str]:
    """Return the `text` of a post; long texts are cut, with the whole in `note_tweet`, which reposts lack."""
    text = addressee + _with_links(post.text, post.links)
    if len(text) <= _NOTE_AT:
        return text, ""
    if post.reposted:
        return f"{text[: _NOTE_AT - 1]}…", ""
    return f"{text[: _NOTE_AT - 25]}… https://t.co/{post.id[-10:]}", text


def _references(post: XPost) -> list[dict[str, str]]:
    kinds = (("replied_to", post.reply_to), ("quoted", post.quoted), ("retweeted", post.reposted))
    return [{"type": kind, "id": identifier} for kind, identifier in kinds if identifier]
