"""Genres and flags from settings to queue: requests to the gateway, flags for the curator."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from bot.adapters.sqlite.store import SqliteStore
from bot.bootstrap import build as bootstrap
from bot.domain.candidates import Flag
from bot.domain.check import CheckStatus
from bot.domain.errors import InputError
from bot.entrypoints.check_command import check
from bot.ports import QueueRow
from bot.sections import GenreSettings, ScreenSettings
from bot.settings import BotSettings


def settings(gateway: Any, feed: Path, catalog: Path, workspace: Path, **sections: Any) -> BotSettings:
    workspace.mkdir(exist_ok=True)
    return BotSettings(
        workspace=workspace,
        feed=feed,
        catalog=catalog,
        target=gateway.target,
        num_samples=2,
        **sections,
    )


def rows_after_a_pass(configured: BotSettings) -> list[QueueRow]:
    with bootstrap.build(configured) as bot:
        bot.tick()
    with SqliteStore(configured.database) as store:
        return list(store.rows())


@pytest.fixture
def labels(tmp_path: Path) -> Path:
    path = tmp_path / "genres.json"
    path.write_text(json.dumps(["pop", "noise"]), encoding="utf-8")
    return path


def test_the_model_is_asked_in_its_own_genres_and_the_queue_keeps_the_artists(
    gateway: Any, feed_path: Path, catalog_path: Path, labels: Path, tmp_path: Path
) -> None:
    genre_map = tmp_path / "map.csv"
    genre_map.write_text("genre,x,y\npop,0,0\nnoise,9,9\ntechno,8.7,8.7\n", encoding="utf-8")
    sections = {"genres": GenreSettings(labels=labels, map=genre_map)}
    rows = rows_after_a_pass(settings(gateway, feed_path, catalog_path, tmp_path / "w", **sections))
    asked = {request.title: tuple(request.genres) for request in gateway.requests}
    assert asked["Slow Lamp"] == ("pop",)
    assert asked["Tin Sea"] == ("noise",)
    assert asked["Rye"] == ()
    kept = {row.candidate.report.song.title: row.candidate.report.genres for row in rows}
    assert kept["Slow Lamp"] == ("dream pop", "slowcore")
    assert kept["Tin Sea"] == ("techno",)
    shown = {row.candidate.report.song.title: row.candidate.report.genres_asked for row in rows}
    assert shown["Slow Lamp"] == ("pop",)


def test_curators_are_told_of_copies_and_of_words_that_are_never_posted(
    gateway: Any, feed_path: Path, catalog_path: Path, tmp_path: Path
) -> None:
    before = rows_after_a_pass(settings(gateway, feed_path, catalog_path, tmp_path / "before"))
    assert {row.candidate.flags for row in before} == {()}
    known = [row.text for row in before if row.candidate.report.song.title == "Slow Lamp"]
    (tmp_path / "sentences.txt").write_text("\n".join(known), encoding="utf-8")
    (tmp_path / "ours.txt").write_text("rye", encoding="utf-8")
    screen = ScreenSettings(sentences=tmp_path / "sentences.txt", slurs=tmp_path / "ours.txt")
    rows = rows_after_a_pass(settings(gateway, feed_path, catalog_path, tmp_path / "after", screen=screen))
    flags = {row.candidate.report.song.title: row.candidate.flags for row in rows}
    # A word of the song's own name is for the curator to judge.
    assert flags == {
        "Slow Lamp": (Flag.COPY,),
        "Tin Sea": (),
        "Moss": (),
        "Rye": (Flag.PROFANITY,),
        "Salt Clock": (),
    }
    (tmp_path / "ours.txt").write_text("take", encoding="utf-8")
    rows = rows_after_a_pass(settings(gateway, feed_path, catalog_path, tmp_path / "again", screen=screen))
    assert all(Flag.BLOCKED in row.candidate.flags for row in rows)


def test_check_says_how_genres_and_flags_are_set_up(
    gateway: Any, feed_path: Path, catalog_path: Path, labels: Path, tmp_path: Path
) -> None:
    genres, screen = GenreSettings(labels=labels), ScreenSettings(sentences=tmp_path / "nowhere.txt")
    good = settings(gateway, feed_path, catalog_path, tmp_path / "w", genres=genres)
    results = {result.part: result for result in check(good)}
    assert (results["genres"].status, results["flags"].status) == (CheckStatus.WORKS, CheckStatus.WORKS)
    assert results["genres"].detail == "2 that the model knows; the nearest one is chosen by company, words"
    bad = settings(gateway, feed_path, catalog_path, tmp_path / "w", screen=screen)
    results = {result.part: result for result in check(bad)}
    assert results["flags"].status is CheckStatus.FAILS
    assert "nowhere.txt" in results["flags"].detail


@pytest.mark.parametrize(
    "sections",
    [
        {"genres": GenreSettings(labels=Path("nowhere.json"))},
        {"screen": ScreenSettings(sentences=Path("nowhere.txt"))},
        {"screen": ScreenSettings(slurs=Path("nowhere.txt"))},
    ],
)
def test_a_file_that_is_missing_is_named_before_anything_is_read(
    sections: dict[str, Any], gateway: Any, feed_path: Path, catalog_path: Path, tmp_path: Path
) -> None:
    configured = settings(gateway, feed_path, catalog_path, tmp_path / "w", **sections)
    with pytest.raises(InputError, match="nowhere"), bootstrap.build(configured):
        pass
    assert gateway.requests == []
