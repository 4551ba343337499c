"""A board in memory, a clock for it, its passes, and candidates to put on it."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Sequence

from bot.adapters.files.word_lists import SafetypeWords
from bot.adapters.sqlite.store import SqliteStore
from bot.domain.candidates import Candidate
from bot.domain.errors import NetworkError
from bot.domain.post_form import PostForm
from bot.domain.songs.song import Song, SongReport
from bot.domain.source_posts import SourcePost, SourcePostStatus
from bot.ports import Board, BoardEdit, BoardEdited, BoardRow, FeedPage, Origin, QueueRow
from bot.services.board_sync import BoardSync
from bot.services.post_rules import PostRules
from bot.services.schedule import Clock, SettleTimer
from bot.services.screening import TextScreen
from bot.services.summary import Summary
from handlers.contract import Sample

WORDS = SafetypeWords(["unsayable"])
RULES = PostRules(form=PostForm(), words=WORDS, screen=TextScreen(words=WORDS))
Run = Callable[[], Summary]
"""One pass of the board."""


def passes(board: Board, store: SqliteStore, clock: Clock) -> Run:
    """Passes of one board sync; writes in doubt settle within a minute."""
    board_sync = BoardSync(board=board, store=store, rules=RULES, settle_timer=SettleTimer(clock, 60))

    def once() -> Summary:
        summary = Summary()
        board_sync.run(summary, threading.Event())
        return summary

    return once


class TableBoard(Board):
    """A table in memory; `faults` are raised before or after the next writes are applied.

    `meanwhile` is called once between the look and the write of an edit: a person is quick.
    """

    def __init__(self, *, shows_posts: bool = False) -> None:
        self._shows_posts = shows_posts
        self.table: list[BoardRow] = []
        self.notes: dict[str, str] = {}
        self.posts: dict[str, str] = {}
        self.origins: dict[str, Origin] = {}
        self.faults: list[tuple[NetworkError, bool]] = []
        self.appends = 0
        self.edits: list[BoardEdit] = []
        self.meanwhile: Callable[[], None] | None = None

    @property
    def name(self) -> str:
        return "table"

    @property
    def shows_posts(self) -> bool:
        return self._shows_posts

    def prepare(self) -> None:
        pass

    def ids(self) -> set[str]:
        return {row.candidate_id for row in self.table}

    def append(self, rows: Sequence[QueueRow]) -> None:
        self.appends += 1
        error, applied = self.faults.pop(0) if self.faults else (None, True)
        if applied:
            self.origins |= {row.candidate.id: Origin.of(row.candidate) for row in rows}
            self.table += [
                BoardRow(candidate_id=row.candidate.id, status="waiting", text=row.candidate.sample.text)
                for row in rows
            ]
        if error is not None:
            raise error

    def rows(self) -> Iterator[BoardRow]:
        yield from self.table

    def edit(self, edits: Sequence[BoardEdit]) -> BoardEdited:
        self.edits += edits
        error, applied = self.faults.pop(0) if self.faults else (None, True)
        looked = {row.candidate_id: place for place, row in enumerate(self.table)}
        gone = frozenset(edit.candidate_id for edit in edits if edit.candidate_id not in looked)
        if self.meanwhile is not None:
            self.meanwhile()
            self.meanwhile = None
        done = [
            self._write(edit, looked[edit.candidate_id]) for edit in edits if edit.candidate_id in looked and applied
        ]
        if error is not None:
            raise error
        written = frozenset(row.candidate_id for edit, row in done if row is not None and _is_of(edit, row))
        return BoardEdited(
            written=written,
            left=frozenset(edit.candidate_id for edit in edits) - written - gone,
            gone=gone,
            misplaced=tuple(row for edit, row in done if row is not None and not _is_of(edit, row)),
            noted=frozenset(
                self.table[place].candidate_id
                for name, place in looked.items()
                if self.table[place].candidate_id != name
            ),
        )

    def _write(self, edit: BoardEdit, place: int) -> tuple[BoardEdit, BoardRow | None]:
        row = self.table[place]
        if edit.note is not None:
            self.notes[row.candidate_id] = edit.note
        if edit.post is not None:
            self.posts[row.candidate_id] = edit.post
        if edit.origin is not None:
            self.origins[row.candidate_id] = edit.origin
        if row.status != edit.seen.status:
            return edit, None
        text = row.text if edit.text is None else edit.text
        self.table[place] = BoardRow(candidate_id=row.candidate_id, status=edit.status, text=text, who=edit.who)
        return edit, self.table[place]

    def decide(self, candidate_id: str, *, status: str, text: str | None = None, who: str = "ana") -> None:
        (place,) = (place for place, row in enumerate(self.table) if row.candidate_id == candidate_id)
        row = self.table[place]
        self.table[place] = BoardRow(
            candidate_id=candidate_id, status=status, text=row.text if text is None else text, who=who
        )


def _is_of(edit: BoardEdit, row: BoardRow) -> bool:
    return edit.candidate_id == row.candidate_id


class PatientClock(Clock):
    """Clock whose seconds the test sets."""

    def __init__(self) -> None:
        self.seconds = 0.0

    def monotonic(self) -> float:
        return self.seconds


def fill(store: SqliteStore, count: int, *, source_post: str = "1") -> list[str]:
    """Add waiting candidates of one source post; return their ids."""
    store.add_page(
        "feed", FeedPage(source_posts=(SourcePost(id=source_post, text="Moss by Ona"),), cursor="c", more=False)
    )
    song = Song(artists=("Ona",), title="Moss", confidence=1.0)
    report = SongReport(source_post_id=source_post, number=1, song=song, artist="Ona", genres=())
    candidates = [
        Candidate(
            report=report,
            number=number,
            sample=Sample(text=f"Lamp {number}.", token_count=4, log_prob=-2.0, topics=(1.0,), seed=1),
            model="m",
            model_version="1",
            archive_sha256="",
        )
        for number in range(1, count + 1)
    ]
    store.finish(source_post, SourcePostStatus.DONE, candidates=candidates)
    return [candidate.id for candidate in candidates]
