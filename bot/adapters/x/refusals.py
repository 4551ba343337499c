"""Meaning of X's answers to a post that is not published.

Only an answer that names the post refuses it for good. X answers with the same statuses when the account is locked, the
credit is used up or the day's posts are spent, and adds new words for it without notice: every answer that is not known
to be about the post is taken as one about the account, and the post waits.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import UTC, datetime

import tweepy

from bot.adapters.http.session import retry_time
from bot.adapters.x.client import error_text
from bot.domain.errors import (
    CredentialsError,
    DoubtfulError,
    NetworkError,
    NetworkUnavailableError,
    PostRefusedError,
    RateLimitedError,
)

_POST_STATUSES = frozenset({400, 403, 422})
_POST_CODES = frozenset({170, 186, 187, 385, 433})
"""No text, too long, a duplicate, a reply to a deleted post, a reply that the author does not allow."""
_POST_WORDS = re.compile(
    r"duplicate|too long|be (?:a bit )?shorter|needs text|text (?:is|was) (?:empty|missing|blank)|missing text"
    r"|deleted or not visible|reply to this conversation is not allowed",
    re.IGNORECASE,
)
_ACCOUNT_WORDS = re.compile(
    r"your account|this account|access level|suspend|locked|credit|billing|payment|automated|per day|daily",
    re.IGNORECASE,
)
_POST_PARAMETERS = frozenset({"text", "reply.in_reply_to_tweet_id", "in_reply_to_tweet_id", "quote_tweet_id"})
_ACCOUNT_STATUSES = frozenset({401, 402, 403})


def posting_error(error: tweepy.HTTPException) -> NetworkError:
    """The bot's error for X's answer to a post."""
    status, headers, said = error.response.status_code, error.response.headers, error_text(error)
    words = f"X answered {status}: {said}"
    if status == 429:
        return RateLimitedError(f"{words}; the post will be sent later", retry_at=_retry_time(headers))
    if status >= 500:
        return DoubtfulError(f"{words}; the post may be published")
    if _names_the_post(error, said):
        return PostRefusedError(words)
    if not error.api_messages and status != 401:
        return NetworkUnavailableError(f"{words}; the post will be sent again")  # a proxy's page, not X's
    if status in _ACCOUNT_STATUSES or error.api_codes:
        return CredentialsError(
            f"{words}; log in to the account, check its credit, the keys, that the app may write, and the clock;"
            " the post stays pending"
        )
    return NetworkUnavailableError(f"{words}; the post will be sent again")


def is_duplicate(error: tweepy.HTTPException) -> bool:
    """Whether X says that the account has posted the text before."""
    said = error_text(error)
    return isinstance(error, tweepy.Forbidden) and _names_the_post(error, said) and "duplicate" in said.lower()


def _names_the_post(error: tweepy.HTTPException, said: str) -> bool:
    if error.response.status_code not in _POST_STATUSES or _ACCOUNT_WORDS.search(said):
        return False
    codes = {code for code in error.api_codes if isinstance(code, int)}
    if codes:
        return codes <= _POST_CODES
    return bool(_POST_WORDS.search(said)) or bool(_parameters(error) & _POST_PARAMETERS)


def _parameters(error: tweepy.HTTPException) -> set[str]:
    """Names of the parameters that X calls invalid."""
    found = (one.get("parameters") for one in error.api_errors if isinstance(one, dict))
    return {str(name) for names in found if isinstance(names, dict) for name in names}


def _retry_time(headers: Mapping[str, str]) -> datetime | None:
    """The later of the reset of the window and, once the day's posts are used up, the reset of the day."""
    times = [retry_time(headers)]
    for whose in ("user", "app"):
        if headers.get(f"x-{whose}-limit-24hour-remaining") == "0":
            reset = headers.get(f"x-{whose}-limit-24hour-reset", "")
            times.append(datetime.fromtimestamp(int(reset), UTC) if reset.isdigit() else None)
    return max(filter(None, times), default=None)
