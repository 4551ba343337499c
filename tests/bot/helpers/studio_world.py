"""Songs and verdicts as the tests need them, and a client that speaks to the studio as a program would."""

from __future__ import annotations

import http.client
import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from html import unescape
from pathlib import Path
from urllib.parse import urlencode, urlsplit

from bot.adapters.sqlite.store import SqliteStore
from bot.domain.candidates import Candidate, CandidateStatus, Decision, Flag, Verdict
from bot.domain.outgoing_posts import OutgoingPostStatus, PostMode
from bot.domain.songs.song import Song, SongReport, credit
from bot.domain.source_posts import SourcePost, SourcePostStatus
from bot.ports import FeedPage
from handlers.contract import FinishReason, Sample

HOSTILE = "<script>document.title='owned'</script><img src=x onerror=\"document.title='owned'\">&amp;'\""
RTL = "\N{RIGHT-TO-LEFT MARK}الصوت دافئ والطبول بعيدة \N{RIGHT-TO-LEFT OVERRIDE}abc"
LONG_WORD = "Unbreakable" * 30


def add_song(
    store: SqliteStore,
    source_post: SourcePost,
    texts: list[str],
    *,
    artist: str = "Ona Vell",
    title: str = "Slow Lamp",
    genres: tuple[str, ...] = ("dream pop",),
    genres_asked: tuple[str, ...] = (),
    version: str = "3",
    flags: Mapping[int, tuple[Flag, ...]] | None = None,
    url: str = "",
    finish_reason: FinishReason | None = None,
    scores: tuple[float | None, ...] = (),
) -> list[str]:
    """Add a source post with a song and a candidate for each text; the candidates' ids."""
    store.add_page("test", FeedPage(source_posts=(source_post,), cursor=source_post.id, more=False))
    song = Song(artists=(artist,), title=title, confidence=0.9)
    report = SongReport(
        source_post_id=source_post.id,
        number=1,
        song=song,
        artist=credit(song.artists),
        genres=genres,
        genres_asked=genres_asked,
        origin="table",
        url=url,
    )
    candidates = [
        Candidate(
            report=report,
            number=number,
            sample=Sample(
                text=text,
                token_count=9,
                log_prob=-20.5,
                topics=(0.125, 0.875),
                seed=100 + number,
                finish_reason=finish_reason,
            ),
            model="lcgan",
            model_version=version,
            archive_sha256="ab" * 32,
            flags=(flags or {}).get(number, ()),
            score=scores[number - 1] if scores else None,
        )
        for number, text in enumerate(texts, start=1)
    ]
    assert store.finish(source_post.id, SourcePostStatus.DONE, candidates=candidates)
    return [candidate.id for candidate in candidates]


def accept(store: SqliteStore, *ids: str, text: str | None = None) -> None:
    store.decide(Verdict(candidate_id=name, decision=Decision.ACCEPT, who="jo", edited_text=text) for name in ids)


def post(
    store: SqliteStore, candidate_id: str, status: OutgoingPostStatus, *, reason: str = "", external_id: str = ""
) -> None:
    """Send an accepted candidate on its way, as far as `status`."""
    store.enqueue_accepted(since=datetime.now(UTC) - timedelta(days=1))
    if status is OutgoingPostStatus.PENDING:
        return
    texts = {post.candidate_id: post.text for post, _ in store.pending_posts(50)}
    assert store.claim(candidate_id, text=texts[candidate_id], network="x", mode=PostMode.STANDALONE, in_reply_to=None)
    if status is not OutgoingPostStatus.SENDING:
        store.set_post(candidate_id, status, external_id=external_id or None, reason=reason)


@dataclass(frozen=True)
class Answer:
    status: int
    headers: Mapping[str, str]
    text: str


class Client:
    """HTTP client of the studio."""

    def __init__(self, address: str) -> None:
        self.address = address
        self.host = urlsplit(address).netloc

    def ask(self, method: str, path: str, *, body: bytes | str = b"", **headers: str) -> Answer:
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        connection = http.client.HTTPConnection(self.host, timeout=20)
        try:
            connection.request(method, path, body=body, headers={"Host": self.host, **named})
            response = connection.getresponse()
            text = response.read().decode()
            return Answer(response.status, {name.lower(): value for name, value in response.getheaders()}, text)
        finally:
            connection.close()

    def get(self, path: str, **headers: str) -> Answer:
        return self.ask("GET", path, **headers)

    def token(self) -> str:
        found = re.search(r'name="token" value="([^"]+)"', self.get("/?status=all").text)
        assert found
        return unescape(found[1])

    def decide(self, fields: list[tuple[str, str]], *, token: str | None = None, **headers: str) -> Answer:
        document = [("token", self.token() if token is None else token), *fields]
        kind = {"Content-Type": "application/x-www-form-urlencoded", **headers}
        return self.ask("POST", "/verdicts", body=urlencode(document), **kind)


class Untouched(Client):
    """A studio whose every candidate waits, whatever was asked of it."""

    def __init__(self, address: str, database: Path) -> None:
        super().__init__(address)
        self._database = database

    def is_undecided(self) -> bool:
        with SqliteStore(self._database) as store:
            state = store.state()
        return state.candidates[CandidateStatus.ACCEPTED] == state.candidates[CandidateStatus.REJECTED] == 0
