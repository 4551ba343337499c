"""Accepted candidates, and a file that answers like a network, for tests of what is posted."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from pathlib import Path

from bot.adapters.files.publisher import FilePublisher
from bot.adapters.files.word_lists import SafetypeWords
from bot.adapters.sqlite.store import SqliteStore
from bot.domain.candidates import Candidate, Decision, Verdict
from bot.domain.errors import NetworkError
from bot.domain.outgoing_posts import OutgoingPost, OwnPost, PostMode
from bot.domain.pace import Pace
from bot.domain.post_form import PostForm
from bot.domain.post_text import Template, Templates
from bot.domain.songs.song import Song, SongReport
from bot.domain.source_posts import SourcePost, SourcePostStatus
from bot.ports import FeedPage
from bot.services.post_rules import PostRules
from bot.services.post_sender import PostSender, PostSenderOptions
from bot.services.screening import TextScreen
from bot.services.summary import Summary
from handlers.contract import Sample


class Account(FilePublisher):
    """A file that answers like a network: `faults` are raised before or after the next calls are applied."""

    def __init__(self, path: Path) -> None:
        super().__init__(path)
        self.path = path
        self.faults: list[tuple[NetworkError | None, bool]] = []
        self.looks = 0

    def publish(self, post: OutgoingPost) -> str:
        error, applied = self.faults.pop(0) if self.faults else (None, True)
        posted = super().publish(post) if applied else ""
        if error is not None:
            raise error
        return posted

    def recent(self, after: str | None) -> Sequence[OwnPost]:
        self.looks += 1
        return super().recent(after)

    @property
    def texts(self) -> list[str]:
        return [own.text for own in reversed(super().recent(None))]


LIVE = PostSenderOptions(dry_run=False, pace=Pace(per_day=100), per_pass=100)
ALONE = Templates(post=Template("{text}"))
FILE = PostForm(to="file", able=frozenset(PostMode), templates=ALONE)
WORDS = SafetypeWords(["unsayable"])


def rules(form: PostForm = FILE) -> PostRules:
    return PostRules(form=form, words=WORDS, screen=TextScreen(words=WORDS))


def one_pass(sender: PostSender) -> Summary:
    """One pass; its summary."""
    summary = Summary()
    sender.run(summary, threading.Event())
    return summary


def posts(store: SqliteStore) -> dict[str, int]:
    """Number of posts of each status that there is."""
    return {status.value: count for status, count in store.state().posts.items() if count}


def accept(
    store: SqliteStore, *texts: str, source_post: SourcePost | None = None, first: int = 1, title: str = "Moss"
) -> list[str]:
    """Add candidates with these texts, about one song, accepted; their ids."""
    ids = []
    for number, text in enumerate(texts, start=first):
        item = source_post or SourcePost(id=f"t{number}", text="Moss by Ona")
        store.add_page("feed", FeedPage(source_posts=(item,), cursor="c", more=False))
        report = SongReport(
            source_post_id=item.id,
            number=1,
            song=Song(artists=("Ona",), title=title, confidence=1.0),
            artist="Ona",
            genres=(),
        )
        sample = Sample(text=text, token_count=4, log_prob=-2.0, topics=(1.0,), seed=1)
        kept = Candidate(report=report, number=1, sample=sample, model="m", model_version="1", archive_sha256="")
        assert store.finish(item.id, SourcePostStatus.DONE, candidates=[kept])
        store.decide([Verdict(candidate_id=kept.id, decision=Decision.ACCEPT, who="ana")])
        ids.append(kept.id)
    return ids
