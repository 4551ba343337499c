"""Posts as people write them: labels, radios, friends, lists, requests, and posts that name no song.

`posts.jsonl` holds invented posts with their songs, by kind; they were written before the rules. `artists.jsonl` knows
most of their artists, and some names that are everyday words as well.
"""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from benchmarks.bot.parsing import LabelledText, read_labels, score
from bot.adapters.lookups.catalog import FileCatalog
from bot.domain.songs.parser import parse_songs

FOLDER = Path(__file__).parent
POSTS = read_labels(FOLDER / "posts.jsonl")
SENTENCES = read_labels(FOLDER / "sentences.jsonl")
"""More posts, most of them with songs within sentences, and more that look like songs and name none."""
KINDS = [json.loads(line)["kind"] for line in (FOLDER / "posts.jsonl").read_text(encoding="utf-8").splitlines()]
REQUESTS = (FOLDER / "requests.txt").read_text(encoding="utf-8").splitlines()
_TABLE = FileCatalog(FOLDER / "artists.jsonl")
MIN_CONFIDENCE = 0.5


def is_artist(name: str) -> bool:
    return _TABLE.find(name) is not None


def of_kind(kind: str) -> list[LabelledText]:
    return [post for post, each in zip(POSTS, KINDS, strict=True) if each == kind]


def found(text: str, *, is_request: bool = False, known: bool = True) -> list[tuple[tuple[str, ...], str]]:
    songs = parse_songs(text, is_artist=is_artist if known else None, is_request=is_request)
    return [(song.artists, song.title) for song in songs if song.confidence >= MIN_CONFIDENCE]


@pytest.mark.parametrize("kind", sorted(set(KINDS)))
def test_songs_of_every_kind_of_post_are_found_and_no_others(kind: str) -> None:
    result = score(of_kind(kind), is_artist=is_artist)
    assert result.right >= 0.95 * result.labelled, result.misses
    assert result.right >= 0.95 * result.found, result.misses


def test_without_a_list_of_artists_what_is_found_is_right() -> None:
    result = score(POSTS)
    assert result.right >= 0.93 * result.found
    assert result.right >= 0.8 * result.labelled


def test_posts_without_a_song_are_silent_with_and_without_a_list() -> None:
    for known in (is_artist, None):
        result = score(POSTS, is_artist=known)
        assert result.silent >= 0.95 * result.without_song


@pytest.mark.parametrize("post", SENTENCES, ids=lambda post: post.text[:60])
def test_songs_within_sentences_are_found_and_sentences_without_songs_are_silent(post: LabelledText) -> None:
    result = score([post], is_artist=is_artist)
    assert result.exact_texts == 1, result.misses


def test_without_a_list_sentences_without_songs_are_silent_too() -> None:
    result = score(SENTENCES)
    assert result.silent >= 0.9 * result.without_song
    assert result.right >= 0.85 * result.found


def test_there_are_many_ways_to_ask() -> None:
    assert len(REQUESTS) >= 40


@pytest.mark.parametrize("text", REQUESTS)
@pytest.mark.parametrize("known", [True, False])
def test_requests_are_understood_as_people_write_them(text: str, known: bool) -> None:
    assert found(text, is_request=True, known=known) == [(("Ona Vell",), "Tin Sea")]


@pytest.mark.parametrize(
    "text",
    [
        "yo @sandboxbot gimme something on Tin Sea by Ona Vell",
        "Dear @sandboxbot, would you mind reviewing Tin Sea by Ona Vell? Thank you!",
        "@sandboxbot Tin Sea/Ona Vell pls",
        "@sandboxbot: Ona Vell, Tin Sea",
        "@sandboxbot what's your opinion on Tin Sea from Ona Vell?",
        "@sandboxbot I dare you: Tin Sea, Ona Vell",
        "@sandboxbot one for you: Ona Vell's Tin Sea",
        "Hey @sandboxbot, play that funky Tin Sea by Ona Vell",
        "@sandboxbot schreib mal was über Tin Sea von Ona Vell",
        "@sandboxbot qué piensas de Tin Sea de Ona Vell?",
        "@sandboxbot ton avis sur Tin Sea de Ona Vell ?",
        "@sandboxbot Tin Sea (Ona Vell) please",
        "@sandboxbot try Ona Vell: Tin Sea",
    ],
)
def test_requests_for_a_known_artist_are_understood_in_any_words(text: str) -> None:
    assert found(text, is_request=True) == [(("Ona Vell",), "Tin Sea")]


@pytest.mark.parametrize(
    "text",
    [
        "anything by Ona Vell",
        "something from Ona Vell please",
        "which song by Ona Vell do you like most?",
        "what's Ona Vell's best song?",
        "greetings from Ona Vell",
        "I'm from Rovers",
        "are you a bot by Ona Vell?",
        "Ona Vell, obviously",
        "Ona Vell's new album?",
        "I love Ona Vell's hats",
        "your take on Ona Vell?",
        "do a post about Ona Vell",
        "Thanks - that was fun",
        "Ona Vell!",
        "thank you from Rovers",
    ],
)
@pytest.mark.parametrize("known", [True, False])
def test_a_request_that_names_an_artist_alone_names_no_song(text: str, known: bool) -> None:
    assert found(f"@sandboxbot {text}", is_request=True, known=known) == []


@pytest.mark.parametrize(
    "text",
    [
        "@sandboxbot hello!",
        "@sandboxbot thank you so much",
        "Hey @sandboxbot, what can you do?",
        "@sandboxbot",
        "@ @@ .@",
    ],
)
def test_requests_without_a_song_name_none(text: str) -> None:
    assert found(text, is_request=True) == []


@pytest.mark.parametrize(
    "text", ["Tin Sea by @sandboxbot", "@sandboxbot - Tin Sea", '@sandboxbot\'s "Tin Sea"', '"Tin Sea" - @SandboxBot']
)
def test_the_bots_own_handle_is_no_artist(text: str) -> None:
    assert "sandboxbot" not in str(found(text, is_request=True)).casefold()
    own = parse_songs(text, is_artist=is_artist, own=["sandboxbot"])
    assert "sandboxbot" not in str(own).casefold()


def test_a_handle_in_the_place_of_an_artist_stays() -> None:
    assert found("@sandboxbot Tin Sea by @onavell", is_request=True) == [(("@onavell",), "Tin Sea")]
    assert found('.@onavell\'s "Tin Sea" is out') == [(("@onavell",), "Tin Sea")]
    assert found("@onavell - Tin Sea") == [(("@onavell",), "Tin Sea")]


@pytest.mark.parametrize("text", ["Ona Vell “(feat. Tor)”", "Ona Vell: “[ft. Tor Brisk]” is out", "A - “”", "「」 Ona"])
def test_a_song_has_a_title(text: str) -> None:
    for known in (None, is_artist, lambda _: True):
        assert all(song.title and all(song.artists) for song in parse_songs(text, is_artist=known, is_request=True))


def test_the_bots_own_handle_is_no_part_of_a_name_before_a_tight_dash() -> None:
    assert parse_songs("1 song @sandboxbot-Tin Sea", is_artist=lambda _: True, own=["sandboxbot"]) == []


@given(
    st.lists(
        st.sampled_from(
            [
                "@sandboxbot",
                "@a",
                "play",
                "Tin Sea",
                "by",
                "Ona Vell",
                "-",
                "please",
                "?",
                "RT",
                ":",
                '"',
            ]
        )
    )
)
def test_names_never_hold_the_bots_own_handle(words: list[str]) -> None:
    for song in parse_songs(" ".join(words), is_artist=is_artist, is_request=True, own=["sandboxbot"]):
        assert "sandboxbot" not in " ".join((*song.artists, song.title, *song.featured)).casefold()


@pytest.mark.parametrize(
    "text",
    [
        "Now Playing: Ona Vell - Slow Lamp In The Long Ha…",
        "RT @radio: Ona Vell - Slow Lamp In The Long Ha… https://t.co/x",
        "Ona Vell - Slow Lamp In The Long Ha...",
        "“Slow Lamp In The Long Ha…",
        "Slow Lamp by Ona Ve…",
    ],
)
def test_names_that_were_cut_off_are_no_songs(text: str) -> None:
    assert found(text) == []


def test_dots_of_a_titles_own_are_no_cut() -> None:
    assert found("Ona Vell - Are You There...") == [(("Ona Vell",), "Are You There")]


def test_text_that_was_escaped_several_times_is_read_once() -> None:
    for times in range(1, 4):
        text = "Lowe & Finch - Second Window"
        for _ in range(times):
            text = text.replace("&", "&amp;")
        assert found(text) == [(("Lowe & Finch",), "Second Window")]


def test_everyday_words_may_be_artists_where_the_song_is_written_as_one() -> None:
    assert found("Coffee - Second Cup") == [(("Coffee",), "Second Cup")]
    assert found("Coffee - second cup") == []


@pytest.mark.parametrize(
    "text",
    [
        "Bookcase - white - as new",
        "Opening hours: Mon - Fri, 9 - 5",
        "Rovers 2 - 1 Athletic (Reed 34')",
        "Phone 15 Pro - 256 GB - mint condition",
        'Quote of the day: "Small is enough" - Lida Hora',
        "Photo by Jo Reed",
        "Directed by Lida Hora",
        "Reading: Grey Water by Jo Reed",
        "The Long Winter by Lida Hora is a masterpiece",
        "Coffee - actually",
        '"Do what you can and then rest" - Lida Hora',
    ],
)
def test_offers_hours_scores_sayings_and_credits_are_no_songs(text: str) -> None:
    assert found(text) == []
