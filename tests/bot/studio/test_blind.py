"""Nothing that the studio sends tells the version of a candidate of an experiment before its song is decided."""

from __future__ import annotations

import re
from collections.abc import Callable
from html import unescape
from urllib.parse import urlencode

import pytest
from playwright.sync_api import expect

from bot.adapters.sqlite.store import SqliteStore
from bot.domain.candidates import Decision
from bot.domain.source_posts import SourcePost
from tests.bot.helpers.blind_songs import SECRETS, TRACE, VERSIONS, add_blind_song, decide, told
from tests.bot.helpers.loopback_gateway import LoopbackGateway
from tests.bot.helpers.studio_browser import Watched, needs_chromium, ready, said, statuses
from tests.bot.helpers.studio_world import Answer, Client, add_song

QUEUE = (
    "/", "/?status=all", "/?status=accepted", "/?status=rejected", "/?order=newest", "/?status=all&order=best",
    "/?q=moss", "/?artist=ona&genre=slowcore", "/?status=all&flag=copy", "/waiting",
)  # fmt: skip
PAGES = (*QUEUE, "/posted", "/models", "/try", "/experiments")
TOPICS = {
    VERSIONS["A"]: ("0 violin/harp", "1 oboe/flute"),
    VERSIONS["B"]: ("0 drone/hum", "1 fuzz/hiss", "2 bells/rain"),
}


def shown_ids(text: str) -> list[str]:
    return [unescape(name) for name in re.findall(r'data-id="([^"]*)"', text)]


def all_of(answer: Answer) -> str:
    """Everything that an answer says, headers included."""
    return f"{answer.headers} {answer.text}"


def send(studio: Client, path: str, *fields: tuple[str, str], **headers: str) -> Answer:
    kind = {"Content-Type": "application/x-www-form-urlencoded", **headers}
    return studio.ask("POST", path, body=urlencode(fields), **kind)


@pytest.fixture
def song(store: SqliteStore) -> list[str]:
    """The candidates of a song of the experiment, beside an ordinary song."""
    add_song(store, SourcePost(id="plain", text="Listen"), ["A plain lamp."], title="Slow Lamp")
    return add_blind_song(store)


@pytest.mark.parametrize("decided", [0, 1, 3])
def test_no_page_tells_a_version_while_a_candidate_of_the_song_waits(
    store: SqliteStore, song: list[str], open_studio: Callable[..., Client], decided: int
) -> None:
    decide(store, *song[:decided])
    studio = open_studio()
    for path in PAGES:
        answer = studio.get(path)
        assert answer.status == 200, path
        assert told(all_of(answer)) == [], path
    assert len(set(shown_ids(studio.get("/?status=all").text)) & set(song)) == 4


def test_no_request_of_an_open_page_tells_a_version(song: list[str], open_studio: Callable[..., Client]) -> None:
    studio = open_studio()
    own = {"Origin": studio.address}
    told_by = []
    for name in song[:3]:
        told_by += told(all_of(send(studio, "/changed", ("candidate", name), ("state", "old"), **own)))
        told_by += told(all_of(send(studio, "/preview", ("candidate", name), ("text", "A lamp."), **own)))
        fields = [("decision", "accept"), ("candidate", name), ("seen", "0")]
        told_by += told(all_of(studio.decide(fields, x_studio_fragment="1")))
        # The page is outdated: the cards come with the refusal.
        answer = studio.decide(fields, x_studio_fragment="1")
        assert answer.status == 409
        told_by += told(all_of(answer))
    assert told_by == []


def test_the_cards_tell_it_after_the_last_verdict_of_the_song_and_not_after_an_undo(
    store: SqliteStore, song: list[str], open_studio: Callable[..., Client]
) -> None:
    studio = open_studio()
    decide(store, *song)
    page = studio.get("/?status=all").text
    for text in (*VERSIONS.values(), "fadefadefade", "beefbeefbeef", "911001", "922002", "-77.7 nats, 71 tokens"):
        assert text in page
    assert all(version in studio.get("/models").text for version in VERSIONS.values())
    assert shown_ids(studio.get(f"/?status=accepted&version=lcgan/{VERSIONS['A']}").text) == [song[0], song[3]]
    decide(store, song[2], decision=Decision.UNDO)
    assert [told(studio.get(path).text) for path in PAGES] == [[]] * len(PAGES)


def test_the_last_verdict_and_an_undo_renew_the_other_cards_of_the_song_at_once(
    song: list[str], open_studio: Callable[..., Client]
) -> None:
    studio = open_studio()

    def give(decision: str, name: str, seen: str = "0") -> str:
        fields = [("decision", decision), ("candidate", name), ("seen", seen)]
        answer = studio.decide(fields, x_studio_fragment="1")
        assert answer.status == 200
        return answer.text

    for name in song[:3]:
        assert shown_ids(give("accept", name)) == [name]
    page = give("reject", song[3])
    assert shown_ids(page) == [song[3], *song[:3]]
    assert set(VERSIONS.values()) <= set(told(page))
    seen = dict(re.findall(r'data-id="(e1[^"]*)" data-status="[^"]*" data-state="([0-9]+) ', page))
    page = give("undo", song[0], seen[song[0]])
    assert shown_ids(page) == song
    assert told(page) == []


def test_an_open_page_shows_and_takes_away_the_versions_of_all_cards_of_the_song(
    store: SqliteStore, song: list[str], open_studio: Callable[..., Client]
) -> None:
    studio = open_studio()

    def changed() -> Answer:
        """Cards that an open page gets, which shows the queue as it was."""
        fields = [pair for name, state in shown.items() for pair in (("candidate", name), ("state", state))]
        return send(studio, "/changed", *fields, Origin=studio.address)

    def states() -> dict[str, str]:
        page = studio.get("/?status=all").text
        return dict(re.findall(r'data-id="(e1[^"]*)" data-status="[^"]*" data-state="([^"]*)"', page))

    decide(store, *song[:3])
    shown = states()
    assert shown_ids(changed().text) == []
    decide(store, song[3])
    assert shown_ids(changed().text) == song
    assert set(VERSIONS.values()) <= set(told(changed().text))
    shown = states()
    assert shown_ids(changed().text) == []
    decide(store, song[0], decision=Decision.UNDO)
    assert shown_ids(changed().text) == song
    assert told(changed().text) == []


def test_a_search_for_a_version_shows_no_candidate_whose_song_waits(
    store: SqliteStore, song: list[str], open_studio: Callable[..., Client]
) -> None:
    studio = open_studio()
    decide(store, *song[:3])
    for version in VERSIONS.values():
        assert shown_ids(studio.get(f"/?status=all&version=lcgan/{version}").text) == []
        assert studio.get(f"/?version=lcgan/{version}").status == 400  # those that wait are not searched by version


@pytest.mark.parametrize("decided", [0, 1, 3])
def test_live_versions_with_other_topics_and_genres_do_not_tell_themselves(
    store: SqliteStore, song: list[str], gateway: LoopbackGateway, open_studio: Callable[..., Client], decided: int
) -> None:
    gateway.live = TOPICS
    decide(store, *song[:decided])
    studio = open_studio(gateway.target)
    for path in QUEUE:
        page = studio.get(path).text
        assert [word for topics in TOPICS.values() for topic in topics for word in [topic[2:]] if word in page] == []
        # Each version does not know another one of the song's genres.
        assert "the model does not know this genre" not in page, path
        assert told(page) == [], path


def test_decided_songs_have_topics_and_unknown_genres(
    store: SqliteStore, song: list[str], gateway: LoopbackGateway, open_studio: Callable[..., Client]
) -> None:
    gateway.live = TOPICS
    decide(store, *song)
    page = open_studio(gateway.target).get("/?status=all").text
    assert all(f'title="{topic}: ' in page for topics in TOPICS.values() for topic in topics)
    assert "the model does not know this genre" in page


def test_every_secret_is_told_somewhere_so_that_the_tests_can_fail(
    store: SqliteStore, song: list[str], open_studio: Callable[..., Client]
) -> None:
    decide(store, *song)
    page = open_studio().get("/?status=all").text
    off_the_page = {"exposure-of-a", "exposure-of-b", TRACE}
    assert set(SECRETS) - set(told(page)) == off_the_page


def test_cards_differ_between_versions_in_nothing_but_the_sample_and_its_place(
    song: list[str], open_studio: Callable[..., Client]
) -> None:
    page = open_studio().get("/?q=moss").text
    cards = re.findall(r'<li class="candidate .*?\n</li>', page, re.DOTALL)
    assert len(cards) == 4
    for number, (name, card) in enumerate(zip(song, cards, strict=True), start=1):
        plain = card.replace(name, "ID").replace(f"take {number}.", "TAKE").replace(f"candidate {number},", "NUMBER")
        cards[number - 1] = plain
    assert len(set(cards)) == 1


@pytest.mark.slow
@needs_chromium
def test_by_keyboard_the_versions_appear_with_the_last_verdict_and_go_with_its_undo(
    window: Callable[..., Watched], filled: SqliteStore
) -> None:
    song = add_blind_song(filled)
    page = window().open("/?order=newest")
    ready(page)
    shown = page.locator("[data-song]").first
    for _ in song[:3]:
        page.keyboard.press("a")
        said(page, "Accepted.")
        expect(page.locator("[data-saving]")).to_have_text("")
        assert told(shown.inner_html()) == []
    page.keyboard.press("r")
    said(page, "Rejected.")
    for name, arm in zip(song, "ABBA", strict=True):
        expect(page.locator(f"[data-id='{name}'] .about dl")).to_contain_text(VERSIONS[arm])
    page.keyboard.press("u")
    said(page, "Undone: the candidate waits again.")
    expect(page.locator(f"[data-id='{song[0]}'] .about dl")).not_to_contain_text(VERSIONS["A"])
    assert told(shown.inner_html()) == []
    assert statuses(filled, *song) == ["accepted"] * 3 + ["waiting"]
