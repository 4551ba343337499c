"""What the commands print: the queue, the bot's state, the outcome of a pass."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from rich.table import Table
from rich.text import Text

from bot.domain.model import UNKNOWN_GENRE, CandidateStatus, TweetStatus
from bot.ports import QueueRow, StoreState
from bot.service import Summary

_STYLES = {CandidateStatus.WAITING: "yellow", CandidateStatus.ACCEPTED: "green", CandidateStatus.REJECTED: "red"}
_SHOWN_GENRES = 3


def queue_table(rows: Iterable[QueueRow], *, title: str = "Queue") -> Table:
    """Candidates as a table; the song and its genres stand once, beside the first of its candidates.

    Everything that came from outside goes in as plain text, so that brackets in it are never markup.
    """
    table = Table(title=title, title_justify="left", expand=True, pad_edge=False)
    table.add_column("id", overflow="fold", no_wrap=False, max_width=23)
    table.add_column("song", ratio=2)
    table.add_column("genres", ratio=2)
    table.add_column("candidate", ratio=5)
    table.add_column("model", no_wrap=True)
    table.add_column("status", no_wrap=True)
    previous = None
    for row in rows:
        report = row.candidate.report
        song = (report.tweet_id, report.number)
        first = song != previous
        if first and previous is not None:
            table.add_section()
        previous = song
        table.add_row(
            visible(row.candidate.id),
            _song(row) if first else "",
            Text(_genres(report.genres)) if first else "",
            visible(row.text),
            visible(f"{row.candidate.model} {row.candidate.model_version}"),
            Text(row.candidate.status, style=_STYLES[row.candidate.status]),
        )
    return table


def visible(text: str) -> Text:
    """Text for a terminal: control characters and the like show as marks instead of moving the cursor."""
    return Text("".join(character if character.isprintable() else "\N{REPLACEMENT CHARACTER}" for character in text))


def _song(row: QueueRow) -> Text:
    report = row.candidate.report
    return Text.assemble((visible(report.song.title).plain, "bold"), "\n", visible(report.artist).plain)


def _genres(genres: tuple[str, ...]) -> str:
    more = f" +{len(genres) - _SHOWN_GENRES}" if len(genres) > _SHOWN_GENRES else ""
    return visible(", ".join(genres[:_SHOWN_GENRES])).plain + more if genres else UNKNOWN_GENRE


def summary_lines(summary: Summary) -> list[str]:
    """What a pass did, in a few lines."""
    read = f"read {_count(summary.tweets_read, 'new tweet')}"
    read += f", {summary.tweets_known} known already" if summary.tweets_known else ""
    read += f", {_count(summary.bad_rows, 'bad row')} passed over" if summary.bad_rows else ""
    unknown = f" ({summary.songs_of_unknown_genre} of unknown genre)" if summary.songs_of_unknown_genre else ""
    made = f"{_count(summary.candidates, 'candidate')} for {_count(summary.songs, 'song')}{unknown}"
    made += f", {_count(summary.tweets_without_song, 'tweet')} without a song" if summary.tweets_without_song else ""
    made += f", {summary.tweets_failed} failed" if summary.tweets_failed else ""
    made += f", {summary.tweets_pending} pending" if summary.tweets_pending else ""
    return [*summary.notices, read, made]


def _count(number: int, noun: str) -> str:
    return f"{number} {noun}" if number == 1 else f"{number} {noun}s"


def status_table(state: StoreState, *, places: Mapping[str, str], target: str, reachable: bool) -> Table:
    """One screen on how the bot is doing; `places` says in words where each source is read on."""
    table = Table(show_header=False, box=None, pad_edge=False)
    table.add_column(style="bold", no_wrap=True)
    table.add_column(overflow="fold")
    for source, place in places.items():
        table.add_row("feed", visible(source))
        table.add_row("read up to", visible(place))
    if not places:
        table.add_row("feed", "nothing read yet")
    table.add_row("tweets", ", ".join(f"{state.tweets[status]} {status}" for status in TweetStatus))
    if state.bad_rows:
        table.add_row("bad rows", str(state.bad_rows))
    table.add_row("candidates", ", ".join(f"{state.candidates[status]} {status}" for status in CandidateStatus))
    answer = Text("answers", style="green") if reachable else Text("does not answer", style="red")
    table.add_row("gateway", Text(f"{target} ").append_text(answer))
    error = f"{state.last_error_at}  {state.last_error}" if state.last_error else "none since the last good pass"
    table.add_row("last error", visible(error))
    for tweet_id, reason in state.failures:
        table.add_row("failed", visible(f"{tweet_id}: {reason}"))
    return table
