"""The curator's desk in SQLite: pages of songs and of posts, and the verdicts given on them."""

from __future__ import annotations

import sqlite3
from collections.abc import Mapping, Sequence

from typing_extensions import override

from bot.adapters.sqlite.accepted_posts import SqliteAcceptedPosts
from bot.adapters.sqlite.corrections import SqliteSongDesk
from bot.adapters.sqlite.curators import SqliteCuratorDesk
from bot.adapters.sqlite.queue import OUT, record_elsewhere
from bot.adapters.sqlite.rows import (
    POST_JOINS,
    SELECT_ROW,
    SELECT_ROWS,
    SONG_COLUMNS,
    post_of,
    queue_row,
    report_of,
    source_post_of,
)
from bot.adapters.sqlite.schema import wrapped_errors
from bot.adapters.sqlite.song_search import condition_of, find_places
from bot.adapters.sqlite.tallies import version_tallies
from bot.domain.candidates import CandidateStatus
from bot.domain.errors import StaleVerdictError, UnknownCandidateError
from bot.domain.outgoing_posts import OutgoingPostStatus
from bot.ports import (
    Change,
    Desk,
    DeskRow,
    PostPage,
    PostRow,
    SongPage,
    SongQuery,
    SongRows,
    VersionTally,
)

_SONGS = (
    SELECT_ROWS
    # SQLite uses an index for the source posts, and none for pairs.
    + "WHERE candidate.tweet_place IN ({source_posts})"
    + " AND (candidate.tweet_place, candidate.song_number) IN (VALUES {places}) AND {condition}"
    + " ORDER BY candidate.number"
)
_STATE = (
    "SELECT COALESCE(candidate.verdict_id, 0) AS verdict_id, post.status AS post"
    " FROM candidate LEFT JOIN post ON post.candidate_id = candidate.id WHERE candidate.id = ?"
)
_TOLD_WITH = """
SELECT other.id FROM candidate AS own JOIN candidate AS other ON other.tweet_place = own.tweet_place
AND other.song_number = own.song_number AND other.experiment = own.experiment
WHERE own.id = ? AND own.experiment <> '' AND other.status <> 'waiting' ORDER BY other.number
"""
_POSTS = f"""
SELECT post.*, candidate.verdict_id, {SONG_COLUMNS} FROM {POST_JOINS}
WHERE {{condition}} post.place < :before AND post.place > :after ORDER BY post.place {{order}} LIMIT :limit
"""  # noqa: S608 -- constants


class SqliteDesk(SqliteSongDesk, SqliteCuratorDesk, SqliteAcceptedPosts, Desk):
    """Desk on the bot's database."""

    @override
    def counts(self) -> Mapping[CandidateStatus, int]:
        rows = self._read("SELECT status, SUM(count) FROM candidate_tally GROUP BY status")
        counts = dict(map(tuple, rows))
        return {status: counts.get(status, 0) for status in CandidateStatus}

    @override
    def songs(self, query: SongQuery) -> SongPage:
        places, first, total = find_places(self._read, query)
        condition, values = condition_of(query)
        source_posts = ", ".join(str(place) for place, _ in places) or "0"
        shown = ", ".join(f"({place}, {number})" for place, number in places) or "(0, 0)"
        found: dict[tuple[int, int], list[DeskRow]] = {place: [] for place in places}
        statement = _SONGS.format(source_posts=source_posts, places=shown, condition=condition)
        for row in self._read(statement, values):
            found[row["tweet_place"], row["song_number"]].append(self._desk_row(row))
        songs = tuple(
            SongRows(place=f"{place}.{number}", rows=tuple(rows)) for (place, number), rows in found.items() if rows
        )
        return SongPage(songs=songs, first=first, total=total)

    @override
    def rows(self, candidate_ids: Sequence[str]) -> list[DeskRow]:
        found = {name: self._read(SELECT_ROW, (name,)) for name in candidate_ids}
        _check_known([name for name, rows in found.items() if not rows])
        return [self._desk_row(found[name][0]) for name in candidate_ids]

    @override
    def told_with(self, candidate_ids: Sequence[str]) -> list[str]:
        found = [row["id"] for name in candidate_ids for row in self._read(_TOLD_WITH, (name,))]
        return [name for name in dict.fromkeys(found) if name not in candidate_ids]

    @override
    def change(self, changes: Sequence[Change]) -> None:
        now = self._now()
        unknown: list[str] = []
        stale: list[str] = []
        with self._writing() as connection:
            for change in changes:
                name = change.verdict.candidate_id
                row = connection.execute(_STATE, (name,)).fetchone()
                if row is None:
                    unknown.append(name)
                elif row["post"] in OUT:
                    stale.append(f"{name} is posted, or being posted")
                elif row["verdict_id"] != change.seen:
                    stale.append(f"somebody else has decided on {name}")
                else:
                    record_elsewhere(connection, change.verdict, now)
            # Raised within the transaction, which rolls the other verdicts back.
            _check_known(unknown)
            if stale:
                raise StaleVerdictError(f"{'; '.join(stale)}: nothing was changed; reload the page")

    @override
    def posts(
        self,
        *,
        status: OutgoingPostStatus | None = None,
        without: OutgoingPostStatus | None = None,
        before: int | None = None,
        after: int | None = None,
        limit: int = 40,
    ) -> PostPage:
        values = {
            "status": status,
            "without": without or "",
            "before": before or 2**62,
            "after": after or 0,
            "limit": limit + 1,
        }
        # Of any status but one: a condition on each row, since no index serves it.
        condition = "post.status <> :without AND" if status is None else "post.status = :status AND"
        statement = _POSTS.format(condition=condition, order="DESC" if after is None else "ASC")
        found = self._read(statement, values)
        rows, others = found[:limit], len(found) > limit
        counts = dict(map(tuple, self._read("SELECT status, count FROM post_tally")))
        return PostPage(
            rows=tuple(map(_post_row, rows if after is None else reversed(rows))),
            more=others if after is None else True,
            newer=before is not None if after is None else others,
            counts={status: counts.get(status, 0) for status in OutgoingPostStatus},
        )

    @override
    def versions(self) -> Sequence[VersionTally]:
        tallies = version_tallies(self._read)
        # Versions are numbers in the registry, and arbitrary names elsewhere.
        tallies.sort(key=lambda tally: (tally.model_version.zfill(12), tally.model_version), reverse=True)
        tallies.sort(key=lambda tally: tally.model)
        return tallies

    def _desk_row(self, row: sqlite3.Row) -> DeskRow:
        posts = self._read("SELECT status FROM post WHERE candidate_id = ?", (row["id"],))
        with wrapped_errors(self._path):
            return DeskRow(
                row=queue_row(row),
                verdict_id=row["verdict_id"] or 0,
                post=OutgoingPostStatus(posts[0]["status"]) if posts else None,
            )


def _check_known(unknown: Sequence[str]) -> None:
    if unknown:
        raise UnknownCandidateError(f"no candidate has the id {', '.join(unknown)}; nothing was changed")


def _post_row(row: sqlite3.Row) -> PostRow:
    return PostRow(
        place=row["place"],
        post=post_of(row),
        report=report_of(row),
        source_post=source_post_of(row),
        verdict_id=row["verdict_id"] or 0,
        created_at=row["created_at"],
        sent_at=row["sent_at"],
    )
