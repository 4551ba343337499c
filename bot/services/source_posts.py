"""Pending tweets -> songs -> what is known of them -> samples -> candidates.

Requests run in a few threads, so that the model server can put them into one batch; only the caller's thread touches
the store. The work may be cut short at any moment: what was not committed is done again by the next pass, with the same
seeds and so with the same text.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from dataclasses import dataclass
from datetime import datetime

from bot.domain.candidates import Candidate
from bot.domain.errors import NoServiceError, SongFailedError, SongRefusedError
from bot.domain.songs.parser import parse_songs
from bot.domain.songs.song import Song, SongReport
from bot.domain.source_posts import Kind, SourcePost, SourcePostStatus
from bot.ports import CommentaryService, Screen, SongHistory, SongResolver, Store
from bot.services.schedule import Clock
from bot.services.summary import ServiceOptions, Summary
from handlers.contract import MAX_GENRES, MAX_TEXT_LENGTH, CommentaryRequest, CommentaryResponse, ContractError, Sample

Progress = Callable[[int, int], None]
"""Called with the number of tweets handled and of tweets there are to handle."""

_PAGE = 200
_POLL_S = 0.1
"""How long a stop may go unnoticed while requests are in flight."""
_MAX_FAILURES_IN_A_ROW = 3
"""Failed songs, with no answered one in between, after which it is the server that is taken to be broken."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """What came of a tweet that was handled to the end."""

    status: SourcePostStatus
    reports: tuple[SongReport, ...] = ()
    """The songs that were answered."""
    candidates: tuple[Candidate, ...] = ()
    reason: str = ""
    songs_repeated: int = 0
    fresh_since: datetime | None = None
    """Songs that another tweet brings after this are repeats."""


class _StoppedError(Exception):
    """The bot is to stop, between two songs of a tweet."""


class CommentaryWriter:
    """Has commentary written for a tweet; used by several threads at once, it leaves the store alone.

    Args:
        resolver: what is known of a song.
        commentary: who writes.
        screen: what the curator should know of a text; nothing is noticed without one.
        options: how many samples, and of which songs.
        history: which songs came before; without it every one is written about.
        clock: tells the time.
    """

    def __init__(
        self,
        *,
        resolver: SongResolver,
        commentary: CommentaryService,
        screen: Screen | None,
        options: ServiceOptions,
        history: SongHistory | None,
        clock: Clock,
    ) -> None:
        self._history = history
        self._clock = clock
        self._resolver = resolver
        self._commentary = commentary
        self._screen = screen
        self._options = options

    def handle(self, source_post: SourcePost, stop: threading.Event) -> Outcome:
        """Songs, genres, samples of one tweet.

        Raises:
            SongFailedError, NoServiceError: the tweet is to be handled again, as a whole.
        """
        songs = parse_songs(source_post.text, is_artist=self._resolver.is_artist)
        reports: list[SongReport] = []
        candidates: list[Candidate] = []
        refusals: list[str] = []
        sure = [song for song in songs if song.confidence >= self._options.min_confidence]
        fresh_since = self._fresh_since(source_post)
        repeated = 0
        for number, song in enumerate(sure, start=1):
            if stop.is_set():
                raise _StoppedError
            if self._has_come(song, fresh_since):
                repeated += 1
                continue
            report = self._report(source_post, number, song)
            try:
                candidates += self._candidates(report)
                reports.append(report)
            except (SongRefusedError, ContractError) as error:
                refusals.append(f"song {number}, {song.title!r}: {error}")
        status = SourcePostStatus.FAILED if refusals else SourcePostStatus.DONE if sure else SourcePostStatus.NO_SONG
        return Outcome(
            status=status,
            reports=tuple(reports),
            candidates=tuple(candidates),
            reason="; ".join(refusals),
            songs_repeated=repeated,
            fresh_since=fresh_since,
        )

    def _fresh_since(self, source_post: SourcePost) -> datetime | None:
        """Who mentions the bot gets an answer, whatever came before."""
        if source_post.kind is Kind.MENTION or not self._options.song_age:
            return None
        return self._clock.now() - self._options.song_age

    def _has_come(self, song: Song, fresh_since: datetime | None) -> bool:
        """Asked before the commentary is, to save it; the store asks again when it has the last word."""
        return fresh_since is not None and self._history is not None and self._history.has_come(song, since=fresh_since)

    def _report(self, source_post: SourcePost, number: int, song: Song) -> SongReport:
        facts = self._resolver.resolve(song)
        return SongReport(
            source_post_id=source_post.id,
            number=number,
            song=song,
            artist=facts.artist,
            genres=facts.genres[:MAX_GENRES],
            origin=facts.origin,
            url=facts.url,
        )

    def _candidates(self, report: SongReport) -> list[Candidate]:
        request = CommentaryRequest(
            genres=report.genres,
            artist=report.artist,
            title=report.song.title,
            num_samples=self._options.num_samples,
            seed=report.seed,
            # The unit of sticky assignment: all samples of a tweet come from one version.
            unit=report.source_post_id[:MAX_TEXT_LENGTH],
        )
        response = self._commentary.generate(request)
        return [
            self._candidate(report, response, number, sample) for number, sample in enumerate(response.samples, start=1)
        ]

    def _candidate(self, report: SongReport, response: CommentaryResponse, number: int, sample: Sample) -> Candidate:
        return Candidate(
            report=report,
            number=number,
            sample=sample,
            model=response.model.name,
            model_version=response.model.version,
            archive_sha256=response.model.archive_sha256,
            genres_unknown=response.genres_unknown,
            flags=self._screen.flags(sample.text) if self._screen is not None else (),
            score=sample.log_prob / max(1, sample.token_count),
        )


class SourcePostProcessor:
    """Handles the pending tweets: a bounded number at once, each stored as soon as it is answered."""

    def __init__(
        self,
        *,
        writer: CommentaryWriter,
        store: Store,
        commentary: CommentaryService,
        options: ServiceOptions,
        summary: Summary,
        stop: threading.Event,
    ) -> None:
        self._writer = writer
        self._store = store
        self._commentary = commentary
        self._options = options
        self._summary = summary
        self._stop = stop
        self._running: dict[Future[Outcome], SourcePost] = {}
        self._answered = 0
        self._failed_in_a_row = 0
        self._unjudged: list[tuple[str, str]] = []
        self._stopped_at: float | None = None

    def run(self, progress: Progress | None) -> None:
        """Until nothing is pending, the server is away, or the bot is to stop."""
        total, done = self._store.count_pending(), 0
        source_posts = self._source_posts()
        executor = ThreadPoolExecutor(self._options.concurrency, thread_name_prefix="bot")
        try:
            while self._fill(executor, source_posts):
                finished, _ = wait(self._running, timeout=_POLL_S, return_when=FIRST_COMPLETED)
                for future in finished:
                    self._settle(self._running.pop(future), future)
                    done += 1
                    if progress is not None:
                        progress(done, max(done, total))
                self._cut_short()
        finally:
            # Nothing waits here: threads end by themselves, at the latest when the service is closed.
            executor.shutdown(wait=False, cancel_futures=True)
        if self._unjudged and not self._summary.outage:
            self._summary.outage = self._unjudged[0][1]
        self._summary.source_posts_postponed += len(self._unjudged)

    def _source_posts(self) -> Iterator[SourcePost]:
        place = 0
        while page := self._store.pending(_PAGE, after=place):
            for pending in page:
                yield pending.source_post
            place = page[-1].place

    def _fill(self, executor: ThreadPoolExecutor, source_posts: Iterator[SourcePost]) -> bool:
        """Begin as many tweets as may run; whether any runs."""
        while len(self._running) < self._options.concurrency and not self._summary.outage and not self._stop.is_set():
            source_post = next(source_posts, None)
            if source_post is None:
                break
            self._running[executor.submit(self._writer.handle, source_post, self._stop)] = source_post
        return bool(self._running)

    def _settle(self, source_post: SourcePost, future: Future[Outcome]) -> None:
        try:
            outcome = future.result()
        except _StoppedError:
            return
        except NoServiceError as error:
            # Closing the service is how a stop cuts requests short; that is no outage.
            if not self._stop.is_set():
                self._summary.outage = self._summary.outage or str(error)
        except SongFailedError as error:
            self._note_failure(source_post, str(error))
        else:
            self._keep(source_post, outcome)

    def _keep(self, source_post: SourcePost, outcome: Outcome) -> None:
        if outcome.reports:
            self._answered += 1
            self._failed_in_a_row = 0
            self._judge()
        closed = self._store.finish(
            source_post.id,
            outcome.status,
            candidates=outcome.candidates,
            reason=outcome.reason,
            fresh_since=outcome.fresh_since,
        )
        if not closed:
            return  # another bot on the same store was quicker
        summary = self._summary
        summary.source_posts_done += outcome.status is SourcePostStatus.DONE
        summary.source_posts_without_song += outcome.status is SourcePostStatus.NO_SONG
        summary.source_posts_failed += outcome.status is SourcePostStatus.FAILED
        summary.songs += len(outcome.reports)
        summary.songs_repeated += outcome.songs_repeated
        summary.songs_of_unknown_genre += sum(not report.genres for report in outcome.reports)
        summary.candidates += len(outcome.candidates)

    def _note_failure(self, source_post: SourcePost, reason: str) -> None:
        """Is it the tweet or the server? A tweet is blamed only in a pass in which others were answered."""
        self._unjudged.append((source_post.id, reason))
        self._failed_in_a_row += 1
        if self._failed_in_a_row == _MAX_FAILURES_IN_A_ROW:
            self._summary.outage = reason
        elif self._answered:
            self._judge()

    def _judge(self) -> None:
        for source_post_id, reason in self._unjudged:
            if self._store.count_attempt(source_post_id, reason) < self._options.max_attempts:
                self._summary.source_posts_postponed += 1
            elif self._store.finish(source_post_id, SourcePostStatus.FAILED, reason=reason):
                self._summary.source_posts_failed += 1
        self._unjudged.clear()

    def _cut_short(self) -> None:
        """Give requests in flight their grace once the bot is to stop, then end them."""
        if not self._stop.is_set():
            return
        now = time.monotonic()
        self._stopped_at = self._stopped_at or now
        if now - self._stopped_at >= self._options.grace_s:
            self._commentary.close()
