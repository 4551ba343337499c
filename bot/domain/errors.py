"""The bot's error tree.

    BotError
    ├── InputError                 a file or an option that the user gave
    │   ├── FeedError
    │   └── CatalogError
    ├── StoreError                 the database
    │   └── UnknownCandidateError
    └── CommentaryError            the model server
        ├── SongRefusedError       this song cannot be answered: asking again gives the same answer
        ├── SongFailedError        the server broke while it answered this song; others may do
        └── NoServiceError         nothing can be answered at the moment

Every message names the value at fault and the way out; the command prints it as it is.
"""


class BotError(Exception):
    """Base of everything that the bot raises on purpose."""


class InputError(BotError):
    """Something that the user gave cannot be used."""


class FeedError(InputError):
    """The feed is missing, unreadable or of another kind."""


class CatalogError(InputError):
    """The catalog is missing, unreadable or of another kind."""


class StoreError(BotError):
    """The bot's database cannot be used."""


class UnknownCandidateError(StoreError):
    """No candidate has this id."""


class CommentaryError(BotError):
    """No samples came back."""


class SongRefusedError(CommentaryError):
    """The request for a song is invalid, and will be for ever."""


class SongFailedError(CommentaryError):
    """The server failed on a song's request; the fault may be the song's or the server's."""


class NoServiceError(CommentaryError):
    """The server is away, full, too slow, or does not serve the model that was asked for."""
