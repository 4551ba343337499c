"""The post of a text: its mode, its length by the network's rule, and what a curator should see of it."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bot.domain.candidates import Flag
from bot.domain.networks import BLUESKY, MASTODON, Network, X
from bot.domain.outgoing_posts import PostMode
from bot.domain.post_form import PostForm
from bot.domain.post_text import Draft, Template, Templates
from bot.domain.songs.song import Song, SongReport
from bot.domain.source_posts import Kind, SourcePost
from tests.bot.helpers.flag_cases import FLAGGED, RIGHT, UNFLAGGED


def draft(text: str = RIGHT, *, artist: str = "Ona Vell", title: str = "Moss", kind: Kind = Kind.TIMELINE) -> Draft:
    song = Song(artists=(artist,), title=title, confidence=1.0)
    report = SongReport(
        source_post_id="7", number=1, song=song, artist=artist, genres=("dream pop",), url="http://e.x/1"
    )
    return Draft(text=text, report=report, source_post=SourcePost(id="7", text="", kind=kind))


FLAGGED_CASES = [(flag, text) for flag, texts in FLAGGED.items() for text in texts]
UNFLAGGED_CASES = [(flag, text) for flag, texts in UNFLAGGED.items() for text in texts]


@pytest.mark.parametrize(("flag", "text"), FLAGGED_CASES)
def test_what_a_curator_should_see_is_flagged(flag: Flag, text: str) -> None:
    assert flag in PostForm().preview(draft(text)).flags


@pytest.mark.parametrize(("flag", "text"), UNFLAGGED_CASES)
def test_what_only_looks_like_it_is_not(flag: Flag, text: str) -> None:
    assert flag not in PostForm().preview(draft(text)).flags


def test_a_plain_text_has_neither_flags_nor_problems() -> None:
    preview = PostForm().preview(draft())
    assert (preview.flags, preview.problems) == ((), ())


def test_the_template_counts_as_much_as_the_text() -> None:
    text = "a" * 265
    form = PostForm(templates=Templates(post=Template("{text}")))
    assert form.preview(draft(text)).problems == ()
    named = PostForm().preview(draft(text))
    assert named.problems == ("the post is too long, 282 of 280 characters of X: edit it first",)
    assert named.length == 282
    linked = PostForm(templates=Templates(post=Template("{text} {link}")))
    assert Flag.LINK in linked.preview(draft()).flags


@pytest.mark.parametrize(
    ("network", "text", "length"),
    [
        (X, "https://example.org/a/rather/long/address ok", 26),
        (MASTODON, "https://example.org/a/rather/long/address ok", 26),
        (BLUESKY, "https://example.org/a/rather/long/address ok", 44),
        (X, "日本", 4),
        (MASTODON, "日本", 2),
        (MASTODON, "@ona@example.org", 4),
        # A link that breaks off, and one without https, count as what they are.
        (MASTODON, "see https:// and https://x", 26),
        (MASTODON, "see example.org/a", 17),
        (X, "see https://", 12),
    ],
)
def test_each_network_counts_in_its_own_way(network: Network, text: str, length: int) -> None:
    form = PostForm(network=network, templates=Templates(post=Template("{text}")))
    assert form.preview(draft(text)).length == length


def test_bluesky_limits_bytes_as_well() -> None:
    family = "👩‍👩‍👧‍👦" * 130  # 25 bytes each, one character to a reader
    problems = PostForm(network=BLUESKY).preview(draft(family)).problems
    assert len(problems) == 1
    assert "of 3,000 bytes of Bluesky: edit it first" in problems[0]


def test_every_problem_of_a_text_is_named() -> None:
    problems = PostForm().preview(draft("long\x07 " * 70)).problems
    assert [problem.split()[1] for problem in problems] == ["post", "text"]
    assert "U+0007 behind 'na Vell – Moss: long' and 69 more: take it out first" in problems[1]
    assert PostForm().preview(draft(" \n")).problems == ("the text is empty: write one, or reject the candidate",)


def test_a_hidden_character_of_a_name_is_left_out_and_no_problem() -> None:
    preview = PostForm().preview(draft(artist="Ona\N{ZERO WIDTH SPACE} Vell", title="Mo\x07ss\nagain"))
    assert preview.text == f"Ona Vell – Mo ss again: {RIGHT}"
    assert preview.problems == ()


def test_a_name_of_the_song_may_be_doubled() -> None:
    assert PostForm().preview(draft("a duran duran of a lamp", artist="Duran Duran")).flags == ()
    assert PostForm().preview(draft("a duran duran of a lamp")).flags == (Flag.DOUBLED,)


@pytest.mark.parametrize(
    ("kind", "able", "expected"),
    [
        (Kind.MENTION, {PostMode.REPLY}, PostMode.REPLY),
        (Kind.MENTION, set(), PostMode.STANDALONE),
        (Kind.TIMELINE, {PostMode.REPLY}, PostMode.STANDALONE),
    ],
)
def test_a_mention_is_answered_where_the_account_may(kind: Kind, able: set[PostMode], expected: PostMode) -> None:
    form = PostForm(to="x", able=frozenset({PostMode.STANDALONE, *able}), reply_to_mentions=True)
    preview = form.preview(draft(kind=kind))
    assert preview.mode is expected
    # A reply stands below the post that names the song.
    assert preview.text.startswith("Ona Vell") == (expected is PostMode.STANDALONE)


@given(st.text())
def test_any_text_has_a_post_and_one_that_has_no_problem_fits(text: str) -> None:
    preview = PostForm().preview(draft(text))
    assert bool(preview.problems) == bool(set(preview.flags) & {Flag.TOO_LONG, Flag.HIDDEN} or not text.strip())
    assert (preview.length <= 280) == (Flag.TOO_LONG not in preview.flags)
