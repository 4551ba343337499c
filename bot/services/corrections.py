"""Songs as curators correct or add them: new samples for what the parser or a lookup got wrong."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime

from bot.domain.candidates import Candidate
from bot.domain.errors import InputError
from bot.domain.post_text import Draft
from bot.domain.songs.song import Song, SongReport
from bot.domain.source_posts import SourcePost
from bot.ports import QueueRow, SongFacts, SongResolver
from bot.services.commentary_writer import CommentaryWriter
from bot.services.post_rules import PostRules
from handlers.contract import MAX_GENRES, MAX_TEXT_LENGTH, CommentaryRequest, CommentaryResponse

BY_CURATOR = "curator"
"""Origin of genres that a curator typed."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SongNames:
    """Artist, title and genres as a curator typed them."""

    artist: str
    title: str
    genres: tuple[str, ...] = ()
    """Empty if they are to be looked up."""

    def __post_init__(self) -> None:
        for name, text in (("artist", self.artist), ("title", self.title)):
            if not text.strip():
                raise InputError(f"a song needs its {name}; what is not a song is marked as that instead")
            if len(text) > MAX_TEXT_LENGTH:
                raise InputError(f"{name} has at most {MAX_TEXT_LENGTH} characters, got {len(text)}")
        if len(self.genres) > MAX_GENRES:
            raise InputError(f"a song has at most {MAX_GENRES} genres, got {len(self.genres)}")


class SongCorrector:
    """Writer of the candidates of a song that a curator changed or added. It does not use the store.

    Args:
        resolver: looks up the genres that a curator leaves open.
        writer: asks the model server for samples.
        rules: flags the posts of texts.
    """

    def __init__(self, *, resolver: SongResolver, writer: CommentaryWriter, rules: PostRules) -> None:
        self._resolver = resolver
        self._writer = writer
        self._rules = rules

    def change(self, before: QueueRow, names: SongNames, *, number: int) -> list[Candidate]:
        """Write candidates for the song as it is now.

        Args:
            before: a candidate of the song as it was.
            names: the song as the curator typed it.
            number: number of the changed song in its source post.

        Raises:
            InputError: nothing was changed.
            SongRefusedError, SongFailedError, NoServiceError: the model server does not write samples.
        """
        report = before.candidate.report
        song = report.song
        if (names.artist, names.title, names.genres) == (report.artist, song.title, report.genres):
            raise InputError("the song is the same as before: change its artist, title or genres")
        if names.artist != report.artist:
            song = replace(song, artists=(names.artist,), featured=(), cover_of=None)
        song = replace(song, title=names.title, confidence=1.0)
        facts = SongFacts(artist=names.artist, genres=names.genres, origin=BY_CURATOR)
        if not names.genres:
            facts = replace(self._resolver.resolve(song), artist=names.artist)
        changed = self._writer.report(before.source_post, number, song, facts)
        return list(self._writer.candidates(before.source_post, changed).made)

    def add(
        self, request: CommentaryRequest, response: CommentaryResponse, *, text: str, who: str
    ) -> tuple[SourcePost, Sequence[Candidate]]:
        """Make candidates of samples that a curator tried, with a source post of their own.

        The same samples are the same source post, so that no repetition of a request adds them twice.

        Raises:
            InputError: the request does not name a song.
        """
        names = SongNames(artist=request.artist or "", title=request.title or "", genres=tuple(request.genres))
        model = response.model
        parts = (names.artist, names.title, *names.genres, model.name, model.version, model.archive_sha256)
        key = "\x1f".join((*parts, *(f"{sample.seed} {sample.text}" for sample in response.samples)))
        post = SourcePost(
            id=f"studio:{hashlib.sha256(key.encode('utf-8', 'replace')).hexdigest()[:16]}",
            text=text or f"{names.artist} – {names.title}",
            author=who,
            created_at=datetime.now(UTC).isoformat(timespec="seconds"),
        )
        report = SongReport(
            source_post_id=post.id,
            number=1,
            song=Song(artists=(names.artist,), title=names.title, confidence=1.0),
            artist=names.artist,
            genres=names.genres,
            origin=BY_CURATOR if names.genres else "",
        )
        return post, [
            Candidate(
                report=report,
                number=number,
                sample=sample,
                model=model.name,
                model_version=model.version,
                archive_sha256=model.archive_sha256,
                genres_unknown=response.genres_unknown,
                flags=self._rules.flags_of(Draft(text=sample.text, report=report, source_post=post)),
                score=sample.log_prob / max(1, sample.token_count),
            )
            for number, sample in enumerate(response.samples, start=1)
        ]
