from __future__ import annotations

import time
from collections.abc import Mapping
from typing import Any

import pytest
import requests

from bot.adapters.http.json_service import Pace
from bot.adapters.lookups.lastfm import LastfmLookup
from bot.adapters.lookups.musicbrainz import MusicbrainzLookup
from bot.domain.errors import CredentialsError, NetworkError, NetworkUnavailableError, RateLimitedError
from bot.ports import ArtistEntry, GenreLookup
from bot.sandbox.server import SandboxServer


def open_lastfm(sandbox: SandboxServer, **changes: Any) -> LastfmLookup:
    options: dict[str, Any] = {
        "api_key": sandbox.settings.lookups["lastfm"]["api_key"],
        "base_url": sandbox.settings.url,
        "timeout_s": 1,
    }
    return LastfmLookup(**options | changes)


def open_musicbrainz(sandbox: SandboxServer, **changes: Any) -> MusicbrainzLookup:
    options: dict[str, Any] = {
        "contact": "bot@example.org",
        "base_url": sandbox.settings.url,
        "timeout_s": 1,
        "interval_s": 0,
    }
    return MusicbrainzLookup(**options | changes)


@pytest.fixture(params=["lastfm", "musicbrainz"])
def site(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture
def lookup(sandbox: SandboxServer, site: str) -> GenreLookup:
    return open_lastfm(sandbox) if site == "lastfm" else open_musicbrainz(sandbox)


def test_an_artist_that_spotify_has_no_genres_for_has_some_here(lookup: GenreLookup) -> None:
    entry = lookup.find("Ólöf Brandt")
    assert entry is not None
    assert (entry.name, entry.genres) == ("Ólöf Brandt", ("ambient", "modern classical"))


def test_each_says_where_its_genres_are_from(sandbox: SandboxServer) -> None:
    assert open_lastfm(sandbox).find("pell") == ArtistEntry(name="Pell", genres=("shoegaze",), origin="last.fm")
    entry = open_musicbrainz(sandbox).find("pell")
    assert entry == ArtistEntry(name="Pell", genres=("shoegaze",), origin="musicbrainz")


@pytest.mark.slow
@pytest.mark.parametrize("name", ["Nobody Known", "", "@", '"', "\\", "a" * 1000, "音楽", 'AC/DC" OR artist:"Pell'])
def test_a_name_that_nobody_has_is_not_known(lookup: GenreLookup, name: str) -> None:
    assert lookup.find(name) is None


@pytest.mark.slow
@pytest.mark.parametrize(
    "fault",
    [
        {"status": 500},
        {"kind": "html", "status": 502},
        {"kind": "html", "status": 200},
        {"kind": "json", "status": 200, "document": ["what"]},
        {"kind": "json", "status": 200, "document": {"what": None}},
        {"kind": "truncated"},
        {"kind": "hang", "delay_s": 2},
    ],
)
def test_a_fault_of_the_network_is_no_end(
    sandbox: SandboxServer, site: str, lookup: GenreLookup, fault: Mapping[str, Any]
) -> None:
    sandbox.control.fail(f"{site}.*", **fault)
    with pytest.raises(NetworkUnavailableError):
        lookup.find("Pell")
    assert lookup.find("Pell") is not None


@pytest.mark.parametrize(
    ("site", "status"), [("lastfm", 429), ("musicbrainz", 503), ("musicbrainz", 429)], indirect=["site"]
)
def test_a_rate_limit_says_when_to_come_back(
    sandbox: SandboxServer, site: str, lookup: GenreLookup, status: int
) -> None:
    sandbox.control.fail(f"{site}.*", status=status, headers={"retry-after": "30"})
    with pytest.raises(RateLimitedError) as caught:
        lookup.find("Pell")
    assert caught.value.retry_at is not None


def test_a_wrong_key_asks_for_a_person_and_never_shows(sandbox: SandboxServer) -> None:
    key = "0" * 32
    with pytest.raises(CredentialsError, match="API key") as caught:
        open_lastfm(sandbox, api_key=key).check()
    assert key not in str(caught.value)
    with pytest.raises(NetworkError) as away:
        open_lastfm(sandbox, api_key=key, base_url="http://127.0.0.1:9").find("Pell")
    assert key not in str(away.value)
    assert away.value.__cause__ is None, "the cause would show the address, and the key in it"


def test_an_account_that_works_is_told_so(sandbox: SandboxServer) -> None:
    assert open_lastfm(sandbox).check() == "the key is valid"
    assert open_musicbrainz(sandbox).check() == "answers"


def test_one_tag_alone_comes_without_a_list(sandbox: SandboxServer) -> None:
    tag = {"name": "Shoegaze", "count": 100}
    document = {"toptags": {"tag": tag, "@attr": {"artist": "Pell"}}}
    sandbox.control.fail("lastfm.*", kind="json", status=200, document=document)
    entry = open_lastfm(sandbox).find("Pell")
    assert entry is not None
    assert entry.genres == ("shoegaze",)


def test_tags_that_few_agree_on_or_that_say_nothing_are_left_out(sandbox: SandboxServer) -> None:
    tags = [("Dream Pop", 100), ("seen live", 90), ("pell", 80), ("slowcore", 20), ("yodel", 3), ("", 50)]
    listed = [{"name": name, "count": count} for name, count in tags]
    document = {"toptags": {"tag": listed, "@attr": {"artist": "Pell"}}}
    sandbox.control.fail("lastfm.*", kind="json", status=200, document=document)
    entry = open_lastfm(sandbox).find("Pell")
    assert entry is not None
    assert entry.genres == ("dream pop", "slowcore")


@pytest.mark.slow
def test_musicbrainz_is_asked_once_a_second_and_told_who_asks() -> None:
    with SandboxServer() as sandbox:
        lookup = MusicbrainzLookup(contact="bot@example.org", base_url=sandbox.settings.url)
        begin = time.monotonic()
        assert lookup.find("Pell") is not None  # two calls
        assert time.monotonic() - begin >= 1
        answer = requests.get(f"{sandbox.settings.url}/ws/2/artist?fmt=json", timeout=5)
        assert answer.status_code == 403
        assert [call["status"] for call in sandbox.control.calls("musicbrainz.artist")] == [200]


@pytest.mark.alone
@pytest.mark.slow
def test_a_pace_lets_the_first_go_at_once_and_the_others_wait() -> None:
    pace = Pace(0.5)
    begin = time.monotonic()
    pace.wait()
    assert time.monotonic() - begin < 0.5
    pace.wait()
    pace.wait()
    assert time.monotonic() - begin >= 1
