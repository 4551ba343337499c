"""The bot's error tree.

    BotError
    ├── InputError                 a file or an option that the user gave
    │   ├── FeedError
    │   ├── CatalogError
    │   └── SettingsError
    ├── UnexpectedError            a fault of the bot's own, met on one item or in one part
    ├── StoreError                 the database
    │   ├── UnknownCandidateError
    │   └── StaleVerdictError      the candidate has changed since the curator saw it
    ├── ModelServerError           the model server
    │   ├── SongRefusedError       the request for this song is invalid: a retry gives the same answer
    │   ├── SongFailedError        the server failed on this song; other songs may succeed
    │   └── NoServiceError         no request can be answered at the moment
    └── NetworkError               an external service: X, Spotify, Google Sheets and others
        ├── NetworkUnavailableError   nothing was applied: unreachable, broken or too slow; a retry may succeed
        │   └── OddAnswerError        one answer is odd; the service works
        ├── RateLimitedError          nothing was applied: too many calls; `retry_at` is the time of the next one
        ├── CredentialsError          nothing was applied: the account is unknown, locked or out of credit, or lacks a
        │                             permission; a person has to act
        ├── PostRefusedError          nothing was applied: the answer names this post, which is refused permanently
        └── DoubtfulError             a write may or may not have been applied: look it up before any retry

The network errors are the same for every service, because the bot's reaction depends on the class alone: back off, wait
until `retry_at`, call the operator, drop the post, or look it up. Every message names the value at fault and the way
out; the command prints it unchanged. No message contains a secret.
"""

import traceback
from datetime import datetime
from typing import Self

from bot.domain.odd_items import OddItem


class BotError(Exception):
    """Base class of the bot's errors."""


class InputError(BotError):
    """Invalid input from the user."""


class FeedError(InputError):
    """The feed is missing, unreadable or in another format."""


class CatalogError(InputError):
    """The catalog is missing, unreadable or in another format."""


class SettingsError(InputError):
    """A setting is missing or out of range; the message names it."""


class StoreError(BotError):
    """The bot's database cannot be used."""


class UnexpectedError(BotError):
    """A fault of the bot's own: it costs one item or one attempt, and never the process."""

    @classmethod
    def of(cls, error: Exception) -> Self:
        """Describe a fault by its place in the code, so that one line is enough for a report."""
        place = traceback.extract_tb(error.__traceback__)[-1:]
        where = f" at {place[0].filename.rpartition('/')[2]}:{place[0].lineno}" if place else ""
        return cls(f"unexpected {type(error).__name__}{where}: {error}; please report it")


class UnknownCandidateError(StoreError):
    """No candidate has this id."""


class StaleVerdictError(StoreError):
    """The candidate got another verdict, or its post was sent, after the curator saw it."""


class ModelServerError(BotError):
    """The model server returned no samples."""


class SongRefusedError(ModelServerError):
    """The request for a song is invalid; a retry gives the same answer."""


class SongFailedError(ModelServerError):
    """The server failed on a song's request; the cause may be the song or the server."""


class NoServiceError(ModelServerError):
    """The server is unreachable, overloaded or too slow, or does not serve the requested model."""


class NetworkError(BotError):
    """An external service failed or refused a call.

    Args:
        message: the service, its answer, and the way out.
        retry_at: aware time before which a retry is useless, if the service gave one.
    """

    def __init__(self, message: str, *, retry_at: datetime | None = None) -> None:
        super().__init__(message)
        self.retry_at = retry_at


class NetworkUnavailableError(NetworkError):
    """The service is unreachable, broken or too slow; nothing was applied, and the same call may succeed later.

    Args:
        message: as for `NetworkError`.
        retry_at: as for `NetworkError`.
        refuses_rows: whether a table refuses rows as they are, such as one with a cell that is too long; others may go.
    """

    def __init__(self, message: str, *, retry_at: datetime | None = None, refuses_rows: bool = False) -> None:
        super().__init__(message, retry_at=retry_at)
        self.refuses_rows = refuses_rows


class OddAnswerError(NetworkUnavailableError):
    """One answer of a service cannot be read, while the service works: it is set aside.

    Args:
        message: the service, what was asked, and the reason.
        service: name of the service.
        item: the answer, for the record.
    """

    def __init__(self, message: str, *, service: str, item: OddItem) -> None:
        super().__init__(message)
        self.service = service
        self.item = item


class RateLimitedError(NetworkError):
    """The rate limit of the service is exceeded; nothing was applied."""


class CredentialsError(NetworkError):
    """The account is unknown, locked or out of credit, or lacks a permission; a person has to act."""


class PostRefusedError(NetworkError):
    """The service refuses this post permanently, in words that name the post; nothing was applied."""


class DoubtfulError(NetworkError):
    """A write was sent, and whether it was applied is unknown."""
