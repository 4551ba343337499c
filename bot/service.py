"""The bot's work: feed -> songs -> genres -> samples -> queue, one pass at a time.

A pass reads the feed into the store and then handles what is pending there. Requests run in a few threads, so that the
model server can put them into one batch; only the caller's thread touches the store. A pass may be cut short at any
moment: what was not committed is done again by the next one, with the same seeds and so with the same text.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from dataclasses import dataclass, field

from bot.domain.errors import BotError, FeedError, NoServiceError, SongFailedError, SongRefusedError
from bot.domain.model import Candidate, Song, SongReport, Tweet, TweetStatus, credit
from bot.domain.songs import parse_songs
from bot.ports import CommentaryService, GenreLookup, Source, Store
from handlers.contract import MAX_GENRES, MAX_TEXT_LENGTH, CommentaryRequest, ContractError

Progress = Callable[[int, int], None]
"""Called with the number of tweets handled and of tweets there are to handle."""

_PAGE = 200
_POLL_S = 0.1
"""How long a stop may go unnoticed while requests are in flight."""
_MAX_FAILURES_IN_A_ROW = 3
"""Failed songs, with no answered one in between, after which it is the server that is taken to be broken."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ServiceOptions:
    """How the bot works."""

    num_samples: int = 5
    """Samples asked for each song."""
    min_confidence: float = 0.5
    """Songs that the parser is less sure of are passed over."""
    concurrency: int = 4
    """Tweets handled at once."""
    max_attempts: int = 5
    """Passes in which the server may fail on a tweet, while it answers others, before the tweet counts as failed."""
    grace_s: float = 2.5
    """Seconds that requests in flight get when the bot is told to stop."""


DEFAULT_OPTIONS = ServiceOptions()


@dataclass(slots=True, kw_only=True)
class Summary:
    """What a pass did."""

    tweets_read: int = 0
    """New tweets of the feed."""
    tweets_known: int = 0
    """Tweets of the feed that were read before, by their ids."""
    bad_rows: int = 0
    tweets_done: int = 0
    tweets_without_song: int = 0
    tweets_failed: int = 0
    tweets_postponed: int = 0
    """Tweets that the server failed on, to be tried again."""
    tweets_pending: int = 0
    """Tweets that are left to handle."""
    songs: int = 0
    songs_of_unknown_genre: int = 0
    candidates: int = 0
    outage: str = ""
    """Why the pass stopped before its end; empty when it did not."""
    notices: list[str] = field(default_factory=list)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Outcome:
    """What came of a tweet that was handled to the end."""

    status: TweetStatus
    reports: tuple[SongReport, ...] = ()
    """The songs that were answered."""
    candidates: tuple[Candidate, ...] = ()
    reason: str = ""


class _StoppedError(Exception):
    """The bot is to stop, between two songs of a tweet."""


class Bot:
    """Reads, asks, stores.

    Args:
        source: where tweets come from.
        genres: which genres an artist has.
        commentary: who writes.
        store: what the bot remembers; used by the thread that calls `tick` alone.
        options: how it works.
    """

    def __init__(
        self,
        *,
        source: Source,
        genres: GenreLookup,
        commentary: CommentaryService,
        store: Store,
        options: ServiceOptions = DEFAULT_OPTIONS,
    ) -> None:
        self._source = source
        self._genres = genres
        self._commentary = commentary
        self._store = store
        self._options = options

    def tick(self, *, progress: Progress | None = None, stop: threading.Event | None = None) -> Summary:
        """One pass over what is new and what is pending.

        A server that is away ends the pass early, with the reason in `Summary.outage`; the tweets stay pending.

        Args:
            progress: called after each tweet.
            stop: once it is set, nothing new is begun; requests in flight get `ServiceOptions.grace_s` seconds, after
                which the commentary service is closed.

        Raises:
            FeedError: the feed cannot be read.
            StoreError: the store cannot be used.
        """
        summary = Summary()
        stop = stop or threading.Event()
        try:
            self._read_feed(summary, stop)
        except FeedError as error:
            self._store.set_last_error(str(error))
            raise
        _Pass(
            handle=self._handle,
            store=self._store,
            commentary=self._commentary,
            options=self._options,
            summary=summary,
            stop=stop,
        ).run(progress)
        summary.tweets_pending = self._store.count_pending()
        self._store.set_last_error(summary.outage or None)
        return summary

    def run(self, *, interval_s: float, stop: threading.Event, report: Callable[[Summary | BotError], None]) -> None:
        """Passes until `stop` is set, the interval apart; what goes wrong in one is reported, and the next tries."""
        while not stop.is_set():
            try:
                report(self.tick(stop=stop))
            except BotError as error:
                report(error)
            stop.wait(interval_s)

    def _read_feed(self, summary: Summary, stop: threading.Event) -> None:
        more = True
        while more and not stop.is_set():
            page = self._source.read(self._store.cursor(self._source.name), _PAGE)
            added = self._store.add_page(self._source.name, page)
            summary.tweets_read += added
            summary.tweets_known += len(page.tweets) - added
            summary.bad_rows += len(page.bad_rows)
            summary.notices += [page.notice] if page.notice else []
            more = page.more

    def _handle(self, tweet: Tweet, stop: threading.Event) -> _Outcome:
        """Songs, genres, samples of one tweet; runs in a thread of its own and leaves the store alone.

        Raises:
            SongFailedError, NoServiceError: the tweet is to be handled again, as a whole.
        """
        songs = parse_songs(tweet.text, is_artist=lambda name: self._genres.find(name) is not None)
        reports: list[SongReport] = []
        candidates: list[Candidate] = []
        refusals: list[str] = []
        sure = [song for song in songs if song.confidence >= self._options.min_confidence]
        for number, song in enumerate(sure, start=1):
            if stop.is_set():
                raise _StoppedError
            report = self._report(tweet, number, song)
            try:
                candidates += self._candidates(report)
                reports.append(report)
            except (SongRefusedError, ContractError) as error:
                refusals.append(f"song {number}, {song.title!r}: {error}")
        status = TweetStatus.FAILED if refusals else TweetStatus.DONE if sure else TweetStatus.NO_SONG
        return _Outcome(status=status, reports=tuple(reports), candidates=tuple(candidates), reason="; ".join(refusals))

    def _report(self, tweet: Tweet, number: int, song: Song) -> SongReport:
        """Look the artists up. A guest's genres, or those of the artist who is covered, do where theirs are unknown."""
        entries = [self._genres.find(name) for name in song.artists]
        names = tuple(
            entry.name if entry and name.startswith("@") else name
            for entry, name in zip(entries, song.artists, strict=True)
        )
        if not any(entries):
            others = (*song.featured, *([song.cover_of] if song.cover_of else []))
            entries = [self._genres.find(name) for name in others]
        genres = dict.fromkeys(genre for entry in entries if entry is not None for genre in entry.genres)
        return SongReport(
            tweet_id=tweet.id, number=number, song=song, artist=credit(names), genres=tuple(genres)[:MAX_GENRES]
        )

    def _candidates(self, report: SongReport) -> list[Candidate]:
        request = CommentaryRequest(
            genres=report.genres,
            artist=report.artist,
            title=report.song.title,
            num_samples=self._options.num_samples,
            seed=report.seed,
            # The unit of sticky assignment: all samples of a tweet come from one version.
            unit=report.tweet_id[:MAX_TEXT_LENGTH],
        )
        response = self._commentary.generate(request)
        return [
            Candidate(
                report=report,
                number=number,
                sample=sample,
                model=response.model.name,
                model_version=response.model.version,
                archive_sha256=response.model.archive_sha256,
                genres_unknown=response.genres_unknown,
            )
            for number, sample in enumerate(response.samples, start=1)
        ]


class _Pass:
    """Handles the pending tweets: a bounded number at once, each stored as soon as it is answered."""

    def __init__(
        self,
        *,
        handle: Callable[[Tweet, threading.Event], _Outcome],
        store: Store,
        commentary: CommentaryService,
        options: ServiceOptions,
        summary: Summary,
        stop: threading.Event,
    ) -> None:
        self._handle = handle
        self._store = store
        self._commentary = commentary
        self._options = options
        self._summary = summary
        self._stop = stop
        self._running: dict[Future[_Outcome], Tweet] = {}
        self._answered = 0
        self._failed_in_a_row = 0
        self._unjudged: list[tuple[str, str]] = []
        self._stopped_at: float | None = None

    def run(self, progress: Progress | None) -> None:
        """Until nothing is pending, the server is away, or the bot is to stop."""
        total, done = self._store.count_pending(), 0
        tweets = self._tweets()
        executor = ThreadPoolExecutor(self._options.concurrency, thread_name_prefix="bot")
        try:
            while self._fill(executor, tweets):
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
        self._summary.tweets_postponed += len(self._unjudged)

    def _tweets(self) -> Iterator[Tweet]:
        place = 0
        while page := self._store.pending(_PAGE, after=place):
            for pending in page:
                yield pending.tweet
            place = page[-1].place

    def _fill(self, executor: ThreadPoolExecutor, tweets: Iterator[Tweet]) -> bool:
        """Begin as many tweets as may run; whether any runs."""
        while len(self._running) < self._options.concurrency and not self._summary.outage and not self._stop.is_set():
            tweet = next(tweets, None)
            if tweet is None:
                break
            self._running[executor.submit(self._handle, tweet, self._stop)] = tweet
        return bool(self._running)

    def _settle(self, tweet: Tweet, future: Future[_Outcome]) -> None:
        try:
            outcome = future.result()
        except _StoppedError:
            return
        except NoServiceError as error:
            # Closing the service is how a stop cuts requests short; that is no outage.
            if not self._stop.is_set():
                self._summary.outage = self._summary.outage or str(error)
        except SongFailedError as error:
            self._note_failure(tweet, str(error))
        else:
            self._keep(tweet, outcome)

    def _keep(self, tweet: Tweet, outcome: _Outcome) -> None:
        if outcome.reports:
            self._answered += 1
            self._failed_in_a_row = 0
            self._judge()
        if not self._store.finish(tweet.id, outcome.status, candidates=outcome.candidates, reason=outcome.reason):
            return  # another bot on the same store was quicker
        summary = self._summary
        summary.tweets_done += outcome.status is TweetStatus.DONE
        summary.tweets_without_song += outcome.status is TweetStatus.NO_SONG
        summary.tweets_failed += outcome.status is TweetStatus.FAILED
        summary.songs += len(outcome.reports)
        summary.songs_of_unknown_genre += sum(not report.genres for report in outcome.reports)
        summary.candidates += len(outcome.candidates)

    def _note_failure(self, tweet: Tweet, reason: str) -> None:
        """Is it the tweet or the server? A tweet is blamed only in a pass in which others were answered."""
        self._unjudged.append((tweet.id, reason))
        self._failed_in_a_row += 1
        if self._failed_in_a_row == _MAX_FAILURES_IN_A_ROW:
            self._summary.outage = reason
        elif self._answered:
            self._judge()

    def _judge(self) -> None:
        for tweet_id, reason in self._unjudged:
            if self._store.count_attempt(tweet_id, reason) < self._options.max_attempts:
                self._summary.tweets_postponed += 1
            elif self._store.finish(tweet_id, TweetStatus.FAILED, reason=reason):
                self._summary.tweets_failed += 1
        self._unjudged.clear()

    def _cut_short(self) -> None:
        """Give requests in flight their grace once the bot is to stop, then end them."""
        if not self._stop.is_set():
            return
        now = time.monotonic()
        self._stopped_at = self._stopped_at or now
        if now - self._stopped_at >= self._options.grace_s:
            self._commentary.close()
