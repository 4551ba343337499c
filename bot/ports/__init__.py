"""Ports: interfaces of everything that the services need from outside."""

from __future__ import annotations

from bot.ports.accepted_posts import AcceptedPosts
from bot.ports.board import (
    Board,
    BoardChanges,
    BoardEdit,
    BoardEdited,
    BoardRow,
    BoardStore,
    Origin,
    TabRecord,
    TextRule,
)
from bot.ports.commentary import CommentaryService, SongSamples, WrittenSample
from bot.ports.curation import Correction, CuratorDesk, LabelRow, Progress, SongDesk, SongLabel
from bot.ports.desk import (
    CUT_OFF,
    NO_FILTER,
    Change,
    Desk,
    DeskRow,
    Order,
    PostPage,
    PostRow,
    SongFilter,
    SongPage,
    SongQuery,
    SongRows,
)
from bot.ports.evaluations import Evaluation, EvaluationEvents, EvaluationStore
from bot.ports.feed import FeedPage, Source
from bot.ports.interpolation import InterpolationPoint, Interpolator
from bot.ports.lookups import (
    ArtistEntry,
    CachedGenres,
    GenreCache,
    GenreLookup,
    LookupService,
    PostHistory,
    Screen,
    SongFacts,
    SongHistory,
    SongHit,
    SongLookup,
    SongResolver,
)
from bot.ports.model_server import LiveVersion, ModelServer
from bot.ports.odd_items import OddItems
from bot.ports.outputs import Outbox, Publisher
from bot.ports.reports import ExperimentReport, ExperimentReports, ReportedArm, UnreadableReport
from bot.ports.restored import FoundPost, Restored, RestoreRecord, RestoreState, UnsentText
from bot.ports.screening import Copies, WordList
from bot.ports.store import Pause, PendingSourcePost, Queue, QueueRow, Store, StoreState, VersionTally

__all__ = [
    "CUT_OFF",
    "NO_FILTER",
    "AcceptedPosts",
    "ArtistEntry",
    "Board",
    "BoardChanges",
    "BoardEdit",
    "BoardEdited",
    "BoardRow",
    "BoardStore",
    "CachedGenres",
    "Change",
    "CommentaryService",
    "Copies",
    "Correction",
    "CuratorDesk",
    "Desk",
    "DeskRow",
    "Evaluation",
    "EvaluationEvents",
    "EvaluationStore",
    "ExperimentReport",
    "ExperimentReports",
    "FeedPage",
    "FoundPost",
    "GenreCache",
    "GenreLookup",
    "InterpolationPoint",
    "Interpolator",
    "LabelRow",
    "LiveVersion",
    "LookupService",
    "ModelServer",
    "OddItems",
    "Order",
    "Origin",
    "Outbox",
    "Pause",
    "PendingSourcePost",
    "PostHistory",
    "PostPage",
    "PostRow",
    "Progress",
    "Publisher",
    "Queue",
    "QueueRow",
    "ReportedArm",
    "RestoreRecord",
    "RestoreState",
    "Restored",
    "Screen",
    "SongDesk",
    "SongFacts",
    "SongFilter",
    "SongHistory",
    "SongHit",
    "SongLabel",
    "SongLookup",
    "SongPage",
    "SongQuery",
    "SongResolver",
    "SongRows",
    "SongSamples",
    "Source",
    "Store",
    "StoreState",
    "TabRecord",
    "TextRule",
    "UnreadableReport",
    "UnsentText",
    "VersionTally",
    "WordList",
    "WrittenSample",
]
