"""Writing of a source post's candidates: songs -> lookups -> samples -> candidates."""

from __future__ import annotations

import threading
from collections.abc import Callable, Collection
from dataclasses import dataclass, replace
from datetime import datetime

from bot.domain.candidates import Candidate, Flag
from bot.domain.errors import SongRefusedError
from bot.domain.post_text import Draft
from bot.domain.songs.parser import parse_songs
from bot.domain.songs.song import Song, SongReport
from bot.domain.source_posts import Kind, SourcePost, SourcePostStatus
from bot.ports import CommentaryService, SongFacts, SongHistory, SongResolver, WrittenSample
from bot.services.post_rules import PostRules
from bot.services.schedule import Clock
from bot.services.summary import ServiceOptions
from handlers.contract import MAX_GENRES, MAX_TEXT_LENGTH, CommentaryRequest, ContractError
from serving.telemetry import names
from serving.telemetry.current import working

NO_SONG_ASKED = "a mention without a song"
"""Reason that is stored with a mention in which no song was found."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """Result of a source post that was processed to the end."""

    status: SourcePostStatus
    reports: tuple[SongReport, ...] = ()
    """Songs for which the model server returned samples."""
    candidates: tuple[Candidate, ...] = ()
    reason: str = ""
    short_of: tuple[str, ...] = ()
    """Experiments of which an arm did not answer; the others wrote the candidates."""
    songs_repeated: int = 0
    fresh_since: datetime | None = None
    """Time after which a song of another source post counts as a repeat; None if repeats are allowed."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Candidates:
    """Candidates of one song."""

    made: tuple[Candidate, ...]
    short_of: str = ""
    """Experiment of which an arm did not answer; empty if all did."""


class StoppedError(Exception):
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
        own_handles: the bot's own handles on a network, which no name of a song contains.
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
        own_handles: Callable[[str], Collection[str]] = lambda _network: (),
    ) -> None:
        self._history = history
        self._own_handles = own_handles
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
        with working(names.WRITE_CANDIDATES, {names.SOURCE_POST: source_post.id}) as work:
            outcome = self._handle(source_post, stop)
            work.note({names.SONGS: len(outcome.reports), names.CANDIDATES: len(outcome.candidates)})
            return outcome

    def _handle(self, source_post: SourcePost, stop: threading.Event) -> Outcome:
        is_request = source_post.kind is Kind.MENTION
        songs = parse_songs(
            source_post.text,
            is_artist=self._resolver.is_artist,
            is_request=is_request,
            own=self._own_handles(source_post.network),
        )
        reports: list[SongReport] = []
        candidates: list[Candidate] = []
        refusals: list[str] = []
        short_of: list[str] = []
        sure = [song for song in songs if song.confidence >= self._options.min_confidence]
        fresh_since = self._fresh_since(source_post)
        repeated = 0
        for number, song in enumerate(sure, start=1):
            if stop.is_set():
                raise StoppedError
            if self._has_come(song, fresh_since):
                repeated += 1
                continue
            facts = self._resolver.resolve(song)
            report = self.report(source_post, number, song, facts)
            try:
                found = self.candidates(source_post, report, namesakes=facts.namesakes)
                candidates += found.made
                short_of += [found.short_of] if found.short_of else []
                reports.append(report)
            except (SongRefusedError, ContractError) as error:
                refusals.append(f"song {number}, {song.title!r}: {error}")
        status = SourcePostStatus.FAILED if refusals else SourcePostStatus.DONE if sure else SourcePostStatus.NO_SONG
        return Outcome(
            status=status,
            reports=tuple(reports),
            candidates=tuple(candidates),
            reason=NO_SONG_ASKED if is_request and not sure else "; ".join(refusals),
            short_of=tuple(dict.fromkeys(short_of)),
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

    def candidates(self, source_post: SourcePost, report: SongReport, *, namesakes: bool = False) -> Candidates:
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
            rank_by=self._options.rank_by,
            # The key by which a router may keep all samples of a source post on one model version.
            unit=report.source_post_id[:MAX_TEXT_LENGTH],
        )
        song = self._commentary.generate(request)
        made = [
            replace(
                self._candidate(source_post, report, number, written),
                experiment=song.experiment,
                trace_id=song.trace_id,
            )
            for number, written in enumerate(song.samples, start=1)
        ]
        if namesakes:
            made = [replace(each, flags=(*each.flags, Flag.NAMESAKES)) for each in made]
        return Candidates(made=tuple(made), short_of=song.experiment if song.arms_failed else "")

    def _candidate(self, source_post: SourcePost, report: SongReport, number: int, written: WrittenSample) -> Candidate:
        sample = written.sample
        draft = Draft(text=sample.text, report=report, source_post=source_post)
        return Candidate(
            report=report,
            number=number,
            sample=sample,
            model=written.model.name,
            model_version=written.model.version,
            archive_sha256=written.model.archive_sha256,
            genres_unknown=written.genres_unknown,
            flags=self._rules.flags_of(draft) if self._rules is not None else (),
            score=sample.log_prob / max(1, sample.token_count),
            exposure_id=written.exposure_id,
        )
