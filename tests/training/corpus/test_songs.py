from __future__ import annotations

from collections import defaultdict
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.examples import examples
from training.corpus import CorpusSettings
from training.corpus.chunks import clean_chunk
from training.corpus.posts import Post
from training.corpus.songs import choose_split, is_round_up, song_key


def _post(**fields: Any) -> Post:
    return Post(**{"id": "1", "artist": "Orva", "title": "Tide", "genres": (), "text": "The drums roll.", **fields})


@pytest.mark.parametrize(
    ("artist", "title"),
    [
        ("ORVA", "tide"),
        (" Orva ", "Tide (Deluxe Edition)"),
        ("Orva feat. Bram Tolk", "Tide [ft. Ada]"),
        ("Órva", "Tide!"),
    ],
)
def test_spellings_and_editions_of_a_song_have_one_key(artist: str, title: str) -> None:
    assert song_key(_post(artist=artist, title=title)) == song_key(_post())


def test_posts_without_a_song_go_by_what_they_have() -> None:
    assert song_key(_post(artist=None)) == song_key(_post(artist="Orva", id="2"))
    assert song_key(_post(title=None)) == song_key(_post(title=None, id="2"))
    assert song_key(_post(artist=None, title=None)) != song_key(_post(artist=None, title=None, id="2"))


def test_other_songs_have_other_keys() -> None:
    posts = [_post(), _post(title="夜"), _post(title=None), _post(title=None, artist="東京"), _post(title="Orva")]
    assert len({song_key(post) for post in posts}) == 5


def test_a_title_of_marks_alone_goes_by_the_artist() -> None:
    assert song_key(_post(title="???")) == song_key(_post(title=None))


_POSTS = st.lists(
    st.builds(
        Post,
        id=st.text("abc", min_size=1, max_size=2),
        artist=st.none() | st.text("Orva &", max_size=4),
        title=st.none() | st.text("Tide ()", max_size=4),
        genres=st.just(()),
        text=st.sampled_from(["The drums roll and roll.", "The horns are soft.", "La voz es preciosa y muy buena."]),
    ),
    max_size=6,
)


@examples(30)  # the first example loads the dictionary
@given(_POSTS, _POSTS, _POSTS)
def test_posts_that_are_added_move_no_post_to_another_split(
    before: list[Post], posts: list[Post], after: list[Post]
) -> None:
    plan = replace(CorpusSettings().for_chunks(), valid_share=0.3, test_share=0.3)
    alone, among = (clean_chunk(chunk, plan)[0]["split"].to_pylist() for chunk in (posts, before + posts + after))
    assert among[len(before) : len(before) + len(posts)] == alone


@examples(30)
@given(_POSTS)
def test_a_song_is_in_one_split_whatever_the_source(posts: list[Post]) -> None:
    plan = replace(CorpusSettings().for_chunks(), valid_share=0.3, test_share=0.3)
    splits = defaultdict(set)
    for post, split in zip(posts, clean_chunk(posts, plan)[0]["split"].to_pylist(), strict=True):
        splits[song_key(post)].add(split)
    assert all(len(found) == 1 for found in splits.values())


def test_splits_have_the_shares_that_were_asked_for() -> None:
    splits = [choose_split(str(number), valid_share=0.1, test_share=0.2) for number in range(5000)]
    assert 0.08 < splits.count("valid") / 5000 < 0.12
    assert 0.18 < splits.count("test") / 5000 < 0.22


@given(st.text())
def test_a_share_of_nothing_leaves_everything_to_train_on(key: str) -> None:
    assert choose_split(key, valid_share=0, test_share=0) == "train"


def test_the_split_of_a_song_is_the_same_on_every_machine() -> None:
    # Written down once; a change would move songs between the splits of corpora that models were trained on.
    assert [choose_split(f"orva\x1ftide {n}", valid_share=0.3, test_share=0.3) for n in range(6)] == [
        "test",
        "train",
        "test",
        "train",
        "test",
        "train",
    ]


def test_lists_of_songs_are_round_ups() -> None:
    lines = "\n".join(f'{number}. Orva – "Tide {number}"' for number in range(1, 6))
    assert is_round_up(_post(text=f"Our songs.\n{lines}"))
    assert is_round_up(_post(artist=None, title="Top 10 of the Month"))


@pytest.mark.parametrize("text", ["The drums roll – loudly.", "1. Tide\n2. Glass\n3. Salt\n4. Iron\n5. Amber"])
def test_a_post_about_one_song_is_not_a_round_up(text: str) -> None:
    assert not is_round_up(_post(text=text))
    assert not is_round_up(_post(title="Top 10 Summers"))
