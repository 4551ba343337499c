"""Output of the commands: the queue, the bot's state, the outcome of a pass."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from datetime import datetime
from enum import StrEnum
from typing import TypeVar

from rich.table import Table
from rich.text import Text

from bot.domain.candidates import BLIND, Candidate, CandidateStatus
from bot.domain.check import CheckResult, CheckStatus
from bot.domain.rates import Rate
from bot.domain.songs.song import UNKNOWN_GENRE, SongReport
from bot.domain.spend import spend
from bot.ports import Pause, QueueRow, Restored, StoreState
from bot.services.post_rules import PostRules
from bot.services.post_waits import PostWait, WaitReport
from bot.services.summary import Summary
from foundation.commands import command

_Status = TypeVar("_Status", bound=StrEnum)

_STYLES = {CandidateStatus.WAITING: "yellow", CandidateStatus.ACCEPTED: "green", CandidateStatus.REJECTED: "red"}
_SHOWN_GENRES = 3
_LINE_BREAKS = re.compile(r"[ \t]*[\r\n][ \t\r\n]*")
_SHOWN_WAITS = 3


def queue_table(
    rows: Iterable[QueueRow],
    *,
    title: str = "Queue",
    song_in_each: bool = False,
    objection_to: Callable[[QueueRow], str] = lambda _: "",
    waits: Mapping[str, str] | None = None,
) -> Table:
    """Candidates as a table. Texts from outside are added as plain text, so that brackets in them are not markup.

    Args:
        rows: candidates.
        title: title of the table.
        song_in_each: whether each candidate has its song and genres, for a program; otherwise a song's first one has.
        objection_to: reason why a candidate cannot be accepted as it is; it is shown of those that wait.
        waits: what accepted candidates wait for, by id.
    """
    table = Table(title=title, title_justify="left", expand=True, pad_edge=False)
    table.add_column("id", overflow="fold", no_wrap=False, max_width=23)
    table.add_column("song", ratio=2)
    table.add_column("genres", ratio=2)
    table.add_column("candidate", ratio=5)
    table.add_column("version", no_wrap=True)
    table.add_column("status", no_wrap=True)
    previous = None
    for row in rows:
        report = row.candidate.report
        song = (report.source_post_id, report.number)
        first = song_in_each or song != previous
        if song != previous and previous is not None:
            table.add_section()
        previous = song
        table.add_row(
            visible(row.candidate.id),
            _song(row) if first else "",
            Text(_genres(report)) if first else "",
            Text.assemble(
                visible(row.text),
                (" (cut off)" if row.is_cut_off else "", "dim"),
                _objection(row, objection_to),
                _line_below((waits or {}).get(row.candidate.id, ""), style="cyan"),
            ),
            Text("") if row.candidate.is_blind else visible(f"{row.candidate.model}/{row.candidate.model_version}"),
            Text(row.candidate.status, style=_STYLES[row.candidate.status]),
        )
    return table


def _objection(row: QueueRow, objection_to: Callable[[QueueRow], str]) -> Text:
    reason = objection_to(row) if row.candidate.status is CandidateStatus.WAITING else ""
    return _line_below(reason, style="red")


def _line_below(text: str, *, style: str) -> Text:
    return Text(f"\n{visible(text)}" if text else "", style=style)


def row_lines(row: QueueRow, rules: PostRules, *, wait: str = "") -> list[Text]:
    """A candidate in lines: its song, its post as it will be sent, and what a curator should know of that."""
    candidate, preview = row.candidate, rules.preview(row)
    decided = f" by {row.verdict.who}" if row.verdict is not None else ""
    flags = ", ".join(rules.flags(row))
    objection = rules.objection_to(row)
    version = _version(candidate)
    length = f"{preview.length:,} of {preview.max_length:,} characters of {preview.network.label}"
    return [
        Text.assemble((visible(candidate.id).plain, "bold"), " ", candidate.status.value, visible(decided)),
        visible(f"song: {candidate.report.artist} - {candidate.report.song.title}"),
        visible(f"genres: {candidate.report.genre_line}"),
        *([visible(f"version: {version}")] if version else []),
        *(visible(f"post: {line}" if first else line) for first, line in _numbered(preview.text)),
        visible(f"length: {length}"),
        *([visible(f"flags: {flags}")] if flags else []),
        *([Text(f"not accepted as it is: {visible(objection)}", style="red")] if objection else []),
        *([Text(f"not sent yet: {visible(wait)}", style="cyan")] if wait else []),
    ]


def _version(candidate: Candidate) -> str:
    """The version that wrote a decided candidate; in words while it is blind, and empty while it waits."""
    if candidate.is_blind:
        return BLIND
    return "" if candidate.status is CandidateStatus.WAITING else f"{candidate.model}/{candidate.model_version}"


def wait_line(post: PostWait) -> str:
    """Line on what an accepted post waits for, with the way to send it all the same if that is a person."""
    if not post.needs_confirmation:
        return post.words
    return f"{post.words}; to send it all the same: {command('queue', 'confirm', post.candidate_id)}"


def _numbered(text: str) -> Iterator[tuple[bool, str]]:
    """Lines of a post, each with whether it is the first."""
    return ((place == 0, line) for place, line in enumerate(text.split("\n")))


def visible(text: str) -> Text:
    r"""Text for a terminal, on one line: signs stand for line breaks and for control characters, which move the cursor.

    >>> visible("two\nlines\x1b[2J").plain
    'two ↵ lines�[2J'
    """
    return Text(
        "".join(
            character if character.isprintable() else "\N{REPLACEMENT CHARACTER}"
            for character in _LINE_BREAKS.sub(" ↵ ", text)
        )
    )


def _song(row: QueueRow) -> Text:
    report = row.candidate.report
    return Text.assemble((visible(report.song.title).plain, "bold"), "\n", visible(report.artist).plain)


def _genres(report: SongReport) -> str:
    asked = f" -> {_first(report.genres_asked)}" if report.genres_asked else ""
    return _first(report.genres) + asked


def _first(genres: tuple[str, ...]) -> str:
    more = f" +{len(genres) - _SHOWN_GENRES}" if len(genres) > _SHOWN_GENRES else ""
    return visible(", ".join(genres[:_SHOWN_GENRES])).plain + more if genres else UNKNOWN_GENRE


def summary_lines(summary: Summary) -> list[str]:
    """Outcome of a pass in a few lines."""
    read = f"read {count_of(summary.source_posts_read, 'new source post')}"
    read += f", {summary.source_posts_known} already known" if summary.source_posts_known else ""
    read += f", {count_of(summary.odd_items, 'odd item')} set aside" if summary.odd_items else ""
    unknown = f" ({summary.songs_of_unknown_genre} of unknown genre)" if summary.songs_of_unknown_genre else ""
    made = f"{count_of(summary.candidates, 'candidate')} for {count_of(summary.songs, 'song')}{unknown}"
    made += f", {count_of(summary.songs_repeated, 'song')} repeated" if summary.songs_repeated else ""
    made += (
        f", {count_of(summary.source_posts_without_song, 'source post')} without a song"
        if summary.source_posts_without_song
        else ""
    )
    made += f", {summary.source_posts_failed} failed" if summary.source_posts_failed else ""
    made += f", {summary.source_posts_pending} pending" if summary.source_posts_pending else ""
    outputs = {
        "put on the board": summary.rows_appended,
        "verdicts read": summary.verdicts,
        "rows changed on the board": summary.rows_edited,
        "waiting but no longer on the board": summary.rows_missing,
        "posted": summary.posts_sent,
        "found to be sent": summary.posts_found,
        "in doubt": summary.posts_doubtful,
        "refused": summary.posts_refused,
        "held back by the dry run": summary.posts_held_back,
        "accepted and not sent yet": summary.posts_waiting,
    }
    done = ", ".join(f"{count} {what}" for what, count in outputs.items() if count)
    return [*summary.notices, read, made, *([done] if done else [])]


def count_of(number: int, noun: str) -> str:
    """A number of things, as in "1 song" and "2 songs"."""
    return f"{number} {noun}" if number == 1 else f"{number} {noun}s"


def status_table(
    state: StoreState,
    *,
    places: Mapping[str, str],
    pauses: Iterable[Pause],
    target: str,
    reachable: bool,
    now: datetime,
    waits: WaitReport,
    restored: Restored | None = None,
    has_board: bool = False,
) -> Table:
    """The bot's state on one screen; `places` has the place up to which each source was read, in words."""
    table = Table(show_header=False, box=None, pad_edge=False)
    table.add_column(style="bold", no_wrap=True)
    table.add_column(overflow="fold")
    for source, place in places.items():
        table.add_row("source", visible(source))
        table.add_row("read up to", visible(f"{place}, {_ago(state.read_at[source], now)}"))
    if not places:
        table.add_row("source", "nothing read yet")
    for pause in pauses:
        table.add_row("paused", visible(f"{pause.part} until {pause.until:%Y-%m-%d %H:%M:%S} UTC: {pause.reason}"))
    if restored is not None and restored.waits:
        table.add_row("restored", visible(_restored(restored, now, has_board=has_board)))
    table.add_row("source posts", _counts(state.source_posts))
    _add_odd_items(table, state)
    doubtful = f", {state.appends_in_doubt} in doubt on the board" if state.appends_in_doubt else ""
    missing = f", {state.rows_missing} waiting but no longer on the board" if state.rows_missing else ""
    table.add_row("candidates", _counts(state.candidates) + doubtful + missing)
    for tally in state.versions:
        decided = Rate(count=tally.accepted, total=tally.accepted + tally.rejected)
        table.add_row("", visible(f"{tally.model}/{tally.model_version}: {decided:.0%} of {decided.total} accepted"))
    if any(state.posts.values()):
        table.add_row("posts", _counts(state.posts))
    _add_waits(table, waits)
    if state.usage:
        items = ", ".join(f"{count} {item}" for item, count in state.usage.items())
        table.add_row("this month", visible(f"{items}: about ${spend(state.usage):.2f}"))
    answer = Text("answers", style="green") if reachable else Text("does not answer", style="red")
    table.add_row("gateway", Text(f"{target} ").append_text(answer))
    error = f"{state.last_error_at}  {state.last_error}" if state.last_error else "none since the last good pass"
    table.add_row("last error", visible(error))
    if state.last_good_pass_at:
        table.add_row("good pass", _ago(state.last_good_pass_at, now))
    for source_post_id, reason in state.failures:
        table.add_row("failed", visible(f"{source_post_id}: {reason}"))
    return table


def _restored(restored: Restored, now: datetime, *, has_board: bool) -> str:
    missing = "" if restored.board_read or not has_board else ", and the verdicts on the board,"
    unread = f" ({restored.unread} of them cannot be read)" if restored.unread else ""
    looked = f"; done: {', '.join(sorted(restored.looked))}" if restored.looked else ""
    return (
        f"{_ago(restored.at, now)}, from a backup of {restored.since:%Y-%m-%d %H:%M} UTC. Nothing is sent until the"
        f" account's posts since then{unread}{missing} are read{looked}. If that is not possible: look at the account,"
        " then `deephypebot bot restore --trust`"
    )


def _add_waits(table: Table, waits: WaitReport) -> None:
    if not waits.posts:
        return
    table.add_row("to send", count_of(len(waits.posts), "accepted post"))
    for note in waits.notes:
        table.add_row("", visible(note))
    if not waits.is_posting:
        return
    # Those that wait for a person are at the end, however soon the bot would send the others.
    in_order = waits.by_departure()
    shown = in_order[:_SHOWN_WAITS]
    shown += [post for post in in_order[_SHOWN_WAITS:] if post.needs_confirmation][:1]
    for post in shown:
        table.add_row("", visible(f"{post.candidate_id}: {wait_line(post)}"))


def _add_odd_items(table: Table, state: StoreState) -> None:
    for part, count in state.odd_items.items():
        table.add_row("set aside", visible(f"{count_of(count, 'odd item')} of {part}"))
    for aside in state.set_aside:
        table.add_row("odd item", visible(f"{aside.part}, {aside.item.key}: {aside.item.reason}"))


def _counts(counts: Mapping[_Status, int]) -> str:
    return ", ".join(f"{count} {status}" for status, count in counts.items())


def _ago(then: str, now: datetime) -> str:
    seconds = (now - datetime.fromisoformat(then)).total_seconds()
    for unit, size in (("day", 86_400), ("hour", 3_600), ("minute", 60)):
        if seconds >= size:
            return f"{count_of(int(seconds // size), unit)} ago"
    return "just now"


_STATUS_STYLES = {
    CheckStatus.OFF: "dim",
    CheckStatus.INCOMPLETE: "yellow",
    CheckStatus.WORKS: "green",
    CheckStatus.FAILS: "red",
}


def check_table(results: Iterable[CheckResult]) -> Table:
    """Result of `bot check`, a line for each part."""
    table = Table(show_header=False, box=None, pad_edge=False)
    table.add_column(style="bold", no_wrap=True)
    table.add_column(no_wrap=True)
    table.add_column(overflow="fold")
    for result in results:
        style = _STATUS_STYLES[result.status]
        table.add_row(result.part, Text(result.status, style=style), visible(result.detail))
    return table
