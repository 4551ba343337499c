"""X through tweepy: one client for timelines and posting, and the meaning of X's errors.

The client never waits for a rate limit by itself: tweepy repeats calls without a pause if the header with the time is
missing. Answers are plain documents, because tweepy's objects fail on fields whose form X has changed before.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import requests
import tweepy

from bot.adapters.http.session import TIMEOUT_S, NetworkSession, excerpt, reading_error, status_error
from bot.domain.errors import CredentialsError, NetworkUnavailableError, SettingsError
from bot.domain.networks import X

URL = "https://api.twitter.com"
"""Built into tweepy."""
SERVICE = X.label
POST_FIELDS = [
    "author_id",
    "created_at",
    "edit_history_tweet_ids",
    "entities",
    "lang",
    "note_tweet",
    "referenced_tweets",
]

Document = Mapping[str, Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class XKeys:
    """An app's keys and a user's, as X's developer portal shows them.

    Raises:
        SettingsError: the access token does not begin with the user's id.
    """

    consumer_key: str = field(repr=False)
    consumer_secret: str = field(repr=False)
    access_token: str = field(repr=False)
    access_token_secret: str = field(repr=False)

    def __post_init__(self) -> None:
        if not self.user_id.isdigit():
            raise SettingsError(
                "X's access token begins with the account's id and a hyphen; copy the complete token from the portal"
            )

    @property
    def user_id(self) -> str:
        """The account's id, which is the beginning of its access token."""
        return self.access_token.partition("-")[0]


def open_client(keys: XKeys, *, base_url: str = URL, timeout_s: float = TIMEOUT_S) -> tweepy.Client:
    """A client that signs for the account; nothing is sent yet."""
    client = tweepy.Client(
        consumer_key=keys.consumer_key,
        consumer_secret=keys.consumer_secret,
        access_token=keys.access_token,
        access_token_secret=keys.access_token_secret,
        return_type=dict,
        wait_on_rate_limit=False,
    )
    # On a stale connection a post that never left would be in doubt, so no connection is used twice.
    client.session = NetworkSession(timeout_s=timeout_s, swaps={URL: base_url.rstrip("/")}, keep_alive=False)
    return client


def read(call: Callable[..., Any], /, *arguments: Any, **options: Any) -> Document:
    """The answer of a call that changes nothing.

    Raises:
        NetworkError: X did not answer, or answered with an error.
    """
    try:
        return as_document(call(*arguments, user_auth=True, **options))
    except tweepy.HTTPException as error:
        response = error.response
        raise status_error(SERVICE, response.status_code, error_text(error), response.headers) from error
    except requests.RequestException as error:
        raise reading_error(SERVICE, error) from error
    except (AttributeError, TypeError, KeyError, ValueError) as error:
        # tweepy expects every answer to be an object and every reset to be a number, without checking.
        raise NetworkUnavailableError("the answer is not one of X's; the bot will ask again") from error


def as_document(answer: Any) -> Document:
    """The answer as an object.

    Raises:
        TypeError: it is not an object.
    """
    if not isinstance(answer, dict):
        raise TypeError(type(answer).__name__)
    return answer


def listed(page: Document) -> list[Any]:
    """The items of a page.

    Raises:
        NetworkUnavailableError: they are not a list.
    """
    items = page.get("data") or []
    if not isinstance(items, list):
        raise NetworkUnavailableError("the answer is not one of X's; the bot will ask again")
    return items


def next_token(page: Document) -> str | None:
    """The token of the page behind a page; None at the end."""
    meta = page.get("meta")
    token = meta.get("next_token") if isinstance(meta, dict) else None
    return token if isinstance(token, str) and token else None


def error_text(error: tweepy.HTTPException) -> str:
    """X's own description of an error."""
    return excerpt("; ".join(map(str, error.api_messages)) or str(error.response.text))


def who_am_i(client: tweepy.Client, keys: XKeys) -> str:
    """The account's name.

    Raises:
        NetworkError: X did not answer, or the keys do not belong to an account.
    """
    user = read(client.get_me).get("data")
    if not isinstance(user, dict) or user.get("id") != keys.user_id:
        raise CredentialsError("X does not know the account of the access token; make a new token in the portal")
    return f"@{user.get('username', user['id'])}"
