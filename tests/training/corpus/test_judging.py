from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from training.corpus import CorpusSettings, build_corpus, load_corpus
from training.corpus.funnel import Funnel

_REVIEW = (
    "The guitars come in after a minute and stay until the very end of the song. "
    "Over them she sings about a train that never stops at her town, and you believe every word of it. "
    "It is the kind of record that makes a rainy evening feel like a choice. "
    "By the last chorus the drums have found another gear and the whole band runs with them."
)
_CAPTION = "This low quality recording features a soft male vocal singing over wide strings, a mellow piano and a bass."


def _build(folder: Path, texts: list[str], fields: list[dict[str, Any]] | None = None, **settings: Any) -> Funnel:
    fields = fields or [{} for _ in texts]
    rows = [
        {"id": f"p{number}", "artist": f"Orva {number}", "title": f"Blorp {number}", "genres": [], "text": text, **more}
        for number, (text, more) in enumerate(zip(texts, fields, strict=True))
    ]
    (folder / "posts.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    return build_corpus([folder / "posts.jsonl"], folder / "corpus", settings=CorpusSettings(**settings), chunk_posts=2)


def test_a_post_that_was_changed_a_little_is_kept_once(tmp_path: Path) -> None:
    copy = _REVIEW.replace("a rainy evening", "a long evening") + " Great!"
    funnel = _build(tmp_path, [_REVIEW, "The horns are soft and warm.", copy])
    assert funnel["nearly the same as an earlier post"] == 1
    assert load_corpus(tmp_path / "corpus").post_ids == ["p0"] * 4 + ["p1"]


def test_another_post_about_the_same_things_is_kept(tmp_path: Path) -> None:
    other = (
        "She sings about a train, and the guitars stay until the end. The drums run with the band in the last chorus. "
        "I played it on a rainy evening and believed it."
    )
    assert _build(tmp_path, [_REVIEW, other])["posts kept"] == 2


def test_a_sentence_with_one_word_changed_is_kept_once(tmp_path: Path) -> None:
    two = _CAPTION.replace("mellow", "gentle")
    far = "The recording features a loud female vocal shouting over a punchy kick, a snare and a distorted bass line."
    funnel = _build(tmp_path, [_CAPTION, far, two], min_near_posts=1)
    assert funnel["nearly the same as an earlier sentence"] == 1
    assert load_corpus(tmp_path / "corpus").texts == [_CAPTION, far]


def test_nothing_is_near_where_all_must_be_in_common(tmp_path: Path) -> None:
    texts = [_CAPTION, _CAPTION.replace("mellow", "gentle")]
    assert _build(tmp_path, texts, min_near_posts=1, min_near_sentences=1)["sentences kept"] == 2


def test_sentences_of_a_post_that_is_dropped_make_no_other_one_a_repetition(tmp_path: Path) -> None:
    texts = [_REVIEW, _REVIEW, "It is the kind of record that makes a rainy evening feel like a choice."]
    funnel = _build(tmp_path, texts)
    assert (funnel["same text as an earlier post"], funnel["same as an earlier sentence"]) == (1, 1)
    assert funnel["sentences found"] == 5


def test_a_word_that_few_posts_have_is_corrected_or_its_sentence_dropped(tmp_path: Path) -> None:
    texts = [
        "This is definately a loud record.",
        "The blorpiness of the drums is too much.",
        "The bassline walks up and down.",
        "There is a bassline under the horns.",
        "A bassline and a drum are all it needs.",
    ]
    funnel = _build(tmp_path, texts)
    assert load_corpus(tmp_path / "corpus").texts == ["This is definitely a loud record.", *texts[2:]]
    assert (funnel["unknown word"], funnel["spelling corrected"]) == (1, 1)


def test_one_post_that_repeats_its_word_is_not_many(tmp_path: Path) -> None:
    text = "The blorp is very loud here. The blorp is quite soft over there. Nobody plays a blorp like she does."
    funnel = _build(tmp_path, [text, "The horns are soft and warm."])
    assert funnel["unknown word"] == 3


def _numbered(start: str, numbers: range) -> list[str]:
    return [f"{start} the numbers {number} and {1000 + number}." for number in numbers]


def test_the_first_sentences_of_an_opening_are_kept_in_the_order_of_the_posts(tmp_path: Path) -> None:
    # Two posts make a chunk, so that an opening's sentences are spread over chunks.
    many, few = _numbered("She sings to me", range(7)), _numbered("Then he plays for all of", range(3))
    mixed = [many[0], few[0], many[1], many[2], few[1], many[3], many[4], few[2], many[5], many[6]]
    funnel = _build(tmp_path, mixed, max_openings=4, min_near_sentences=1)
    assert load_corpus(tmp_path / "corpus").texts == [*mixed[:6], few[2]]
    assert funnel["opens like many others"] == 3


def test_a_sentence_that_is_dropped_takes_no_place_among_those_of_its_opening(tmp_path: Path) -> None:
    texts = [*_numbered("She sings to me", range(2)), "And so it ends without any more words."]
    twice = [texts[0], texts[0].replace(".", "!"), *texts[1:]]
    funnel = _build(tmp_path, twice, max_openings=2, min_near_sentences=1, min_near_posts=1)
    assert load_corpus(tmp_path / "corpus").texts == texts
    assert funnel["opens like many others"] == 0


def test_limits_of_less_than_one_opening_are_refused() -> None:
    with pytest.raises(ValueError, match=r"max_repeats, max_openings and min_word_posts must be at least 1"):
        CorpusSettings(max_openings=0)


def test_a_post_in_another_language_is_dropped_and_so_is_a_sentence_in_one(tmp_path: Path) -> None:
    texts = [
        "Las canciones de este disco son muy buenas. La voz es preciosa y la guitarra suena de maravilla.",
        "The horns are soft and warm. Las canciones son muy buenas y me gustan. The drums are loud, and so is she.",
    ]
    funnel = _build(tmp_path, texts)
    assert (funnel["not English"], funnel["in another language"]) == (1, 1)
    assert load_corpus(tmp_path / "corpus").texts == [
        "The horns are soft and warm.",
        "The drums are loud, and so is she.",
    ]


def test_labels_of_another_space_count_where_they_are_genres_of_spotifys(tmp_path: Path) -> None:
    texts = [f"Record number {number} of theirs is loud." for number in range(12)]
    fields: list[dict[str, Any]] = [{"genres": ["dream pop", "folk"], "genre_space": "spotify"} for _ in range(6)]
    fields += [{"genres": ["low quality", "uk dream pop", "folk & world"], "genre_space": "aspects"} for _ in range(6)]
    _build(tmp_path, texts, fields, min_posts_per_genre=5, min_near_sentences=1)
    corpus = load_corpus(tmp_path / "corpus")
    assert set(corpus.genre_table.labels) == {"dream pop", "folk"}
    assert {frozenset(genres) for genres in corpus.genres} == {frozenset(("dream pop", "folk"))}


def test_where_no_post_has_spotifys_genres_all_spaces_are_trusted(tmp_path: Path) -> None:
    texts = [f"Record number {number} of theirs is loud." for number in range(6)]
    fields: list[dict[str, Any]] = [{"genres": ["shop pop"], "genre_space": "shop"} for _ in range(6)]
    _build(tmp_path, texts, fields, min_posts_per_genre=5)
    assert load_corpus(tmp_path / "corpus").genre_table.labels == ("shop pop",)


def test_a_writer_and_a_site_are_masked_and_their_sentences_dropped(tmp_path: Path) -> None:
    texts = ["The horns are soft and warm. Ada Quill wrote this for Loud Tide in one night."]
    funnel = _build(tmp_path, texts, [{"author": "Ada Quill", "domain": "www.loudtide.com"}])
    assert (funnel["author or site named"], funnel["names a writer or a site"]) == (1, 1)
    assert load_corpus(tmp_path / "corpus").texts == ["The horns are soft and warm."]
