"""Processing of source posts: songs -> lookups -> samples -> candidates.

Requests run in a few threads, so that the model server can batch them; only the caller's thread uses the store. The
work may be interrupted at any moment: the next pass repeats what was not committed, with the same seeds and therefore
with the same text.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from dataclasses import dataclass, replace
from datetime import datetime

from bot.domain.candidates import Candidate, Flag
from bot.domain.errors import BotError, NoServiceError, SongFailedError, SongRefusedError, UnexpectedError
from bot.domain.post_text import Draft
from bot.domain.songs.parser import parse_songs
from bot.domain.songs.song import Song, SongReport
from bot.domain.source_posts import Kind, SourcePost, SourcePostStatus
from bot.ports import CommentaryService, SongFacts, SongHistory, SongResolver, Store
from bot.services.post_rules import PostRules
from bot.services.schedule import Clock
from bot.services.summary import ServiceOptions, Summary
from handlers.contract import MAX_GENRES, MAX_TEXT_LENGTH, CommentaryRequest, CommentaryResponse, ContractError, Sample

Progress = Callable[[int, int], None]
"""Callback with the number of source posts processed and the total to process."""

NO_SONG_ASKED = "a mention without a song"
"""Reason that is stored with a mention in which no song was found."""
_EXCERPT = 100
_PAGE = 200
_POLL_S = 0.1
"""Maximum time a stop goes unnoticed while requests are in flight."""
_MAX_FAILURES_IN_A_ROW = 3
"""Consecutive failed songs after which the server is considered broken."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """Result of a source post that was processed to the end."""

    status: SourcePostStatus
    reports: tuple[SongReport, ...] = ()
    """Songs for which the model server returned samples."""
    candidates: tuple[Candidate, ...] = ()
    reason: str = ""
    songs_repeated: int = 0
    fresh_since: datetime | None = None
    """Time after which a song of another source post counts as a repeat; None if repeats are allowed."""


class _StoppedError(Exception):
    """The bot stops between two songs of a source post."""


class CommentaryWriter:
    """Writer of the candidates of a source post. It is thread-safe and does not use the store.

    Args:
        resolver: looks up genres and spelling of a song.
        commentary: model server that generates samples.
        rules: flags the posts of texts for the curator; without it there are no flags.
        options: number of samples and minimum confidence.
        history: songs of earlier source posts; without it no song is a repeat.
        clock: the time.
    """

    def __init__(
        self,
        *,
        resolver: SongResolver,
        commentary: CommentaryService,
        rules: PostRules | None,
        options: ServiceOptions,
        history: SongHistory | None,
        clock: Clock,
    ) -> None:
        self._history = history
        self._clock = clock
        self._resolver = resolver
        self._commentary = commentary
        self._rules = rules
        self._options = options

    def handle(self, source_post: SourcePost, stop: threading.Event) -> Outcome:
        """Parse one source post, look up its songs and generate their samples.

        Raises:
            SongFailedError, NoServiceError: the source post has to be processed again, as a whole.
        """
        is_request = source_post.kind is Kind.MENTION
        songs = parse_songs(source_post.text, is_artist=self._resolver.is_artist, is_request=is_request)
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
            facts = self._resolver.resolve(song)
            report = self.report(source_post, number, song, facts)
            try:
                candidates += self.candidates(source_post, report, namesakes=facts.namesakes)
                reports.append(report)
            except (SongRefusedError, ContractError) as error:
                refusals.append(f"song {number}, {song.title!r}: {error}")
        status = SourcePostStatus.FAILED if refusals else SourcePostStatus.DONE if sure else SourcePostStatus.NO_SONG
        return Outcome(
            status=status,
            reports=tuple(reports),
            candidates=tuple(candidates),
            reason=NO_SONG_ASKED if is_request and not sure else "; ".join(refusals),
            songs_repeated=repeated,
            fresh_since=fresh_since,
        )

    def _fresh_since(self, source_post: SourcePost) -> datetime | None:
        """Time after which a song is a repeat; None for a mention, which is always answered."""
        if source_post.kind is Kind.MENTION or not self._options.song_age:
            return None
        return self._clock.now() - self._options.song_age

    def _has_come(self, song: Song, fresh_since: datetime | None) -> bool:
        """Whether a song is a repeat; saves a request, and the store decides again when it commits."""
        return fresh_since is not None and self._history is not None and self._history.has_come(song, since=fresh_since)

    def report(self, source_post: SourcePost, number: int, song: Song, facts: SongFacts) -> SongReport:
        """Make the report of a song by the facts about it, with the genres that its request will have."""
        genres = facts.genres[:MAX_GENRES]
        asked = self._commentary.genres_for(genres)
        return SongReport(
            source_post_id=source_post.id,
            number=number,
            song=song,
            artist=facts.artist,
            genres=genres,
            genres_asked=asked if asked != genres else (),
            origin=facts.origin,
            url=facts.url,
        )

    def candidates(self, source_post: SourcePost, report: SongReport, *, namesakes: bool = False) -> list[Candidate]:
        """Ask for a song's samples.

        Args:
            source_post: the post that names the song.
            report: the song with its genres.
            namesakes: whether the genres may be those of another artist of this name.

        Raises:
            SongRefusedError, SongFailedError, NoServiceError, ContractError: there are none.
        """
        request = CommentaryRequest(
            genres=report.genres_asked or report.genres,
            artist=report.artist,
            title=report.song.title,
            num_samples=self._options.num_samples,
            seed=report.seed,
            # The key by which a router may keep all samples of a source post on one model version.
            unit=report.source_post_id[:MAX_TEXT_LENGTH],
        )
        response = self._commentary.generate(request)
        made = [
            self._candidate(Draft(text=sample.text, report=report, source_post=source_post), response, number, sample)
            for number, sample in enumerate(response.samples, start=1)
        ]
        return [replace(each, flags=(*each.flags, Flag.NAMESAKES)) for each in made] if namesakes else made

    def _candidate(self, draft: Draft, response: CommentaryResponse, number: int, sample: Sample) -> Candidate:
        return Candidate(
            report=draft.report,
            number=number,
            sample=sample,
            model=response.model.name,
            model_version=response.model.version,
            archive_sha256=response.model.archive_sha256,
            genres_unknown=response.genres_unknown,
            flags=self._rules.flags_of(draft) if self._rules is not None else (),
            score=sample.log_prob / max(1, sample.token_count),
        )


class SourcePostProcessor:
    """Processor of the pending source posts: a bounded number at once, each stored as soon as it is answered."""

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

    def run(self, progress: Progress | None, *, between: Callable[[], None] = lambda: None) -> None:
        """Process until nothing is pending, the server is unreachable, or the bot stops.

        Args:
            progress: called after each source post.
            between: called between source posts; it may use the store.
        """
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
                if finished:
                    between()
                self._cut_short()
        finally:
            # Not waited for: the threads end by themselves, at the latest when the service is closed.
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
        """Start source posts up to the concurrency limit; return whether any is running."""
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
            # A stop ends requests by closing the service; that is not an outage.
            if not self._stop.is_set():
                self._summary.outage = self._summary.outage or str(error)
        except SongFailedError as error:
            self._note_failure(source_post, str(error))
        except BotError:
            raise  # the database, which every post needs
        except Exception as error:  # noqa: BLE001 -- one odd post must end neither the pass nor the process
            self._keep(source_post, Outcome(status=SourcePostStatus.FAILED, reason=str(UnexpectedError.of(error))))
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
            return  # another bot on the same store was faster
        summary = self._summary
        summary.source_posts_done += outcome.status is SourcePostStatus.DONE
        summary.source_posts_without_song += outcome.status is SourcePostStatus.NO_SONG
        summary.source_posts_failed += outcome.status is SourcePostStatus.FAILED
        if outcome.reason == NO_SONG_ASKED:
            who = f" by {source_post.author!r}" if source_post.author else ""
            summary.notices.append(f"{NO_SONG_ASKED}{who}, {source_post.id}: {source_post.text[:_EXCERPT]!r}")
        summary.songs += len(outcome.reports)
        summary.songs_repeated += outcome.songs_repeated
        summary.songs_of_unknown_genre += sum(not report.genres for report in outcome.reports)
        summary.candidates += len(outcome.candidates)

    def _note_failure(self, source_post: SourcePost, reason: str) -> None:
        """Record a failure; it counts against the source post only in a pass in which others were answered."""
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
        """Give requests in flight `grace_s` seconds once the bot stops, then end them."""
        if not self._stop.is_set():
            return
        now = time.monotonic()
        self._stopped_at = self._stopped_at or now
        if now - self._stopped_at >= self._options.grace_s:
            self._commentary.close()
