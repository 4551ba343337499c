"""The bot's work: sources -> songs -> genres -> samples -> queue -> board -> posts, one pass at a time.

A pass reads the sources into the store, handles what is pending there, puts it before the curators and posts what they
accepted. Each part stands alone: where one cannot do its work the others go on, and the next pass tries it again.
"""

from __future__ import annotations

import functools
import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from bot.domain.errors import BotError, InputError, NetworkError
from bot.ports import CommentaryService, Screen, SongHistory, SongResolver, Source, Store
from bot.services.board_sync import PART as BOARD
from bot.services.board_sync import BoardSync
from bot.services.post_sender import PART as PUBLISHER
from bot.services.post_sender import PostSender
from bot.services.schedule import Clock, Schedule
from bot.services.source_posts import CommentaryWriter, Progress, SourcePostProcessor
from bot.services.summary import DEFAULT_OPTIONS, ServiceOptions, Summary

__all__ = ["DEFAULT_OPTIONS", "Bot", "Outputs", "Progress", "ServiceOptions", "Summary"]

_PAGE = 200


@dataclass(frozen=True, slots=True, kw_only=True)
class Outputs:
    """Where candidates go from the queue; a bot does without either."""

    board_sync: BoardSync | None = None
    post_sender: PostSender | None = None


class Bot:
    """Reads, asks, stores, shows, posts.

    Args:
        sources: where tweets come from.
        resolver: what is known of a song.
        commentary: who writes.
        store: what the bot remembers; used by the thread that calls `tick` alone.
        screen: what curators should know of a text.
        history: which songs came before.
        outlets: the board and the poster.
        options: how it works.
        clock: tells the time.
        redact: takes secrets out of what other services say.
    """

    def __init__(
        self,
        *,
        sources: Sequence[Source],
        resolver: SongResolver,
        commentary: CommentaryService,
        store: Store,
        screen: Screen | None = None,
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
        clock = clock or Clock()
        self._schedule = Schedule(store, clock)
        self._writer = CommentaryWriter(
            resolver=resolver, commentary=commentary, screen=screen, options=options, history=history, clock=clock
        )

    def tick(self, *, progress: Progress | None = None, stop: threading.Event | None = None) -> Summary:
        """One pass over what is new, what is pending and what was accepted.

        A model server that is away ends the handling early, with the reason in `Summary.outage`; a source, the board
        or the network that cannot be used is named in `Summary.problems`. What was not done is done by a later pass.

        Args:
            progress: called after each tweet.
            stop: once it is set, nothing new is begun; requests in flight get `ServiceOptions.grace_s` seconds, after
                which the commentary service is closed.

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
        ).run(progress)
        summary.source_posts_pending = self._store.count_pending()
        board_sync, post_sender = self._outputs.board_sync, self._outputs.post_sender
        if board_sync is not None:
            self._attempt(BOARD, summary, stop, functools.partial(board_sync.run, summary, stop))
        if post_sender is not None:
            self._attempt(PUBLISHER, summary, stop, functools.partial(post_sender.run, summary, stop))
        self._store.set_last_error("; ".join(filter(None, [*summary.problems, summary.outage])) or None)
        return summary

    def run(self, *, interval_s: float, stop: threading.Event, report: Callable[[Summary | BotError], None]) -> None:
        """Passes until `stop` is set, about the interval apart and rarer while nothing comes.

        What goes wrong in one is reported, and the next tries.
        """
        while not stop.is_set():
            idle = False
            try:
                summary = self.tick(stop=stop)
                idle = summary.is_idle
                report(summary)
            except BotError as error:
                report(error)
            stop.wait(self._schedule.next_wait(interval_s, idle=idle))

    def _attempt(self, part: str, summary: Summary, stop: threading.Event, work: Callable[[], None]) -> None:
        """Do a part's work, unless it has to rest; what goes wrong there stays there."""
        if stop.is_set():
            return
        if reason := self._schedule.waits_for(part):
            summary.notices.append(reason)
            return
        try:
            work()
        except NetworkError as error:
            self._schedule.failed(part, error)
            summary.problems.append(self._redact(f"{part}: {error}"))
        except InputError as error:
            summary.problems.append(self._redact(str(error)))
        else:
            self._schedule.succeeded(part)

    def _read(self, source: Source, summary: Summary, stop: threading.Event) -> None:
        more = True
        while more and not stop.is_set():
            page = source.read(self._store.cursor(source.name), _PAGE)
            added = self._store.add_page(source.name, page)
            summary.source_posts_read += added
            summary.source_posts_known += len(page.source_posts) - added
            summary.bad_rows += len(page.bad_rows)
            summary.notices += [page.notice] if page.notice else []
            more = page.more
