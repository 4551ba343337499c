from __future__ import annotations

import gzip
import hashlib
import json
import subprocess
import sys
import time
from collections import Counter, defaultdict
from itertools import pairwise
from pathlib import Path
from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from training.corpus.cleaning import ARTIST, TITLE
from training.corpus.sentences import SentenceLimits, reject
from training.sample import CATALOG_FILE, FEED_FILE, POSTS_FILE, Kind, SampleWorld, make_sample, write_sample
from training.sample.grammar import Expander, TemplateError, third_person
from training.sample.world import vocabulary


@pytest.fixture(scope="module")
def world() -> SampleWorld:
    return make_sample(seed=11, num_posts=1000)


def _words(sentence: str) -> list[str]:
    return [word.strip('.,;:!?"').casefold() for word in sentence.split()]


def _bytes(directory: Path) -> list[str]:
    return [
        hashlib.sha256((directory / name).read_bytes()).hexdigest() for name in (POSTS_FILE, CATALOG_FILE, FEED_FILE)
    ]


@pytest.mark.slow
def test_the_same_seed_writes_the_same_bytes_in_another_process(tmp_path: Path) -> None:
    write_sample(make_sample(seed=5, num_posts=60), tmp_path / "here")
    code = (
        "import sys, pathlib; from training.sample import make_sample, write_sample; "
        "write_sample(make_sample(seed=5, num_posts=60), pathlib.Path(sys.argv[1]))"
    )
    subprocess.run([sys.executable, "-c", code, str(tmp_path / "there")], check=True, timeout=60)
    assert _bytes(tmp_path / "here") == _bytes(tmp_path / "there")


@pytest.mark.slow
def test_another_seed_makes_another_world(world: SampleWorld) -> None:
    other = make_sample(seed=12, num_posts=1000)
    shared = {row["artist"] for row in world.catalog} & {row["artist"] for row in other.catalog}
    assert len(shared) < 0.1 * len(world.catalog)


def test_written_files_hold_the_rows_of_the_world(world: SampleWorld, tmp_path: Path) -> None:
    write_sample(world, tmp_path)
    posts = [json.loads(line) for line in gzip.decompress((tmp_path / POSTS_FILE).read_bytes()).splitlines()]
    assert posts == list(world.posts)
    feed = (tmp_path / FEED_FILE).read_text(encoding="utf-8").splitlines()
    assert [json.loads(line) for line in feed] == list(world.feed)


@pytest.mark.slow
def test_the_default_world_is_made_in_seconds_and_is_large_enough() -> None:
    start = time.thread_time()
    world = make_sample(seed=1)
    assert time.thread_time() - start < 5
    assert 15_000 <= len(world.kinds) <= 25_000


def test_all_four_kinds_are_common(world: SampleWorld) -> None:
    counts = Counter(world.kinds.values())
    assert set(counts) == set(Kind)
    assert min(counts.values()) > 0.15 * len(world.kinds)


def test_sentences_are_as_long_as_sentences_are(world: SampleWorld) -> None:
    lengths = [len(sentence.split()) for sentence in world.kinds]
    assert 8 <= sum(lengths) / len(lengths) <= 25
    assert max(lengths) <= 40


def test_no_template_shows_through(world: SampleWorld) -> None:
    for sentence in world.kinds:
        assert not set("{}[]()|~") & set(sentence)
        assert "  " not in sentence
        assert sentence[-1] in ".!?"


def test_no_sentence_is_one_that_a_corpus_drops(world: SampleWorld) -> None:
    for sentence in world.kinds:
        masked = sentence.replace("<artist>", ARTIST).replace("<title>", TITLE)
        assert reject(masked, SentenceLimits()) is None, sentence


def test_sentences_open_in_many_ways(world: SampleWorld) -> None:
    openings = Counter(" ".join(_words(sentence)[:4]) for sentence in world.kinds)
    assert max(openings.values()) <= 25
    assert len(openings) > 0.4 * len(world.kinds)


def test_articles_agree_with_what_follows(world: SampleWorld) -> None:
    for sentence in world.kinds:
        for article, word in pairwise(_words(sentence)):
            if article == "a":
                assert not word.startswith(("a", "e", "i", "o")) or word.startswith("eu"), sentence
            if article == "an":
                assert word[0] in "aeiou8", sentence


def test_kinds_can_be_told_apart_by_their_words(world: SampleWorld) -> None:
    # Naive Bayes, trained on one half, must name the kind of nearly every sentence of the other.
    sentences = sorted(world.kinds)
    Random(1).shuffle(sentences)
    half = len(sentences) // 2
    counts: defaultdict[Kind, Counter[str]] = defaultdict(Counter)
    for sentence in sentences[:half]:
        counts[world.kinds[sentence]].update(_words(sentence))
    totals = {kind: sum(counter.values()) for kind, counter in counts.items()}

    def score(kind: Kind, words: list[str]) -> float:
        likelihood = 1.0
        for word in words:
            likelihood *= 1000 * (counts[kind][word] + 0.5) / totals[kind]
        return likelihood

    right = sum(
        max(Kind, key=lambda kind: score(kind, _words(sentence))) == world.kinds[sentence]
        for sentence in sentences[half:]
    )
    assert right > 0.97 * (len(sentences) - half)


def test_genres_matter_to_what_is_written(world: SampleWorld) -> None:
    about = defaultdict(list)
    for post in world.posts:
        for genre in post["genres"]:
            about[genre].append(post["text"])

    def share(genre: str, word: str) -> float:
        return sum(word in text for text in about[genre]) / len(about[genre])

    assert share("dream pop", "reverb") > 3 * share("techno", "reverb")
    assert share("techno", "kick") > 3 * share("dream pop", "kick")


def test_fine_genres_hold_the_name_of_a_coarser_one() -> None:
    for family in vocabulary().families.values():
        coarse = {*family["labels"], family["broad"]}
        for fine in family["fine"]:
            words = fine.split()
            assert coarse & {" ".join(words[start:]) for start in range(1, len(words))}, fine


def test_posts_carry_every_kind_of_dirt() -> None:
    text = "\n".join(post["text"] for post in make_sample(seed=3, num_posts=800).posts)
    for mark in ("https://", "&quot;", "<p class", "<em>", "**", "â€", "“", "newsletter", "1. ", "LOUDEST"):
        assert mark in text, mark


def test_some_posts_repeat_some_lack_genres_some_are_round_ups(world: SampleWorld) -> None:
    texts = Counter(post["text"] for post in world.posts if len(post["text"]) > 100)
    assert max(texts.values()) > 1
    assert any(post["artist"] and not post["genres"] for post in world.posts)
    assert any(post["artist"] is None for post in world.posts)
    assert len({post["id"] for post in world.posts}) == len(world.posts)


def test_the_feed_has_songs_of_known_and_unknown_artists_and_tweets_without_a_song(world: SampleWorld) -> None:
    known = {row["artist"] for row in world.catalog}
    everybody = {post["artist"] for post in world.posts if post["artist"]}
    texts = [tweet["text"].replace("&amp;", "&") for tweet in world.feed]
    assert len(texts) == 24
    named = [{artist for artist in everybody if artist in text} for text in texts]
    assert sum(not names for names in named) >= 3
    assert any(names - known for names in named)
    assert sum(bool(names & known) for names in named) >= 18
    assert [tweet["created_at"] for tweet in world.feed] == sorted(tweet["created_at"] for tweet in world.feed)
    assert len({tweet["id"] for tweet in world.feed}) == 24


def test_a_world_needs_a_post() -> None:
    with pytest.raises(ValueError, match="num_posts must be at least 1, got 0"):
        make_sample(seed=1, num_posts=0)


@pytest.mark.slow
@given(seed=st.integers(0, 2**32), num_posts=st.integers(1, 12))
def test_small_worlds_are_whole(seed: int, num_posts: int) -> None:
    world = make_sample(seed=seed, num_posts=num_posts)
    assert len(world.posts) == num_posts
    assert len(world.feed) == 24


@given(seed=st.integers(0, 2**32))
def test_brackets_nest_in_templates(seed: int) -> None:
    sentence = Expander(Random(seed)).sentence(
        "a~ (old|[very ]loud (drum|{noun})) {verb.s}", {"noun": ["horn"], "verb": ["try"]}
    )
    assert sentence in {
        f"{start} tries" for start in ("An old", "A loud drum", "A loud horn", "A very loud drum", "A very loud horn")
    }


@pytest.mark.parametrize("template", ["a {noun", "a (b|c", "a [b", "a) b", "{nothing}"])
def test_a_malformed_template_is_refused(template: str) -> None:
    with pytest.raises(TemplateError):
        Expander(Random(1)).sentence(template, {"noun": ["drum"]})


def test_every_template_of_every_family_expands() -> None:
    facts = {"member": ["M"], "member2": ["N"], "hometown": ["H"], "label": ["L"], "act": ["duo"], "other": ["O"]}
    for family in vocabulary().families.values():
        words = {**vocabulary().shared, **family, **facts}
        for templates in vocabulary().templates.values():
            for template in templates:
                assert Expander(Random(1)).sentence(template, words)


@pytest.mark.parametrize(
    ("verb", "third"), [("drift", "drifts"), ("crush", "crushes"), ("carry", "carries"), ("sway", "sways")]
)
def test_verbs_are_inflected(verb: str, third: str) -> None:
    assert third_person(verb) == third
