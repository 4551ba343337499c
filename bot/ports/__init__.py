"""What the service needs from outside, and nothing about how it is got."""

from __future__ import annotations

from bot.ports.commentary import CommentaryService
from bot.ports.feed import FeedPage, Source
from bot.ports.lookups import (
    ArtistEntry,
    CachedGenres,
    GenreCache,
    GenreLookup,
    PostHistory,
    Screen,
    SongFacts,
    SongHistory,
    SongHit,
    SongLookup,
    SongResolver,
)
from bot.ports.outlets import Board, BoardChanges, BoardEdit, BoardEdited, BoardRow, BoardStore, Outbox, Publisher
from bot.ports.store import Pause, PendingTweet, Queue, QueueRow, Store, StoreState, VariantTally

__all__ = [
    "ArtistEntry",
    "Board",
    "BoardChanges",
    "BoardEdit",
    "BoardEdited",
    "BoardRow",
    "BoardStore",
    "CachedGenres",
    "CommentaryService",
    "FeedPage",
    "GenreCache",
    "GenreLookup",
    "Outbox",
    "Pause",
    "PendingTweet",
    "PostHistory",
    "Publisher",
    "Queue",
    "QueueRow",
    "Screen",
    "SongFacts",
    "SongHistory",
    "SongHit",
    "SongLookup",
    "SongResolver",
    "Source",
    "Store",
    "StoreState",
    "VariantTally",
]
