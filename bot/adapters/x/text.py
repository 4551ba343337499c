"""The text of a post on X: complete, with the addresses that X's short links stand for."""

from __future__ import annotations

import html
import re
from collections.abc import Mapping
from typing import Any

_LEADING_NAMES = re.compile(r"^(?:@\w{1,15}\s+)+")


def full_text(post: Mapping[str, Any]) -> str:
    """The text of a post, complete even if it is long, and HTML-escaped as X sends it.

    >>> full_text({"text": "a &amp; b https://t.co/1", "entities": {"urls": [
    ...     {"url": "https://t.co/1", "expanded_url": "https://example.org/?a=1&copy=2"}]}})
    'a &amp; b https://example.org/?a=1&amp;copy=2'
    """
    # "text" cuts a long post; "note_tweet" has all of it, with its own entities.
    source = post.get("note_tweet") or post
    text = str(source.get("text") or post.get("text") or "")
    for link in (source.get("entities") or {}).get("urls") or ():
        short, url = link.get("url"), link.get("expanded_url")
        if short and url:
            text = text.replace(short, html.escape(url, quote=False))
    return text


def written_text(post: Mapping[str, Any]) -> str:
    """The text as its author wrote it: unescaped, and without the names with which X begins a reply."""
    text = html.unescape(full_text(post))
    is_reply = any(one.get("type") == "replied_to" for one in post.get("referenced_tweets") or ())
    return _LEADING_NAMES.sub("", text) if is_reply else text


def names_of_account(post: Mapping[str, Any], user_id: str) -> list[str]:
    """Names by which a post mentions the account; empty if it does not.

    >>> names_of_account({"entities": {"mentions": [{"id": "7", "username": "bot"}]}}, "7")
    ['bot']
    """
    source = post.get("note_tweet") or post
    entities = (source.get("entities") or {}).get("mentions") or ()
    return [str(mention.get("username") or "") for mention in entities if mention.get("id") == user_id]


def first_id(post: Mapping[str, Any]) -> str:
    """Id of the first version of a post: an edited post has an id of its own, but it is one request.

    >>> first_id({"id": "9", "edit_history_tweet_ids": ["8", "9"]})
    '8'
    """
    history = post.get("edit_history_tweet_ids")
    versions = [str(one) for one in history if str(one).isdigit()] if isinstance(history, list) else []
    return min(versions, key=int, default=str(post["id"]))


def original_id(post: Mapping[str, Any]) -> str | None:
    """Id of the post that a repost repeats; None for any other post."""
    references = post.get("referenced_tweets") or ()
    return next((str(one["id"]) for one in references if one.get("type") == "retweeted" and one.get("id")), None)
