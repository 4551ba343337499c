"""Genres that the model was asked for, beside those that the artist has."""

from __future__ import annotations

from pathlib import Path

import pytest

from bot.adapters.files.export import as_document
from bot.adapters.files.feed import FileFeed
from bot.adapters.files.word_lists import SafetypeWords
from bot.adapters.gateway_client import GatewayClient
from bot.adapters.lookups.catalog import EmptyCatalog, FileCatalog
from bot.adapters.sheets.cells import CELLS
from bot.adapters.sqlite.store import SqliteStore
from bot.domain.candidates import Flag
from bot.domain.namesakes import Namesakes
from bot.domain.nearest_genre import NearestGenre
from bot.domain.post_form import PostForm
from bot.domain.source_posts import Kind, SourcePost
from bot.entrypoints.display import queue_table
from bot.ports import FeedPage, QueueRow
from bot.services.genres import ChainResolver
from bot.services.known_genres import KnownGenres
from bot.services.post_rules import PostRules
from bot.services.screening import TextScreen
from bot.services.service import Bot
from tests.bot.helpers.loopback_gateway import LoopbackGateway


@pytest.fixture
def rows(gateway: LoopbackGateway, store: SqliteStore, feed_path: Path, catalog_path: Path) -> dict[str, QueueRow]:
    """First candidate of every song, by title, from a bot whose model knows three genres."""
    nearest = NearestGenre(
        ["indie pop", "dream pop", "techno pop"], artists=[["techno", "techno pop"]] * 3 + [["opera"]] * 9
    )
    service = GatewayClient(gateway.target, model="lcgan", timeout_s=5.0)
    Bot(
        sources=(FileFeed(feed_path),),
        resolver=ChainResolver(table=FileCatalog(catalog_path)),
        commentary=KnownGenres(service, nearest),
        store=store,
    ).tick()
    service.close()
    return {row.candidate.report.song.title: row for row in store.rows() if row.candidate.number == 1}


def test_the_queue_keeps_what_is_known_and_what_was_asked(rows: dict[str, QueueRow], gateway: LoopbackGateway) -> None:
    report = rows["Tin Sea"].candidate.report
    assert (report.genres, report.genres_asked) == (("techno",), ("techno pop",))
    assert report.genre_line == "techno -> techno pop"
    request = next(request for request in gateway.requests if request.title == "Tin Sea")
    assert list(request.genres) == ["techno pop"]


def test_genres_that_the_model_knows_are_asked_as_they_are(rows: dict[str, QueueRow]) -> None:
    report = rows["Moss"].candidate.report
    assert (report.genres, report.genres_asked) == (("dream pop", "slowcore"), ())
    assert report.genre_line == "dream pop, slowcore"


def test_sheet_export_and_terminal_say_what_was_asked(rows: dict[str, QueueRow]) -> None:
    row = rows["Tin Sea"]
    cell = dict(CELLS)["spotifygenres"]
    assert cell(row) == "techno -> techno pop"
    assert as_document(row)["genres_asked"] == ["techno pop"]
    assert "techno -> techno pop" in str(next(iter(queue_table([row]).columns[2].cells)))


def test_a_name_that_several_may_have_is_flagged_and_an_edit_keeps_the_flag(
    gateway: LoopbackGateway, store: SqliteStore, tmp_path: Path
) -> None:
    feed, catalog = tmp_path / "songs.jsonl", tmp_path / "names.jsonl"
    feed.write_text('{"id": "1", "text": "Ferry - Tin Sea"}\n{"id": "2", "text": "Onavell - Tin Sea"}\n')
    catalog.write_text(
        "".join(f'{{"artist": "{name}", "genres": ["pop"]}}\n' for name in ("Ferry", "Pale Ferry", "Onavell"))
    )
    table = FileCatalog(catalog)
    service = GatewayClient(gateway.target, model="lcgan", timeout_s=5.0)
    names = Namesakes(lambda: [(entry.name, entry.genres) for entry in table.entries()])
    resolver = ChainResolver(table=table, namesakes=names)
    Bot(sources=(FileFeed(feed),), resolver=resolver, commentary=service, store=store).tick()
    service.close()
    flags = {row.candidate.report.artist: row.candidate.flags for row in store.rows()}
    assert flags == {"Ferry": (Flag.NAMESAKES,), "Onavell": ()}
    row = next(row for row in store.rows() if row.candidate.flags)
    words = SafetypeWords()
    rules = PostRules(form=PostForm(), words=words, screen=TextScreen(words=words))
    assert Flag.NAMESAKES in rules.flags(row)
    assert Flag.NAMESAKES in rules.flags(row, "Another text.")


def test_a_mention_without_a_song_is_told_and_kept_as_such(gateway: LoopbackGateway, store: SqliteStore) -> None:
    texts = {"1": "@sandboxbot could you do Tin Sea by Ona Vell, please?", "2": "@sandboxbot hello \x1b[2J!"}
    posts = tuple(SourcePost(id=key, text=text, author="ana", kind=Kind.MENTION) for key, text in texts.items())
    page = FeedPage(source_posts=posts, cursor="2", more=False)
    store.add_page("x:mentions", page)
    service = GatewayClient(gateway.target, model="lcgan", timeout_s=5.0)
    summary = Bot(sources=(), resolver=ChainResolver(table=EmptyCatalog()), commentary=service, store=store).tick()
    service.close()
    (row, *_) = store.rows()
    assert (row.candidate.report.artist, row.candidate.report.song.title) == ("Ona Vell", "Tin Sea")
    assert (summary.source_posts_done, summary.source_posts_without_song) == (1, 1)
    (notice,) = summary.notices
    assert notice.startswith("a mention without a song by 'ana', 2: '@sandboxbot hello")
    assert "\x1b" not in notice
