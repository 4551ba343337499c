"""Processing of the pending source posts, several at once.

Requests run in a few threads, so that the model server can batch them; only the caller's thread uses the store. The
work may be interrupted at any moment: the next pass repeats what was not committed, with the same seeds and therefore
with the same text.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait

from bot.domain.errors import BotError, NoServiceError, SongFailedError, UnexpectedError
from bot.domain.source_posts import SourcePost, SourcePostStatus
from bot.ports import CommentaryService, Store
from bot.services.commentary_writer import NO_SONG_ASKED, CommentaryWriter, Outcome, StoppedError
from bot.services.summary import ServiceOptions, Summary

Progress = Callable[[int, int], None]
"""Callback with the number of source posts processed and the total to process."""

_EXCERPT = 100
_PAGE = 200
_POLL_S = 0.1
"""Maximum time a stop goes unnoticed while requests are in flight."""
_MAX_FAILURES_IN_A_ROW = 3
"""Consecutive failed songs after which the server is considered broken."""


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
        except StoppedError:
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
        # Which one, and so whose samples are there, curators must not know before the song is judged.
        summary.notices += [f"{source_post.id}: an arm of the experiment {name} failed" for name in outcome.short_of]
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
