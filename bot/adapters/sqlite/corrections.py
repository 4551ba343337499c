"""Corrections of songs in SQLite: what is not a song, what was changed, and what a curator adds."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterator, Mapping, Sequence

from typing_extensions import override

from bot.adapters.sqlite.file import SqliteFile, to_json
from bot.adapters.sqlite.queue import record_elsewhere
from bot.adapters.sqlite.rows import SELECT_ROWS, insert_candidate, queue_row
from bot.adapters.sqlite.schema import wrapped_errors
from bot.adapters.sqlite.song_search import parse_place
from bot.domain.candidates import Candidate, CandidateStatus, Decision, Verdict
from bot.domain.errors import StaleVerdictError, UnknownCandidateError
from bot.domain.source_posts import SourcePost, SourcePostStatus
from bot.ports import Correction, LabelRow, QueueRow, SongDesk, SongLabel

STUDIO = "studio"
"""Source of the songs that curators add."""
_SONG = SELECT_ROWS + "WHERE candidate.tweet_place = ? AND candidate.song_number = ? ORDER BY candidate.number"
_STATES = """
SELECT candidate.id, candidate.tweet_id, candidate.status, COALESCE(candidate.verdict_id, 0) AS verdict_id,
       candidate.withdrawn, COALESCE(post.status IN ('sending', 'sent', 'unknown'), 0) AS is_out
FROM candidate LEFT JOIN post ON post.candidate_id = candidate.id
WHERE candidate.tweet_place = ? AND candidate.song_number = ? ORDER BY candidate.number
"""
_LABELS = """
SELECT song_label.*, song.song, tweet.text FROM song_label
JOIN song ON song.tweet_id = song_label.tweet_id AND song.number = song_label.song_number
JOIN tweet ON tweet.id = song_label.tweet_id
WHERE undone_at IS NULL ORDER BY song_label.place
"""


class SqliteSongDesk(SqliteFile, SongDesk):
    """Part of the desk for corrections of songs."""

    @override
    def song(self, place: str) -> Sequence[QueueRow]:
        rows = self._read(_SONG, parse_place(place))
        if not rows:
            raise _unknown(place)
        with wrapped_errors(self._path):
            return [queue_row(row) for row in rows]

    @override
    def next_number(self, source_post_id: str) -> int:
        return _next_number(self._connection, source_post_id)

    @override
    def correct(self, correction: Correction) -> None:
        now = self._now()
        place, number = parse_place(correction.place)
        with self._writing() as connection:
            rows = connection.execute(_STATES, (place, number)).fetchall()
            if not rows:
                raise _unknown(correction.place)
            _check_seen(rows, correction.seen)
            for row in rows:
                _withdraw(connection, row, correction.label, correction.who, now)
            if correction.candidates:
                _add_changed(connection, correction.candidates, now)
            _insert_label(connection, correction, rows[0]["tweet_id"], number, now)

    @override
    def restore(self, place: str, who: str) -> None:
        now = self._now()
        spot, number = parse_place(place)
        with self._writing() as connection:
            rows = connection.execute(_STATES, (spot, number)).fetchall()
            label = (
                rows
                and connection.execute(
                    "SELECT place, label, new_number FROM song_label WHERE tweet_id = ? AND song_number = ?"
                    " AND undone_at IS NULL ORDER BY place DESC",
                    (rows[0]["tweet_id"], number),
                ).fetchone()
            )
            if not label:
                raise StaleVerdictError(f"the song at {place} was not corrected, or that is undone; reload the page")
            if label["new_number"] is not None:
                changed = connection.execute(_STATES, (spot, label["new_number"])).fetchall()
                if any(row["is_out"] for row in changed):
                    raise StaleVerdictError("the changed song is posted, or being posted: the change stays")
                for row in changed:
                    _withdraw(connection, row, SongLabel.CHANGED, who, now)
            for row in rows:
                _bring_back(connection, row, label["label"], who, now)
            connection.execute("UPDATE song_label SET undone_at = ? WHERE place = ?", (now, label["place"]))

    @override
    def add_song(self, source_post: SourcePost, candidates: Sequence[Candidate]) -> bool:
        now = self._now()
        with self._writing() as connection:
            added = connection.execute(
                "INSERT INTO tweet (id, source, author, created_at, text, read_at, status, kind, lang, url, handled_at)"
                " VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?) ON CONFLICT (id) DO NOTHING",
                (
                    source_post.id,
                    STUDIO,
                    source_post.author,
                    source_post.created_at,
                    source_post.text,
                    now,
                    SourcePostStatus.DONE,
                    source_post.kind,
                    source_post.lang,
                    source_post.url,
                    now,
                ),
            )
            if added.rowcount == 1:
                for candidate in candidates:
                    insert_candidate(connection, candidate, now)
        return added.rowcount == 1

    @override
    def labels(self) -> Iterator[LabelRow]:
        for row in self._read(_LABELS):
            song = json.loads(row["song"])
            yield LabelRow(
                source_post_id=row["tweet_id"],
                text=row["text"],
                artists=tuple(song["artists"]),
                title=song["title"],
                label=SongLabel(row["label"]),
                right_artist=row["artist"],
                right_title=row["title"],
                right_genres=tuple(json.loads(row["genres"])),
                who=row["who"],
                labelled_at=row["labelled_at"],
            )


def _unknown(place: str) -> UnknownCandidateError:
    return UnknownCandidateError(f"no song is at the place {place} of the queue; reload the page")


def _check_seen(rows: Sequence[sqlite3.Row], seen: Mapping[str, int]) -> None:
    """Refuse a correction of a song that changed; a page shows those of its candidates that wait, and maybe others."""
    states = {row["id"]: row["verdict_id"] for row in rows}
    waiting = {row["id"] for row in rows if row["status"] == CandidateStatus.WAITING}
    if any(states.get(name) != number for name, number in seen.items()) or not waiting <= set(seen) or not seen:
        raise StaleVerdictError("somebody else has decided on this song: nothing was changed; reload the page")


def _next_number(connection: sqlite3.Connection, source_post_id: str) -> int:
    found = connection.execute(
        "SELECT COALESCE(MAX(number), 0) + 1 FROM song WHERE tweet_id = ?", (source_post_id,)
    ).fetchone()
    return int(found[0])


def _withdraw(connection: sqlite3.Connection, row: sqlite3.Row, label: str, who: str, now: str) -> None:
    """Withdraw a candidate; one that is or may be posted stays."""
    if row["is_out"]:
        return
    if row["status"] != CandidateStatus.REJECTED:
        record_elsewhere(
            connection, Verdict(candidate_id=row["id"], decision=Decision.REJECT, who=who, reason=label), now
        )
    connection.execute("UPDATE candidate SET withdrawn = ? WHERE id = ?", (label, row["id"]))


def _bring_back(connection: sqlite3.Connection, row: sqlite3.Row, label: str, who: str, now: str) -> None:
    """Let a withdrawn candidate count again: it waits, unless a curator had rejected it before."""
    if row["withdrawn"] != label:
        return
    reason = connection.execute("SELECT reason FROM verdict WHERE id = ?", (row["verdict_id"],)).fetchone()
    if reason is not None and reason["reason"] == label:
        record_elsewhere(connection, Verdict(candidate_id=row["id"], decision=Decision.UNDO, who=who), now)
    connection.execute("UPDATE candidate SET withdrawn = '' WHERE id = ?", (row["id"],))


def _add_changed(connection: sqlite3.Connection, candidates: Sequence[Candidate], now: str) -> None:
    report = candidates[0].report
    if report.number != _next_number(connection, report.source_post_id):
        raise StaleVerdictError("somebody else has changed a song of this post: nothing was changed; reload the page")
    for candidate in candidates:
        insert_candidate(connection, candidate, now)


def _insert_label(connection: sqlite3.Connection, correction: Correction, post_id: str, number: int, now: str) -> None:
    report = correction.candidates[0].report if correction.candidates else None
    connection.execute(
        "INSERT INTO song_label (tweet_id, song_number, label, artist, title, genres, new_number, who, labelled_at)"
        " VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)",
        (
            post_id,
            number,
            correction.label,
            report.artist if report is not None else "",
            report.song.title if report is not None else "",
            to_json(report.genres if report is not None else ()),
            report.number if report is not None else None,
            correction.who,
            now,
        ),
    )
