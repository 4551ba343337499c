"""Views of songs and candidates for the templates."""

from __future__ import annotations

import difflib
import html
import re
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Protocol

from bot.domain.candidates import CandidateStatus, Flag
from bot.domain.outgoing_posts import OutgoingPostStatus
from bot.domain.post_form import Preview
from bot.domain.songs.song import SongReport
from bot.domain.source_posts import SourcePost, web_address
from bot.ports import DeskRow, LiveVersion, QueueRow, SongRows
from bot.services.post_waits import PostWait

ALL_BARS = 4
"""Maximum topics that all have a bar on a card; of more topics, the desired one and the two largest others have one."""
_FEW_BARS = 3
_NEWS = 3
"""Percent below which a bar says nothing on a card, unless it is the desired topic's."""
LONG_TEXT = 420
"""Characters of a source post above which it is folded."""
_OUT = {OutgoingPostStatus.PENDING, OutgoingPostStatus.SENDING, OutgoingPostStatus.SENT, OutgoingPostStatus.UNKNOWN}
_FLAGS = {
    Flag.PROFANITY: "contains a word of a profanity list",
    Flag.COPY: "contains a long run of words of the training text",
    Flag.TOO_LONG: "longer than the network accepts: edit it first",
    Flag.REPEAT: "the same text was posted before",
    Flag.LINK: "the post has a link, for which X charges more",
    Flag.MENTION: "the post names an account, which will be notified",
    Flag.HASHTAG: "the post has a hashtag",
    Flag.PLACEHOLDER: "has a placeholder that should have been replaced",
    Flag.DOUBLED: "has a word twice in a row",
    Flag.NAMESAKES: "several artists may have this name: the genres may be another's",
    Flag.HIDDEN: "has a character that no reader sees: take it out first",
    Flag.BLOCKED: "contains a slur: never posted, whatever the verdict",
}


_GRAVE = frozenset({Flag.TOO_LONG, Flag.HIDDEN, Flag.BLOCKED})
"""Flags with which a text is not accepted."""
_WORD = re.compile(r"[^\W\d_][^\s/,]*")
"""Pattern of the first word of a topic's name, such as "4 bass/vocal/vocals"."""


class Known(Protocol):
    """Source of a candidate's model version and flags."""

    def find_version(self, model: str, version: str) -> LiveVersion | None:
        """Return a model's version if it is live."""

    def flags(self, row: QueueRow) -> tuple[Flag, ...]:
        """Return the flags of a candidate's post."""

    def wait_of(self, candidate_id: str) -> PostWait | None:
        """Return what a candidate's post waits for; None if it is not to be sent."""

    def preview(self, row: QueueRow) -> Preview:
        """Return a candidate's post as it will be sent."""

    @property
    def hides_topics(self) -> bool:
        """Whether the topics of a candidate that waits are not shown, since they tell its version."""

    def objection(self, row: QueueRow) -> str:
        """Return the reason why a candidate may not be accepted as it is; empty without one."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Bar:
    """Share of one topic in a sample."""

    name: str
    short: str
    """First word of the name, if that distinguishes the topics."""
    percent: int
    desired: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class FlagView:
    """A flag and its meaning."""

    name: str
    meaning: str
    grave: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Edit:
    """A run of words that an edit kept ("keep"), deleted ("del") or inserted ("ins")."""

    kind: str
    text: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Card:
    """View of a candidate."""

    row: QueueRow
    verdict_id: int
    bars: tuple[Bar, ...]
    main: tuple[Bar, ...]
    """The `bars` that are shown without unfolding."""
    post: OutgoingPostStatus | None
    """Status of the candidate's post; None without a post."""
    wait: PostWait | None
    """Reason why the post is not sent yet; None if it is not to be sent."""
    flags: tuple[FlagView, ...]
    """Flags of the text that would be posted."""
    preview: Preview
    """The post as it will be sent."""
    objection: str
    """Reason why the text may not be accepted as it is; empty without one."""

    @property
    def blocked(self) -> bool:
        """Whether the text has to be edited before it can be accepted."""
        return bool(self.objection)

    @property
    def edits(self) -> list[Edit]:
        """The curator's changes, word by word; empty without changes."""
        text = self.row.candidate.sample.text
        return [] if text == self.row.text else word_edits(text, self.row.text)


@dataclass(frozen=True, kw_only=True)
class SongView:
    """View of a song with its candidates."""

    place: str
    report: SongReport
    source_post: SourcePost
    cards: tuple[Card, ...]

    @cached_property
    def waiting(self) -> tuple[Card, ...]:
        """Candidates without a verdict."""
        return tuple(card for card in self.cards if card.row.candidate.status is CandidateStatus.WAITING)

    @property
    def unknown(self) -> frozenset[str]:
        """Genres that the model does not know; versions differ in them, so that blind candidates tell none."""
        candidates = (card.row.candidate for card in self.cards)
        return frozenset(genre for each in candidates if not each.is_blind for genre in each.genres_unknown)

    @property
    def source(self) -> str:
        """Text of the source post without entities: networks write `&amp;` for an ampersand."""
        return html.unescape(self.source_post.text)

    @property
    def long(self) -> bool:
        """Whether the source post is folded."""
        return len(self.source_post.text) > LONG_TEXT or self.source_post.text.count("\n") > 8

    @property
    def link(self) -> str:
        """Web address of the source post; empty if unknown."""
        return source_link(self.source_post)

    @property
    def listen(self) -> str:
        """Web address to listen to the song; empty if unknown."""
        return web_address(self.report.url)


def song_view(song: SongRows, known: Known) -> SongView:
    """Build the view of a song for the queue."""
    return SongView(
        place=song.place,
        report=song.report,
        source_post=song.source_post,
        cards=tuple(card_view(row, known) for row in song.rows),
    )


def card_view(row: DeskRow, known: Known) -> Card:
    """Build the view of a candidate for the queue."""
    candidate = row.row.candidate
    version = known.find_version(candidate.model, candidate.model_version)
    is_bare = candidate.is_blind or (candidate.status is CandidateStatus.WAITING and known.hides_topics)
    bars = () if is_bare else topic_bars(candidate.sample.topics, version)
    return Card(
        row=row.row,
        verdict_id=row.verdict_id,
        bars=bars,
        main=main_bars(bars),
        post=row.post,
        wait=known.wait_of(candidate.id),
        flags=tuple(
            FlagView(name=flag.value, meaning=_FLAGS[flag], grave=flag in _GRAVE)
            for flag in known.flags(row.row)
            # The text of a sent post is always a repeat of itself.
            if not (flag is Flag.REPEAT and row.post in _OUT)
        ),
        preview=known.preview(row.row),
        objection=known.objection(row.row) if candidate.status is not CandidateStatus.ACCEPTED else "",
    )


def topic_bars(shares: Sequence[float], version: LiveVersion | None) -> tuple[Bar, ...]:
    """Build the bars of a sample's topics, with names if the version that generated it is live.

    >>> [bar.name for bar in topic_bars((0.25, 0.75), None)]
    ['topic 0', 'topic 1']
    """
    named = version is not None and len(version.topics) == len(shares)
    names = version.topics if version is not None and named else [f"topic {number}" for number in range(len(shares))]
    words = [_WORD.search(name) for name in names] if named else []
    firsts = [word[0] for word in words if word is not None]
    shorts = firsts if len(set(firsts)) == len(names) else names
    bars = [
        Bar(
            name=name,
            short=short,
            percent=round(100 * min(max(share, 0.0), 1.0)),
            desired=version is not None and named and name == version.desired_topic,
        )
        for name, short, share in zip(names, shorts, shares, strict=True)
    ]
    return tuple(bars)


def main_bars(bars: Sequence[Bar]) -> tuple[Bar, ...]:
    """Return the bars that say something and fit on a card; of too many, the desired topic's comes first."""
    if len(bars) <= ALL_BARS:
        return tuple(bars)
    telling = [bar for bar in bars if bar.desired or bar.percent >= _NEWS]
    return tuple(sorted(telling or bars, key=lambda bar: (not bar.desired, -bar.percent))[:_FEW_BARS])


def source_link(source_post: SourcePost) -> str:
    """Return the web address of a source post; an empty string if it is unknown or not safe to follow."""
    return source_post.link


def word_edits(before: str, after: str) -> list[Edit]:
    """Return the difference of two texts in runs of words.

    >>> [(edit.kind, edit.text) for edit in word_edits("A slow lamp.", "A warm lamp.")]
    [('keep', 'A'), ('del', 'slow'), ('ins', 'warm'), ('keep', 'lamp.')]
    """
    old, new = before.split(), after.split()
    edits: list[Edit] = []
    for tag, old_start, old_end, new_start, new_end in difflib.SequenceMatcher(None, old, new, False).get_opcodes():
        if tag == "equal":
            edits.append(Edit(kind="keep", text=" ".join(old[old_start:old_end])))
            continue
        edits += [Edit(kind="del", text=" ".join(old[old_start:old_end]))] if old_end > old_start else []
        edits += [Edit(kind="ins", text=" ".join(new[new_start:new_end]))] if new_end > new_start else []
    return edits
