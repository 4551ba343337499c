"""The bot's error tree.

    BotError
    ├── InputError                 a file or an option that the user gave
    │   ├── FeedError
    │   ├── CatalogError
    │   └── SettingsError
    ├── StoreError                 the database
    │   ├── UnknownCandidateError
    │   └── StaleVerdictError      a verdict on what has changed since it was looked at
    ├── ModelServerError            the model server
    │   ├── SongRefusedError       this song cannot be answered: asking again gives the same answer
    │   ├── SongFailedError        the server broke while it answered this song; others may do
    │   └── NoServiceError         nothing can be answered at the moment
    └── NetworkError               a service on the net: X, Spotify, Google Sheets and the like
        ├── NetworkUnavailableError       nothing was applied: away, broken, too slow; the same call may succeed later
        ├── RateLimitedError       nothing was applied: too many calls; `retry_at` says when there may be more
        ├── CredentialsError       nothing was applied: the account or what it may do; a person has to act
        ├── PostRefusedError       nothing was applied: this post, and it will be refused for ever
        └── DoubtfulError          a write may have been applied or not: look before it is sent again

The network's errors are the same for every service, because what the bot does next depends on them alone: wait, wait
until, tell the operator, drop the post, or look. Every message names the value at fault and the way out; the command
prints it as it is. No message holds a secret.
"""

from datetime import datetime


class BotError(Exception):
    """Base of everything that the bot raises on purpose."""


class InputError(BotError):
    """Something that the user gave cannot be used."""


class FeedError(InputError):
    """The feed is missing, unreadable or of another kind."""


class CatalogError(InputError):
    """The catalog is missing, unreadable or of another kind."""


class SettingsError(InputError):
    """A setting is missing or out of range; names it."""


class StoreError(BotError):
    """The bot's database cannot be used."""


class UnknownCandidateError(StoreError):
    """No candidate has this id."""


class StaleVerdictError(StoreError):
    """Somebody else has decided, or the post is out, since the curator looked."""


class ModelServerError(BotError):
    """No samples came back."""


class SongRefusedError(ModelServerError):
    """The request for a song is invalid, and will be for ever."""


class SongFailedError(ModelServerError):
    """The server failed on a song's request; the fault may be the song's or the server's."""


class NoServiceError(ModelServerError):
    """The server is away, full, too slow, or does not serve the model that was asked for."""


class NetworkError(BotError):
    """A service on the net did not do what it was asked to.

    Args:
        message: which service, what it said, and the way out.
        retry_at: aware time before which another call is no use, where the service said so.
    """

    def __init__(self, message: str, *, retry_at: datetime | None = None) -> None:
        super().__init__(message)
        self.retry_at = retry_at


class NetworkUnavailableError(NetworkError):
    """The service is away, broken or too slow, and nothing was applied: the same call may succeed later."""


class RateLimitedError(NetworkError):
    """Too many calls; nothing was applied."""


class CredentialsError(NetworkError):
    """The service does not know the account, or the account may not do this; a person has to act."""


class PostRefusedError(NetworkError):
    """The service refuses this post and always will; nothing was applied."""


class DoubtfulError(NetworkError):
    """A write was sent and no answer says whether it was applied."""
