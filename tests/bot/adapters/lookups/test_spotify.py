from __future__ import annotations

import threading
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from bot.adapters.lookups.spotify import SpotifyLookup
from bot.domain.errors import CredentialsError, NetworkUnavailableError, RateLimitedError
from bot.domain.songs.song import Song
from bot.ports import ArtistEntry, SongHit
from bot.sandbox.server import SandboxServer


def open_lookup(sandbox: SandboxServer, **changes: Any) -> SpotifyLookup:
    options: dict[str, Any] = {
        "client_id": sandbox.settings.lookups["spotify"]["client_id"],
        "client_secret": sandbox.settings.lookups["spotify"]["client_secret"],
        "base_url": f"{sandbox.settings.url}/v1/",
        "token_url": f"{sandbox.settings.url}/api/token",
        "timeout_s": 1,
    }
    return SpotifyLookup(**options | changes)


@pytest.fixture
def lookup(sandbox: SandboxServer) -> SpotifyLookup:
    return open_lookup(sandbox)


def song(artist: str, title: str, **fields: Any) -> Song:
    return Song(artists=(artist,), title=title, confidence=1.0, **fields)


def test_a_song_comes_with_spelling_genres_and_address(lookup: SpotifyLookup) -> None:
    hit = lookup.find_song(song("ona vell", "moss"))
    assert hit is not None
    assert hit.url.startswith("https://open.spotify.com/track/")
    assert hit == SongHit(
        artists=("Ona Vell",), title="Moss", genres=("dream pop", "slowcore"), url=hit.url, origin="spotify"
    )


def test_a_song_of_the_same_title_by_somebody_else_is_not_taken(lookup: SpotifyLookup) -> None:
    assert lookup.find_song(song("Tor Brisk", "Moss")) is None


def test_the_first_hit_is_not_taken_blindly(lookup: SpotifyLookup) -> None:
    assert lookup.find_song(song("Nobody Known", "Rye")) is None
    assert lookup.find("Nobody Known") is None


def test_a_name_in_another_spelling_is_found_by_plain_words(lookup: SpotifyLookup) -> None:
    hit = lookup.find_song(song("Mica Dune", "Salt Clocks"))
    assert hit is not None
    assert (hit.artists, hit.title) == (("The Mica Dunes",), "Salt Clock")


@pytest.mark.parametrize("title", ['say "Moss"', '"', "   ", "track:Moss", "Moss" * 200])
def test_a_title_that_looks_like_a_query_breaks_nothing(lookup: SpotifyLookup, title: str) -> None:
    lookup.find_song(song("Ona Vell", title))


def test_a_cover_is_looked_up_as_the_original(lookup: SpotifyLookup) -> None:
    hit = lookup.find_song(song("A Cover Band", "Moss", cover_of="Ona Vell"))
    assert hit is not None
    assert hit.artists == ("Ona Vell",)


def test_an_artist_comes_with_the_genres_that_spotify_gives(lookup: SpotifyLookup) -> None:
    assert lookup.find("ona vell") == ArtistEntry(name="Ona Vell", genres=("dream pop", "slowcore"), origin="spotify")
    assert lookup.find("@onavell") == lookup.find("ona vell")
    for silent in ("Ólöf Brandt", "Pell"):
        assert lookup.find(silent) == ArtistEntry(name=silent, genres=(), origin="spotify")


@pytest.mark.parametrize("genres", [None, [], ["", None, 3]])
def test_genres_that_are_none_are_none(sandbox: SandboxServer, lookup: SpotifyLookup, genres: Any) -> None:
    artist = {"name": "Pell", "id": "1", "genres": genres}
    document = {"artists": {"items": [None, artist]}}
    sandbox.control.fail("spotify.search", kind="json", status=200, document=document)
    entry = lookup.find("Pell")
    assert entry is not None
    assert entry.genres == ()


def test_a_forgotten_token_is_replaced_once(sandbox: SandboxServer, lookup: SpotifyLookup) -> None:
    lookup.find("Pell")
    sandbox.control.fail("spotify.search", kind="expired")
    assert lookup.find("Pell") is not None
    assert len(sandbox.control.calls("spotify.token")) == 2
    sandbox.control.fail("spotify.search", status=401, times=2)
    with pytest.raises(CredentialsError):
        lookup.find("Pell")


def test_a_rate_limit_is_told_and_not_slept_through(sandbox: SandboxServer, lookup: SpotifyLookup) -> None:
    sandbox.control.fail("spotify.search", status=429, headers={"Retry-After": "86400"})
    with pytest.raises(RateLimitedError) as caught:
        lookup.find("Pell")
    assert caught.value.retry_at is not None
    assert abs(caught.value.retry_at - datetime.now(UTC) - timedelta(days=1)) < timedelta(minutes=1)


@pytest.mark.slow
@pytest.mark.parametrize("operation", ["spotify.token", "spotify.search", "spotify.artist"])
@pytest.mark.parametrize(
    "fault",
    [
        {"status": 500},
        {"status": 503},
        {"kind": "html", "status": 502},
        {"kind": "html", "status": 200},
        {"kind": "truncated"},
        {"kind": "hang", "delay_s": 2},
    ],
)
def test_a_fault_of_the_network_is_no_end(
    sandbox: SandboxServer, lookup: SpotifyLookup, operation: str, fault: Mapping[str, Any]
) -> None:
    sandbox.control.fail(operation, **fault)
    with pytest.raises(NetworkUnavailableError, match="Spotify"):
        lookup.find_song(song("Ona Vell", "Moss"))
    assert len(sandbox.control.calls(operation)) == 1, "no call is repeated behind the bot's back"
    assert lookup.find_song(song("Ona Vell", "Moss")) is not None


@pytest.mark.parametrize("operation", ["spotify.token", "spotify.search"])
@pytest.mark.parametrize("document", [{}, {"what": ["what"]}, {"artists": ["what"]}])
def test_an_answer_of_another_shape_is_not_taken_for_nothing_found(
    sandbox: SandboxServer, lookup: SpotifyLookup, operation: str, document: object
) -> None:
    sandbox.control.fail(operation, kind="json", status=200, document=document)
    with pytest.raises(NetworkUnavailableError, match="Spotify"):
        lookup.find("Pell")


def test_an_artist_that_is_gone_has_no_genres(sandbox: SandboxServer, lookup: SpotifyLookup) -> None:
    sandbox.control.fail("spotify.artist", status=404)
    hit = lookup.find_song(song("Ona Vell", "Moss"))
    assert hit is not None
    assert hit.genres == ()


def test_a_wrong_secret_asks_for_a_person_and_does_not_show(sandbox: SandboxServer) -> None:
    wrong = "0" * 32
    with pytest.raises(CredentialsError, match="check the app's id and secret") as caught:
        open_lookup(sandbox, client_secret=wrong).check()
    assert wrong not in str(caught.value)


def test_an_app_whose_keys_are_right_is_told_so(lookup: SpotifyLookup) -> None:
    assert lookup.check() == "the app may search"


def test_a_network_that_is_away_is_unavailable(sandbox: SandboxServer) -> None:
    with pytest.raises(NetworkUnavailableError, match="did not answer"):
        open_lookup(sandbox, token_url="http://127.0.0.1:9").find("Pell")  # noqa: S106 -- an address


def test_nothing_is_written_to_the_working_directory(
    lookup: SpotifyLookup, tmp_path: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    lookup.find("Pell")
    assert list(tmp_path.iterdir()) == []


def test_several_threads_may_ask_at_once(lookup: SpotifyLookup) -> None:
    found: list[SongHit | None] = []
    threads = [threading.Thread(target=lambda: found.append(lookup.find_song(song("Pell", "Moss")))) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert [hit.artists for hit in found if hit is not None] == [("Pell",)] * 4
