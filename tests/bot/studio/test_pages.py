"""Content and effects of the pages without a script: forms and links alone."""

from __future__ import annotations

import re
from collections.abc import Callable
from html import unescape
from pathlib import Path

import pytest

from bot.adapters.sqlite.store import SqliteStore
from bot.domain.candidates import CandidateStatus
from bot.domain.outgoing_posts import OutgoingPostStatus
from bot.domain.source_posts import SourcePost
from bot.ports import LiveVersion
from bot.studio.cards import main_bars, topic_bars
from handlers.contract import FinishReason
from tests.bot.helpers.loopback_gateway import LoopbackGateway
from tests.bot.helpers.studio_world import Client, accept, add_song, post


def status_of(store: SqliteStore, name: str) -> CandidateStatus:
    return next(row.candidate.status for row in store.rows() if row.candidate.id == name)


def shown_ids(text: str) -> list[str]:
    return [unescape(name) for name in re.findall(r'data-id="([^"]*)"', text)]


def test_the_queue_shows_song_genres_source_and_samples_with_named_topics(studio: Client) -> None:
    page = studio.get("/").text
    assert shown_ids(page)[:3] == ["101.1.1", "101.1.2", "101.1.3"]
    for text in ("Slow Lamp, take 2.", "Ona Vell", "dream pop", "Listen to Slow Lamp", "@radio"):
        assert text in page
    assert 'href="https://x.com/i/status/101"' in page
    # The live version names its topics, and one of them is wanted.
    assert 'class="desired" title="0 guitar/drums/bass: 12 %' in page
    assert ">lyrics<" in page


def test_a_source_is_shown_as_its_readers_see_it_and_never_as_markup(studio: Client, filled: SqliteStore) -> None:
    add_song(filled, SourcePost(id="amp", text="R&amp;B &lt;b&gt;live&lt;/b&gt;"), ["A."])
    assert '<blockquote dir="auto">R&amp;B &lt;b&gt;live&lt;/b&gt;</blockquote>' in studio.get("/?order=newest").text


def test_of_many_topics_a_card_has_the_desired_one_and_the_largest_and_names_the_rest() -> None:
    names = tuple(f"{number} word{number}/x" for number in range(6))
    live = LiveVersion(model="lcgan", version="1", champion=True, topics=names, desired_topic=names[2])
    bars = topic_bars((0.1, 0.3, 0.05, 0.25, 0.2, 0.1), live)
    assert [bar.percent for bar in bars] == [10, 30, 5, 25, 20, 10]
    assert [(bar.short, bar.desired) for bar in main_bars(bars)] == [
        ("word2", True),
        ("word1", False),
        ("word3", False),
    ]


def test_topics_whose_first_words_are_the_same_keep_their_whole_names() -> None:
    names = ("0 bass/low", "1 bass/high")
    live = LiveVersion(model="lcgan", version="1", champion=True, topics=names, desired_topic=names[0])
    assert [bar.short for bar in topic_bars((0.5, 0.5), live)] == list(names)
    # Another version's names are not this one's.
    assert [bar.name for bar in topic_bars((0.5, 0.3, 0.2), live)] == ["topic 0", "topic 1", "topic 2"]


@pytest.mark.usefixtures("filled")
def test_topics_are_numbers_while_no_gateway_answers(open_studio: Callable[..., Client]) -> None:
    page = open_studio().get("/")
    assert page.status == 200
    assert "topic 1: 88 %" in page.text


def test_every_song_is_on_one_of_the_pages(studio: Client, filled: SqliteStore) -> None:
    seen: list[str] = []
    path = "/"
    while path:
        page = studio.get(path).text
        seen += shown_ids(page)
        found = re.search(r'<a href="([^"]+)" rel="next"', page)
        path = unescape(found[1]) if found else ""
    assert seen == [row.candidate.id for row in filled.rows()]


@pytest.mark.parametrize(("decision", "status"), [("accept", "accepted"), ("reject", "rejected")])
def test_a_verdict_leads_back_to_where_it_was_given(
    studio: Client, filled: SqliteStore, decision: str, status: str
) -> None:
    back = "/?status=all&order=newest"
    answer = studio.decide([("decision", decision), ("candidate", "102.1.1"), ("seen", "0"), ("back", back)])
    assert (answer.status, answer.headers["location"]) == (303, f"{back}#c-102.1.1")
    assert status_of(filled, "102.1.1") == status
    assert f"is-{status}" in studio.get(f"/?status={status}").text
    row = next(row for row in filled.rows() if row.candidate.id == "102.1.1")
    assert row.verdict
    assert row.verdict.who == "ana"


def test_an_edit_is_accepted_with_the_change_marked_word_by_word(studio: Client, filled: SqliteStore) -> None:
    text = "Slow Lamp, take one.\r\nLoud."
    fields = [("decision", "accept"), ("candidate", "101.1.1"), ("seen", "0"), ("text", f"  {text} ")]
    assert studio.decide(fields).status == 303
    row = next(row for row in filled.rows() if row.candidate.id == "101.1.1")
    assert row.text == "Slow Lamp, take one.\nLoud."
    page = studio.get("/?status=accepted").text
    assert "<del>1.</del>" in page
    assert "<ins>one. Loud.</ins>" in page


def test_a_text_that_was_sent_unchanged_is_no_edit(studio: Client, filled: SqliteStore) -> None:
    fields = [("decision", "accept"), ("candidate", "101.1.1"), ("seen", "0"), ("text", "Slow Lamp, take 1.")]
    assert studio.decide(fields).status == 303
    row = next(row for row in filled.rows() if row.candidate.id == "101.1.1")
    assert row.verdict
    assert row.verdict.edited_text is None


def test_an_edited_text_is_looked_at_again_and_one_that_may_never_be_posted_is_refused(
    filled: SqliteStore, open_studio: Callable[..., Client], tmp_path: Path
) -> None:
    words = tmp_path / "slurs.txt"
    words.write_text("zorble\n", encoding="utf-8")
    studio = open_studio(screen={"slurs": words})
    fields = [("decision", "accept"), ("candidate", "101.1.1"), ("seen", "0")]
    refused = studio.decide([*fields, ("text", "What a zorble of a song.")])
    assert refused.status == 400
    assert "never posted" in refused.text
    assert status_of(filled, "101.1.1") is CandidateStatus.WAITING
    assert "&#39;zorble&#39;" in refused.text
    too_long = studio.decide([*fields, ("text", "long " * 70)])
    assert too_long.status == 400
    # "Ona Vell – Slow Lamp: " and the text.
    assert "the post is too long, 371 of 280 characters of X: edit it first" in too_long.text


def test_a_blocked_sample_is_not_accepted_unless_it_is_edited(
    filled: SqliteStore, open_studio: Callable[..., Client], tmp_path: Path
) -> None:
    words = tmp_path / "slurs.txt"
    words.write_text("take\n", encoding="utf-8")
    studio = open_studio(screen={"slurs": words})
    name = "101.1.1"
    fields = [("decision", "accept"), ("candidate", name), ("seen", "0")]
    assert "blocked</li>" in studio.get("/").text
    assert studio.decide(fields).status == 400
    assert status_of(filled, name) is CandidateStatus.WAITING
    assert studio.decide([*fields, ("text", "A tidy song.")]).status == 303
    assert status_of(filled, name) is CandidateStatus.ACCEPTED


def test_a_verdict_on_an_old_page_is_refused_and_the_others_stay(studio: Client, filled: SqliteStore) -> None:
    accept(filled, "101.1.1")
    fields = [("decision", "reject"), ("candidate", "101.1.2"), ("seen", "0"), ("candidate", "101.1.1"), ("seen", "0")]
    answer = studio.decide(fields)
    assert answer.status == 409
    assert "somebody else has decided on 101.1.1" in answer.text
    assert status_of(filled, "101.1.1") is CandidateStatus.ACCEPTED
    assert status_of(filled, "101.1.2") is CandidateStatus.WAITING


@pytest.mark.usefixtures("store")
def test_an_empty_queue_says_what_to_do(open_studio: Callable[..., Client]) -> None:
    studio = open_studio()
    assert "No candidates wait" in studio.get("/").text
    for path in ("/?status=accepted", "/?status=rejected", "/?status=all", "/posted", "/models", "/try"):
        assert studio.get(path).status == 200


def test_posts_are_shown_with_what_became_of_them(studio: Client, filled: SqliteStore) -> None:
    accept(filled, "101.1.1", "101.1.2", "101.1.3", "102.1.1")
    post(filled, "101.1.1", OutgoingPostStatus.SENT, external_id="990")
    post(filled, "101.1.2", OutgoingPostStatus.REFUSED, reason="a duplicate")
    post(filled, "101.1.3", OutgoingPostStatus.UNKNOWN, reason="timed out")
    page = studio.get("/posted").text
    assert 'href="https://x.com/i/status/990"' in page
    for text in ("a duplicate", "timed out", "In doubt", "Refused", "To send"):
        assert text in page
    assert "Slow Lamp, take 1." in studio.get("/posted?status=sent").text
    assert "Slow Lamp, take 2." not in studio.get("/posted?status=sent").text
    assert (
        "posted, or being posted" in studio.decide([("decision", "undo"), ("candidate", "101.1.1"), ("seen", "1")]).text
    )


def test_a_post_that_is_not_out_is_taken_back_from_the_list(studio: Client, filled: SqliteStore) -> None:
    accept(filled, "101.1.1")
    post(filled, "101.1.1", OutgoingPostStatus.PENDING)
    page = studio.get("/posted").text
    seen = re.search(r'name="seen" value="(\d+)"', page)
    assert seen
    fields = [("decision", "undo"), ("candidate", "101.1.1"), ("seen", seen[1]), ("back", "/posted")]
    assert studio.decide(fields).headers["location"].startswith("/posted")
    assert status_of(filled, "101.1.1") is CandidateStatus.WAITING
    assert "Cancelled" in studio.get("/posted").text


@pytest.mark.parametrize(
    "path", ["/posted?before=x", "/posted?before=-1", "/posted?status=lost", "/?order=random", "/?after=zzz"]
)
def test_an_address_that_makes_no_sense_is_refused_in_words(studio: Client, path: str) -> None:
    answer = studio.get(path)
    assert answer.status == 400
    assert "The request is invalid" in answer.text


def test_versions_are_compared_by_share_and_interval(studio: Client, filled: SqliteStore) -> None:
    names = add_song(filled, SourcePost(id="v2", text="x"), [f"s{number}" for number in range(10)], version="2")
    accept(filled, *names[:8])
    for name in names[8:]:
        studio.decide([("decision", "reject"), ("candidate", name), ("seen", "0")])
    page = studio.get("/models").text
    assert "80.0 %" in page
    assert "49–94" in page  # Wilson's interval of 8 in 10
    assert "no verdict yet" in page  # version 3
    assert "champion" in page
    assert "fewer than 30 verdicts" in page


def test_genres_alone_bring_samples_that_their_address_brings_again(studio: Client) -> None:
    first = studio.get("/try?genres=dream+pop,slowcore&num_samples=2&go=1").text
    seed = re.search(r"seed (\d+) ·", first)
    assert seed
    texts = re.findall(r'<p class="text"[^>]*>(.*?)</p>', first)
    assert len(texts) == 2
    again = studio.get(f"/try?genres=dream+pop,slowcore&num_samples=2&seed={seed[1]}&go=1").text
    assert re.findall(r'<p class="text"[^>]*>(.*?)</p>', again) == texts
    assert 'class="unknown" title="the model does not know this genre">slowcore' in first


def test_a_free_query_is_parsed_and_its_artists_genres_are_looked_up(studio: Client, gateway: LoopbackGateway) -> None:
    page = studio.get("/try?query=Listen+to+Ona+Vell%27s+%E2%80%9CSlow+Lamp%E2%80%9D&go=1").text
    assert "genres by table" in page
    asked = gateway.requests[-1]
    assert (asked.artist, asked.title, list(asked.genres)) == ("Ona Vell", "Slow Lamp", ["dream pop", "slowcore"])


def test_settings_of_the_form_reach_the_model(studio: Client, gateway: LoopbackGateway) -> None:
    settings = "temperature=0.5&top_p=0.8&best_of=2&num_samples=3&seed=7&topic=t&version=lcgan+3"
    assert studio.get(f"/try?genres=techno&artist=A&title=T&{settings}&go=1").status == 200
    asked = gateway.requests[-1]
    assert (asked.temperature, asked.top_p, asked.best_of, asked.num_samples, asked.seed) == (0.5, 0.8, 2, 3, 7)
    assert (asked.topic, asked.model, asked.version) == ("t", "lcgan", "3")
    limits = "guidance=1.5&min_tokens=9&no_repeat_ngram_size=3&bad_words=banger,+vibes"
    page = studio.get(f"/try?genres=techno&{limits}&go=1").text
    asked = gateway.requests[-1]
    assert (asked.guidance, asked.min_tokens, asked.no_repeat_ngram_size) == (1.5, 9, 3)
    assert list(asked.bad_words) == ["banger", "vibes"]
    assert 'value="banger, vibes"' in page


def test_a_rule_is_offered_where_a_version_has_it_and_reaches_the_model(
    studio: Client, gateway: LoopbackGateway
) -> None:
    gateway.valued = ("3",)
    page = studio.get("/try").text
    assert '<option value="value">what curators accepted</option>' in page
    page = studio.get("/try?genres=techno&rank_by=value&num_samples=1&go=1").text
    assert gateway.requests[-1].rank_by == "value"
    assert '<option value="value" selected>' in page
    assert "7 tokens, value 0.62" in page
    studio.get("/try?genres=techno&rank_by=&go=1")
    assert not gateway.requests[-1].HasField("rank_by") or gateway.requests[-1].rank_by == "acceptability"


def test_where_no_version_has_a_rule_none_is_offered_and_a_bookmark_of_it_says_so(studio: Client) -> None:
    assert 'name="rank_by"' not in studio.get("/try").text
    page = studio.get("/try?genres=techno&rank_by=value&go=1").text
    assert '<option value="value" selected>' in page
    assert "lcgan/3 has no value function" in page
    assert (
        "rank_by: must be one of acceptability, value, both" in studio.get("/try?genres=techno&rank_by=luck&go=1").text
    )


def test_a_bookmark_with_the_former_names_of_fields_still_works(studio: Client, gateway: LoopbackGateway) -> None:
    page = studio.get("/try?genres=techno&no_repeat_ngram=3&banned=banger&go=1").text
    asked = gateway.requests[-1]
    assert (asked.no_repeat_ngram_size, list(asked.bad_words)) == (3, ["banger"])
    assert 'name="no_repeat_ngram_size" min="0" max="' in page
    assert 'value="banger"' in page


@pytest.mark.slow
@pytest.mark.parametrize(
    ("query", "message"),
    [
        ("temperature=hot&genres=x", "temperature must be a number"),
        ("temperature=nan&genres=x", "temperature"),
        ("seed=1e3&genres=x", "seed must be a whole number"),
        ("seed=-1&genres=x", "seed"),
        ("num_samples=65&genres=x", "num_samples"),
        ("genres=" + "g," * 65, "at most 64 genres"),
        ("guidance=strong&genres=x", "guidance must be a number"),
        ("min_tokens=9&max_tokens=8&genres=x", "min_tokens: must be at most max_tokens"),
        ("bad_words=two+words&genres=x", "bad_words: must hold single words"),
        ("genres=a%00b", "control characters"),
        ("query=What+a+grey+morning.", "no song was found"),
    ],
)
def test_a_value_that_no_model_takes_is_named(studio: Client, query: str, message: str) -> None:
    answer = studio.get(f"/try?{query}&go=1")
    assert answer.status == 200
    assert message in unescape(answer.text)


def test_a_link_on_another_site_fills_the_form_and_asks_nothing(studio: Client, gateway: LoopbackGateway) -> None:
    answer = studio.get("/try?genres=techno&go=1", **{"Sec-Fetch-Site": "cross-site"})
    assert 'value="techno"' in answer.text
    assert gateway.requests == []


@pytest.mark.usefixtures("filled")
def test_without_a_gateway_the_page_says_so(open_studio: Callable[..., Client]) -> None:
    answer = open_studio().get("/try?genres=techno&go=1")
    assert answer.status == 200
    assert "no commentary from 127.0.0.1:1" in answer.text
    assert "deephypebot serve" in answer.text


def test_a_database_that_went_away_is_said_and_the_studio_goes_on(
    studio: Client, filled: SqliteStore, database: Path
) -> None:
    filled.close()
    moved = database.rename(database.with_name("away.db"))
    database.mkdir()
    answer = studio.get("/")
    assert answer.status == 503
    assert "Unavailable" in answer.text
    database.rmdir()
    moved.rename(database)
    assert studio.get("/").status == 200


@pytest.mark.parametrize(
    ("reason", "is_shown"), [(FinishReason.LENGTH, True), (FinishReason.STOP, False), (None, False)]
)
def test_a_card_shows_that_a_sentence_was_cut_off(
    reason: FinishReason | None, is_shown: bool, studio: Client, filled: SqliteStore
) -> None:
    (name,) = add_song(filled, SourcePost(id="cut", text="x"), ["A slow lamp of"], title="Cut", finish_reason=reason)
    page = studio.get("/?order=newest").text
    card = page.split(f'id="c-{name}"')[1].split('<li class="candidate')[0]
    assert (">cut off</li>" in card) == is_shown
    assert ("<dt>finish reason</dt>" in card) == (reason is not None)
