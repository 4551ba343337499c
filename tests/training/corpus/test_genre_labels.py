from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from training.corpus.genre_labels import choose_labels


def test_frequent_genres_are_labels_most_frequent_first() -> None:
    posts = {("pop",): 5, ("folk",): 9, ("pop", "folk"): 3, ("noise",): 1}
    assert choose_labels(posts.items, min_posts=3, max_labels=9).labels == ("folk", "pop")


def test_rare_genres_add_up_to_a_coarser_one_that_is_too_rare_by_itself() -> None:
    posts: dict[tuple[str, ...], int] = {
        ("coastal dream pop",): 2,
        ("nordic dream pop",): 2,
        ("dream pop",): 1,
        ("pop",): 9,
    }
    assert choose_labels(posts.items, min_posts=5, max_labels=9).labels == ("pop", "dream pop")


def test_a_post_of_two_finer_genres_counts_once_for_the_coarser() -> None:
    posts: dict[tuple[str, ...], int] = {("coastal pop", "nordic pop"): 3, ("pop",): 1}
    assert choose_labels(posts.items, min_posts=5, max_labels=9).labels == ()
    assert choose_labels(posts.items, min_posts=4, max_labels=9).labels == ("pop",)


def test_a_word_that_is_not_a_genre_of_any_post_never_becomes_a_label() -> None:
    posts: dict[tuple[str, ...], int] = {("coastal dream",): 3, ("nordic dream",): 3}
    assert choose_labels(posts.items, min_posts=4, max_labels=9).labels == ()


def test_only_the_most_frequent_labels_are_kept() -> None:
    posts: dict[tuple[str, ...], int] = {("a",): 3, ("b",): 5, ("c",): 4}
    assert choose_labels(posts.items, min_posts=1, max_labels=2).labels == ("b", "c")


_GENRE = st.lists(st.sampled_from(["indie", "dream", "pop", "folk"]), min_size=1, max_size=3).map(" ".join)


@pytest.mark.slow
@given(st.dictionaries(st.lists(_GENRE, max_size=3, unique=True).map(tuple), st.integers(1, 20)), st.integers(1, 30))
def test_every_label_has_enough_posts_once_genres_are_mapped_to_it(
    posts: dict[tuple[str, ...], int], min_posts: int
) -> None:
    table = choose_labels(posts.items, min_posts=min_posts, max_labels=100)
    counts = dict.fromkeys(table.labels, 0)
    for genres, count in posts.items():
        for label in table.resolve(genres)[0]:
            counts[label] += count
    assert all(count >= min_posts for count in counts.values())
