"""The bot's passes: sources -> songs -> genres -> samples -> queue -> board -> posts.

A pass reads the sources into the store, processes the pending source posts, synchronizes the board and posts what the
curators accepted. The parts are independent: if one fails, the others continue, and the next pass retries it.
"""

from __future__ import annotations

import contextlib
import functools
import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from bot.domain.errors import BotError, InputError, NetworkError, NetworkUnavailableError, UnexpectedError
from bot.ports import CommentaryService, SongHistory, SongResolver, Source, Store
from bot.services.board_sync import EDITS_PART as BOARD_EDITS
from bot.services.board_sync import PART as BOARD
from bot.services.board_sync import ROWS_PART as BOARD_ROWS
from bot.services.board_sync import BoardSync
from bot.services.commentary_writer import CommentaryWriter
from bot.services.evaluations import PART as EVALUATIONS
from bot.services.evaluations import EvaluationTeller
from bot.services.post_rules import PostRules
from bot.services.post_sender import PART as PUBLISHER
from bot.services.post_sender import PostSender
from bot.services.schedule import Clock, Schedule
from bot.services.source_posts import Progress, SourcePostProcessor
from bot.services.summary import DEFAULT_OPTIONS, ServiceOptions, Summary

__all__ = ["DEFAULT_OPTIONS", "Bot", "Outputs", "Progress", "ServiceOptions", "Summary"]

_PAGE = 200


@dataclass(frozen=True, slots=True, kw_only=True)
class Outputs:
    """Outputs of the queue; a bot works without any."""

    board_sync: BoardSync | None = None
    post_sender: PostSender | None = None
    evaluations: EvaluationTeller | None = None


class Bot:
    """The bot: each `tick` is one pass over all of its parts.

    Args:
        sources: where source posts come from.
        resolver: looks up genres and spelling of a song.
        commentary: model server that generates samples.
        store: the bot's memory; used only by the thread that calls `tick`.
        rules: flags the posts of texts for the curators.
        history: songs of earlier passes.
        outputs: the board, the post sender, and what tells of verdicts.
        options: limits of a pass.
        clock: the time.
        redact: removes secrets from the messages of other services.
    """

    def __init__(
        self,
        *,
        sources: Sequence[Source],
        resolver: SongResolver,
        commentary: CommentaryService,
        store: Store,
        rules: PostRules | None = None,
        history: SongHistory | None = None,
        outputs: Outputs | None = None,
        options: ServiceOptions = DEFAULT_OPTIONS,
        clock: Clock | None = None,
        redact: Callable[[str], str] = str,
    ) -> None:
        self._redact = redact
        self._sources = tuple(sources)
        self._commentary = commentary
        self._store = store
        self._outputs = outputs or Outputs()
        self._options = options
        self._clock = clock = clock or Clock()
        self._wrote_at = clock.monotonic()
        self._schedule = Schedule(store, clock)
        self._writer = CommentaryWriter(
            resolver=resolver,
            commentary=commentary,
            rules=rules,
            options=options,
            history=history,
            clock=clock,
            own_handles=self._own_handles,
        )

    def _own_handles(self, network: str) -> set[str]:
        """The bot's handles on a network, or on all if it is unknown, as its sources know them."""
        sources = (source for source in self._sources if network in {"", source.name.partition(":")[0]})
        return {handle for source in sources for handle in source.handles}

    def tick(self, *, progress: Progress | None = None, stop: threading.Event | None = None) -> Summary:
        """Run one pass over new source posts, pending ones, and accepted candidates.

        An unreachable model server ends the processing early, with the reason in `Summary.outage`; an unusable source,
        board or network is listed in `Summary.problems`. The rest of the work is left for a later pass.

        Args:
            progress: called after each source post.
            stop: once set, no new work begins; requests in flight get `ServiceOptions.grace_s` seconds, after which
                the commentary service is closed.

        Raises:
            StoreError: the store cannot be used.
        """
        summary = Summary()
        stop = stop or threading.Event()
        for source in self._sources:
            self._attempt(source.name, summary, stop, functools.partial(self._read, source, summary, stop))
        SourcePostProcessor(
            writer=self._writer,
            store=self._store,
            commentary=self._commentary,
            options=self._options,
            summary=summary,
            stop=stop,
        ).run(progress, between=functools.partial(self._between, summary, stop))
        summary.source_posts_pending = self._store.count_pending()
        self._write_out(summary, stop)
        errors = [*summary.problems, *summary.waiting, summary.outage]
        self._store.set_last_error("; ".join(filter(None, errors)) or None)
        return summary

    def _between(self, summary: Summary, stop: threading.Event) -> None:
        """Let the outputs have their turn within a long pass: an accepted post does not wait for a whole backlog."""
        if self._clock.monotonic() - self._wrote_at >= self._options.outputs_every_s:
            self._write_out(summary, stop)

    def _write_out(self, summary: Summary, stop: threading.Event) -> None:
        self._wrote_at = self._clock.monotonic()
        board_sync, post_sender = self._outputs.board_sync, self._outputs.post_sender
        is_read = board_sync is None
        if board_sync is not None:
            self._attempt(BOARD_ROWS, summary, stop, functools.partial(board_sync.append, summary, stop))
            is_read = self._attempt(BOARD, summary, stop, functools.partial(board_sync.read, summary, stop))
            if is_read:
                # Only behind a read: what a curator typed on the board is never overwritten.
                self._attempt(BOARD_EDITS, summary, stop, functools.partial(board_sync.edit, summary, stop))
        if post_sender is not None:
            send = functools.partial(post_sender.run, summary, stop, verdicts_read=is_read)
            self._attempt(PUBLISHER, summary, stop, send)
        if (evaluations := self._outputs.evaluations) is not None:
            self._attempt(EVALUATIONS, summary, stop, evaluations.run)

    def run(
        self,
        *,
        interval_s: float,
        stop: threading.Event,
        report: Callable[[Summary | BotError], None],
        live: Callable[[], None] = lambda: None,
    ) -> None:
        """Run passes until `stop` is set, about the interval apart and less often while they are idle.

        An error of a pass is passed to `report`, and the next pass runs. `live` is called while a pass works.
        """
        while not stop.is_set():
            idle = False
            try:
                summary = self.tick(stop=stop, progress=lambda _done, _total: live())
                idle = summary.is_idle
                report(summary)
            except BotError as error:
                self._failed(error, report)
            except Exception as error:  # noqa: BLE001 -- a fault of one pass must not end the bot
                self._failed(UnexpectedError.of(error), report)
            stop.wait(self._schedule.next_wait(interval_s, idle=idle))

    def _failed(self, error: BotError, report: Callable[[Summary | BotError], None]) -> None:
        with contextlib.suppress(Exception):  # the database may be what failed
            self._store.set_last_error(self._redact(f"the pass failed: {error}"), failed=True)
        report(error)

    def _attempt(self, part: str, summary: Summary, stop: threading.Event, work: Callable[[], None]) -> bool:
        """Run a part unless it is paused, and return whether it succeeded; its errors do not affect the other parts."""
        if stop.is_set():
            return False
        if reason := self._schedule.waits_for(part):
            summary.notices.append(reason)
            if before := self._schedule.reason_of(part):
                summary.waiting.append(self._redact(f"{part}: {before}"))
            return False
        try:
            work()
        except NetworkError as error:
            self._schedule.failed(part, error)
            summary.failed_parts.append(part)
            summary.problems.append(self._redact(f"{part}: {error}"))
        except InputError as error:
            summary.failed_parts.append(part)
            summary.problems.append(self._redact(str(error)))
        except BotError:
            raise  # the database, which every part needs
        except Exception as error:  # noqa: BLE001 -- a fault of one part must not stop the others
            fault = UnexpectedError.of(error)
            self._schedule.failed(part, NetworkUnavailableError(str(fault)))
            summary.failed_parts.append(part)
            summary.problems.append(self._redact(f"{part}: {fault}"))
        else:
            self._schedule.succeeded(part)
            return True
        return False

    def _read(self, source: Source, summary: Summary, stop: threading.Event) -> None:
        more = True
        while more and not stop.is_set():
            cursor = self._store.cursor(source.name)
            page = source.read(cursor, _PAGE)
            added = self._store.add_page(source.name, page)
            summary.source_posts_read += added
            summary.source_posts_known += len(page.source_posts) - added
            summary.odd_items += len(page.odd_items)
            summary.notices += [page.notice] if page.notice else []
            # A server that shows the same page for ever must not keep the bot from the rest of its work.
            more = page.more and page.cursor != cursor
