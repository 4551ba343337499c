"""Flags on the cards: each for the texts that have it and for no other; and the genres that were asked for."""

from __future__ import annotations

import re
from collections.abc import Callable
from html import unescape

import pytest

from bot.adapters.sqlite.store import SqliteStore
from bot.domain.candidates import CandidateStatus, Flag
from bot.domain.source_posts import SourcePost
from tests.bot.helpers.flag_cases import FLAGGED, RIGHT, UNFLAGGED
from tests.bot.helpers.studio_world import Client, add_song

# Half of a surrogate pair cannot be stored.
STORABLE = {flag: tuple(text for text in texts if "\ud800" not in text) for flag, texts in FLAGGED.items()}
_CARD = re.compile(r'<span class="sr" id="state-([^"]*)">candidate \d+, waiting((?:, [^<]*)?)</span>')
_ACCEPT = re.compile(r'id="accept-([^"]*)"[^>]*?( disabled title="([^"]*)")?>')


def flags_shown(page: str) -> dict[str, set[str]]:
    return {unescape(name): set(filter(None, unescape(flags).split(", "))) for name, flags in _CARD.findall(page)}


@pytest.mark.parametrize("flag", FLAGGED)
def test_a_flag_is_on_the_cards_of_the_texts_that_have_it_and_on_no_other(
    store: SqliteStore, open_studio: Callable[..., Client], flag: Flag
) -> None:
    flagged = add_song(store, SourcePost(id="1", text="Moss"), list(STORABLE[flag]), title="Moss")
    others = add_song(store, SourcePost(id="2", text="Moss"), [*UNFLAGGED[flag], RIGHT], title="Moss")
    page = open_studio().get("/").text
    shown = flags_shown(page)
    assert [name for name in flagged if flag.value not in shown[name]] == []
    assert [name for name in others if flag.value in shown[name]] == []
    # Only what bars a text takes its button away, and says why.
    barred = {unescape(name): unescape(why) for name, off, why in _ACCEPT.findall(page) if off}
    assert set(barred) >= set(flagged) if flag in {Flag.HIDDEN, Flag.TOO_LONG} else not set(barred) & set(flagged)
    assert all("first" in why for why in barred.values())


@pytest.mark.parametrize(
    ("flag", "text"), [(flag, texts[0]) for flag, texts in STORABLE.items()], ids=[flag.value for flag in STORABLE]
)
def test_an_edited_text_is_accepted_with_its_flag_unless_that_bars_it(
    store: SqliteStore, open_studio: Callable[..., Client], flag: Flag, text: str
) -> None:
    (name,) = add_song(store, SourcePost(id="1", text="Moss"), [RIGHT], title="Moss")
    studio = open_studio()
    answer = studio.decide([("decision", "accept"), ("candidate", name), ("seen", "0"), ("text", text)])
    is_barred = flag in {Flag.HIDDEN, Flag.TOO_LONG}
    assert answer.status == (400 if is_barred else 303)
    (row,) = store.rows()
    assert (row.candidate.status is CandidateStatus.WAITING) == is_barred
    page = studio.get("/?status=all").text
    assert (f"{flag.value}</li>" in page) == (not is_barred)


def test_a_tab_that_was_pasted_is_a_space(store: SqliteStore, open_studio: Callable[..., Client]) -> None:
    (name,) = add_song(store, SourcePost(id="1", text="Moss"), [RIGHT])
    fields = [("decision", "accept"), ("candidate", name), ("seen", "0"), ("text", "a\tlamp,\r\nand a sea")]
    assert open_studio().decide(fields).status == 303
    assert [row.text for row in store.rows()] == ["a lamp,\nand a sea"]


def test_the_song_says_which_genres_were_asked_for_instead(
    store: SqliteStore, open_studio: Callable[..., Client]
) -> None:
    add_song(
        store, SourcePost(id="1", text="Moss"), [RIGHT], genres=("reggae", "roots reggae"), genres_asked=("jazz rap",)
    )
    add_song(store, SourcePost(id="2", text="Sea"), [RIGHT], title="Tin Sea", genres=("dream pop",))
    page = open_studio().get("/").text
    (genres,) = re.findall(r'<li dir="auto">reggae</li>.*?</ul>', page, re.DOTALL)
    plain = " ".join(re.sub(r"<[^>]+>", " ", genres).split())
    assert plain == "reggae roots reggae asked for as → jazz rap"
    assert "asked for as" not in page.partition("Tin Sea")[2]
