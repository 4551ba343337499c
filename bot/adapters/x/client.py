"""X through tweepy: one client for timelines and posting, and what X's errors mean.

The client never waits for a rate limit by itself: tweepy's own waiting hammers on when the header with the time is
missing. It answers with plain documents, because tweepy's objects choke on fields that X has changed before.
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
POST_FIELDS = ["author_id", "created_at", "entities", "lang", "note_tweet", "referenced_tweets"]

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
                "X's access token begins with the account's id and a hyphen; copy the whole of it from the portal"
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
    # A stale connection would turn a post that never left into one in doubt, so none is used twice.
    client.session = NetworkSession(timeout_s=timeout_s, swaps={URL: base_url.rstrip("/")}, keep_alive=False)
    return client


def read(call: Callable[..., Any], /, *arguments: Any, **options: Any) -> Document:
    """The answer of a call that changes nothing.

    Raises:
        NetworkError: X did not answer, or with an error.
    """
    try:
        return as_document(call(*arguments, user_auth=True, **options))
    except tweepy.HTTPException as error:
        response = error.response
        raise status_error(SERVICE, response.status_code, said_by(error), response.headers) from error
    except requests.RequestException as error:
        raise reading_error(SERVICE, error) from error
    except (AttributeError, TypeError, KeyError, ValueError) as error:
        # tweepy takes every answer for an object and every reset for a number, and falls over what is neither.
        raise NetworkUnavailableError(
            "X answered something that is not an answer of X's; it will be asked again"
        ) from error


def as_document(answer: Any) -> Document:
    """The answer, if it is an object.

    Raises:
        TypeError: it is something else.
    """
    if not isinstance(answer, dict):
        raise TypeError(type(answer).__name__)
    return answer


def said_by(error: tweepy.HTTPException) -> str:
    """What X says went wrong."""
    return excerpt("; ".join(map(str, error.api_messages)) or str(error.response.text))


def who_am_i(client: tweepy.Client, keys: XKeys) -> str:
    """The account's name.

    Raises:
        NetworkError: the keys are not those of an account.
    """
    user = read(client.get_me).get("data")
    if not isinstance(user, dict) or user.get("id") != keys.user_id:
        raise CredentialsError("X does not know the account of the access token; make a new token in the portal")
    return f"@{user.get('username', user['id'])}"
