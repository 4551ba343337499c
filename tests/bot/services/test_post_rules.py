"""The one rule for what may be posted: the form of a post and its words, for samples and edited texts."""

from __future__ import annotations

from dataclasses import replace

import pytest

from bot.adapters.files.word_lists import SafetypeWords
from bot.domain.candidates import Candidate, Decision, Flag, Verdict
from bot.domain.networks import MASTODON
from bot.domain.post_form import PostForm
from bot.domain.songs.song import Song, SongReport
from bot.domain.source_posts import SourcePost
from bot.ports import QueueRow
from bot.services.post_rules import PostRules, draft_of
from bot.services.screening import TextScreen
from handlers.contract import Sample

WORDS = SafetypeWords(["unsayable", "grue*"])
RULES = PostRules(form=PostForm(), words=WORDS, screen=TextScreen(words=WORDS))


def row(text: str, *, artist: str = "Ona Vell", title: str = "Moss", flags: tuple[Flag, ...] = ()) -> QueueRow:
    song = Song(artists=(artist,), title=title, confidence=1.0)
    report = SongReport(source_post_id="7", number=1, song=song, artist=artist, genres=())
    candidate = Candidate(
        report=report,
        number=1,
        sample=Sample(text=text, token_count=3, log_prob=-1.0, topics=(1.0,), seed=1),
        model="m",
        model_version="1",
        archive_sha256="",
        flags=flags,
    )
    return QueueRow(candidate=candidate, source_post=SourcePost(id="7", text=""), created_at="")


def edited(row: QueueRow, text: str) -> QueueRow:
    verdict = Verdict(candidate_id=row.candidate.id, decision=Decision.ACCEPT, who="ana", edited_text=text)
    return replace(row, verdict=verdict)


@pytest.mark.parametrize("text", ["an unsayable lamp", "“Unsayable”!", "uns4yable", "a GRUESOME lamp"])
def test_a_word_of_the_list_bars_a_text(text: str) -> None:
    assert Flag.BLOCKED in RULES.flags(row(text))
    assert RULES.objection_to(row(text)).endswith("which is never posted: edit it first")


@pytest.mark.parametrize(
    ("artist", "title", "text"),
    [
        ("Ona Vell", "Unsayable Things", "“Unsayable Things” is a lamp"),
        ("The Gruesomes", "Moss", "the gruesomes light a lamp"),
        ("Ona Vell", "unsayable", "UNSAYABLE: a lamp"),
    ],
)
def test_a_word_of_the_songs_own_name_is_flagged_and_bars_nothing(artist: str, title: str, text: str) -> None:
    own = row(text, artist=artist, title=title)
    assert RULES.objection_to(own) == ""
    assert Flag.PROFANITY in RULES.flags(own)
    assert Flag.BLOCKED not in RULES.flags(own)
    assert RULES.flags_of(draft_of(own)) == RULES.flags(own)
    # The same text for another song is barred.
    assert RULES.objection_to(row(text)) != ""


def test_a_word_that_is_in_the_name_bars_beside_one_that_is_not() -> None:
    own = row("an unsayable, gruesome lamp", title="Unsayable Things")
    assert RULES.objection_to(own) == "the text contains 'gruesome', which is never posted: edit it first"
    assert Flag.BLOCKED in RULES.flags(own)


def test_flags_are_those_of_the_text_that_would_be_posted() -> None:
    sample = row("see https://example.org", flags=(Flag.LINK, Flag.COPY, Flag.NAMESAKES))
    assert RULES.flags(sample) == (Flag.COPY, Flag.LINK, Flag.NAMESAKES)
    # What was said of the sample alone goes with it; who the artist is stays open.
    assert RULES.flags(edited(sample, "a lamp by @ona")) == (Flag.MENTION, Flag.NAMESAKES)
    assert RULES.flags(sample, "a lamp") == (Flag.NAMESAKES,)


def test_an_earlier_edit_does_not_speak_for_the_sample() -> None:
    decided = edited(row("an unsayable lamp"), "a lamp")
    assert RULES.objection_to(decided) == ""
    assert RULES.objection_to(decided, decided.candidate.sample.text) != ""


def test_a_flag_of_the_form_follows_the_network_and_not_what_was_kept() -> None:
    mastodon = PostRules(form=PostForm(network=MASTODON), words=WORDS, screen=TextScreen(words=WORDS))
    long = row("long " * 70, flags=(Flag.TOO_LONG,))
    assert mastodon.flags(long) == ()
    assert RULES.flags(replace(long, candidate=replace(long.candidate, flags=()))) == (Flag.TOO_LONG,)


def test_all_reasons_are_named_at_once() -> None:
    objection = RULES.objection_to(row("an unsayable\x07 lamp " * 20))
    assert [part.split(",")[0][:24] for part in objection.split("; ")] == [
        "the post is too long",
        "the text has the hidden ",
        "the text contains 'unsay",
    ]
