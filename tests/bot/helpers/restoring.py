"""A workspace that is backed up and restored, and an account in memory that outlives the restore."""

from __future__ import annotations

import threading
from collections.abc import Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from types import MappingProxyType

from bot.adapters.sqlite.backup import back_up
from bot.adapters.sqlite.restore import restore
from bot.adapters.sqlite.store import SqliteStore
from bot.domain.candidates import Candidate, Decision, Verdict
from bot.domain.errors import NetworkError
from bot.domain.outgoing_posts import OutgoingPost, OwnPost, PostMode
from bot.domain.post_form import PostForm
from bot.domain.songs.song import Song, SongReport
from bot.domain.source_posts import SourcePost, SourcePostStatus
from bot.ports import FeedPage, Publisher
from bot.services.after_restore import AfterRestore
from bot.services.post_sender import PostSender, PostSenderOptions
from bot.services.schedule import SettleTimer
from bot.services.summary import Summary
from handlers.contract import Sample
from tests.bot.helpers.posting import LIVE, posts, rules
from tests.bot.helpers.set_clock import SetClock

SONGS = MappingProxyType({1: ("Ona Vell", "Slow Lamp"), 2: ("Tor Brisk", "Tin Sea"), 3: ("Mica Dunes", "Salt Clock")})


@dataclass
class Account(Publisher):
    """An account whose posts are in memory, as a network shows them; `fault` is raised by the next look."""

    clock: SetClock
    network: str = "bluesky"
    own: list[OwnPost] = field(default_factory=list)
    fault: NetworkError | None = None
    looks: int = 0

    @property
    def name(self) -> str:
        return self.network

    @property
    def capabilities(self) -> frozenset[PostMode]:
        return frozenset({PostMode.STANDALONE})

    def publish(self, post: OutgoingPost) -> str:
        return self.show(post.text)

    def show(self, text: str, *, is_unread: bool = False) -> str:
        """Add a post, from wherever."""
        post_id = f"{self.network}-{len(self.own) + 1:04}"
        self.own.append(OwnPost(id=post_id, text=text, created_at=self.clock.now().isoformat(), is_unread=is_unread))
        return post_id

    def recent(self, after: str | None) -> Sequence[OwnPost]:
        return [own for own in reversed(self.own) if after is None or own.id > after]

    def back_to(self, after: str | None, since: datetime) -> Iterator[OwnPost]:
        self.looks += 1
        if self.fault is not None:
            raise self.fault
        yield from (
            own for own in reversed(self.own) if not own.is_before(since) or (after is not None and own.id > after)
        )

    @property
    def texts(self) -> list[str]:
        return [own.text for own in self.own]


class Scene:
    """A workspace with a clock and accounts; the first one is posted to."""

    def __init__(self, folder: Path) -> None:
        self.clock = SetClock()
        self.database = folder / "workspace" / "bot.db"
        self.copy = folder / "copy.db"
        self.account = Account(self.clock)
        self.form = PostForm(to="bluesky")

    def store(self) -> closing[SqliteStore]:
        return closing(SqliteStore(self.database, now=self.clock.now))

    def back_up(self) -> None:
        back_up(self.database, self.copy, overwrite=True, now=self.clock.now())

    def restore(self) -> None:
        restore(self.copy, self.database, now=self.clock.now())

    def add(self, song: int, *texts: str) -> list[str]:
        """Add waiting candidates of a song of its own; their ids."""
        artist, title = SONGS[song]
        post = SourcePost(id=f"s{song}", text=f"{title} by {artist}")
        report = SongReport(
            source_post_id=post.id,
            number=1,
            song=Song(artists=(artist,), title=title, confidence=1.0),
            artist=artist,
            genres=(),
        )
        candidates = [
            Candidate(
                report=report,
                number=number,
                sample=Sample(text=text, token_count=4, log_prob=-2.0, topics=(1.0,), seed=number),
                model="m",
                model_version="1",
                archive_sha256="",
            )
            for number, text in enumerate(texts, 1)
        ]
        with self.store() as store:
            store.add_page("feed", FeedPage(source_posts=(post,), cursor="c", more=False))
            assert store.finish(post.id, SourcePostStatus.DONE, candidates=candidates)
        return [candidate.id for candidate in candidates]

    def accept(self, *names: str, text: str | None = None) -> None:
        with self.store() as store:
            store.decide(
                [Verdict(candidate_id=name, decision=Decision.ACCEPT, who="ana", edited_text=text) for name in names]
            )

    def send(
        self, *former: Publisher, verdicts_read: bool = True, options: PostSenderOptions = LIVE, passes: int = 2
    ) -> Summary:
        """Passes of one post sender; the summary of all of them."""
        summary = Summary()
        with self.store() as store:
            sender = PostSender(
                publisher=self.account,
                outbox=store,
                rules=rules(self.form),
                settle_timer=SettleTimer(self.clock, 0),
                clock=self.clock,
                options=options,
                after_restore=AfterRestore(publishers=[self.account, *former], record=store, outbox=store),
            )
            for _ in range(passes):
                sender.run(summary, threading.Event(), verdicts_read=verdicts_read)
        return summary

    def posts(self) -> dict[str, int]:
        with self.store() as store:
            return posts(store)

    def statuses(self) -> dict[str, int]:
        with self.store() as store:
            return {status.value: count for status, count in store.state().candidates.items() if count}
