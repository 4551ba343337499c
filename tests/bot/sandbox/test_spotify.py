from __future__ import annotations

import pytest
import requests
import spotipy
from spotipy.oauth2 import SpotifyOauthError

from bot.sandbox.server import SandboxServer
from tests.bot.helpers.sandbox_clients import open_spotify


@pytest.fixture
def client(sandbox: SandboxServer) -> spotipy.Spotify:
    return open_spotify(sandbox)


def status_of(caught: pytest.ExceptionInfo[spotipy.SpotifyException]) -> int:
    return int(caught.value.http_status)


def test_a_search_finds_the_song_first_and_others_after_it(client: spotipy.Spotify) -> None:
    items = client.search("Moss Ona Vell", type="track", limit=3)["tracks"]["items"]
    assert (items[0]["artists"][0]["name"], items[0]["name"]) == ("Ona Vell", "Moss")
    assert len(items) == 3


def test_a_search_for_what_is_not_there_finds_something_unless_it_names_fields(client: spotipy.Spotify) -> None:
    assert client.search("zzz qqq", type="track", limit=1)["tracks"]["items"]
    assert not client.search('track:"zzz" artist:"Ona Vell"', type="track", limit=1)["tracks"]["items"]


def test_artists_have_genres_or_none_or_do_not_say(client: spotipy.Spotify) -> None:
    found = client.search("Ona Vell", type="artist", limit=10)["artists"]["items"]
    genres = {artist["name"]: client.artist(artist["id"]).get("genres") for artist in found}
    assert genres["Ona Vell"] == ["dream pop", "slowcore"]
    assert genres["Ólöf Brandt"] == []
    assert genres["Pell"] is None


def test_a_limit_over_ten_is_a_bad_request(client: spotipy.Spotify) -> None:
    with pytest.raises(spotipy.SpotifyException, match="Invalid limit") as caught:
        client.search("Moss", limit=11)
    assert status_of(caught) == 400


def test_artists_in_one_batch_are_forbidden(client: spotipy.Spotify) -> None:
    identifier = client.search("Pell", type="artist")["artists"]["items"][0]["id"]
    with pytest.raises(spotipy.SpotifyException) as caught:
        client.artists([identifier])
    assert status_of(caught) == 403


def test_a_wrong_secret_brings_no_token(sandbox: SandboxServer) -> None:
    with pytest.raises(SpotifyOauthError, match="invalid_client"):
        open_spotify(sandbox, secret="0" * 32).search("Moss")


def test_a_call_without_a_token_is_refused(sandbox: SandboxServer) -> None:
    answer = requests.get(f"{sandbox.settings.url}/v1/search?q=Moss&type=track", timeout=5)
    assert (answer.status_code, answer.json()["error"]["status"]) == (401, 401)


def test_a_forgotten_token_is_refused(sandbox: SandboxServer, client: spotipy.Spotify) -> None:
    client.search("Moss")
    sandbox.control.fail("spotify.search", kind="expired")
    for _ in range(2):
        with pytest.raises(spotipy.SpotifyException) as caught:
            client.search("Moss")
        assert status_of(caught) == 401
