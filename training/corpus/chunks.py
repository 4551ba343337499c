"""Cleaning of a chunk of posts: a pure function that any process can run, and the tables that it returns."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Final

import pyarrow as pa

from training.corpus.cleaning import ARTIST, AUTHOR, CHANGES, SITE, TITLE, clean, show_placeholders
from training.corpus.duplicates import fingerprint, opening_key, sketch
from training.corpus.language import english_share
from training.corpus.masking import mask
from training.corpus.posts import Post
from training.corpus.sentences import REASONS, SentenceLimits, reject, split
from training.corpus.songs import choose_split, is_round_up, song_key
from training.corpus.words import unknown_words

NAMED: Final = ("artist named", "title named", "author or site named")
"""Names that masking finds, counted in posts."""
COUNTED: Final = ("sentences found", *REASONS, "in another language", *CHANGES, *NAMED)
"""Names of a post's counts, in order."""

POSTS: Final = pa.schema(
    {
        "id": pa.string(),
        "artist": pa.string(),
        "title": pa.string(),
        "genres": pa.list_(pa.string()),
        "genre_space": pa.string(),
        "split": pa.string(),
        "reason": pa.string(),
        "counts": pa.list_(pa.int32()),
        "fingerprint": pa.uint64(),
        "bands": pa.list_(pa.uint64()),
        "sketch": pa.binary(),
    }
)
"""Table of all rows that were read; `reason` says why a row is dropped, as far as the row alone shows it."""
SENTENCES: Final = pa.schema(
    {
        "post": pa.int32(),
        "text": pa.string(),
        "opening": pa.uint64(),
        "fingerprint": pa.uint64(),
        "bands": pa.list_(pa.uint64()),
        "sketch": pa.binary(),
        "unknown": pa.list_(pa.string()),
    }
)
"""Table of the sentences that pass by themselves; `post` is the row of the chunk's posts, `unknown` the words that the
dictionary lacks."""
MAX_UNKNOWN: Final = 32
"""Unknown words of one sentence that are kept; an English sentence never has more."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ChunkSettings:
    """Settings of cleaning: everything but the posts that a chunk depends on."""

    limits: SentenceLimits
    valid_share: float
    test_share: float
    min_english_post: float
    min_english_sentence: float


def clean_chunk(posts: Sequence[Post | None], settings: ChunkSettings) -> tuple[pa.Table, pa.Table]:
    """Clean posts and split them into sentences.

    Args:
        posts: the posts in order; None for a row that could not be read.
        settings: settings of cleaning.

    Returns:
        A table of the schema `POSTS` with a row per post, and one of the schema `SENTENCES`.
    """
    kept: list[dict[str, Any]] = []
    sentences: list[dict[str, Any]] = []
    for number, post in enumerate(posts):
        if post is None:
            kept.append({"reason": "unreadable"})
            continue
        reason = _reason(post)
        row = _post_row(post, settings)
        if reason is None:
            paragraphs, changes = clean(post.text)
            if not paragraphs:
                reason = "nothing left of the text"
            elif english_share(" ".join(paragraphs)) < settings.min_english_post:
                reason = "not English"
            else:
                counts = Counter(changes)
                sentences += ({"post": number, **each} for each in _sentences(post, paragraphs, settings, counts))
                row["counts"] = [counts[name] for name in COUNTED]
                row |= _hashes(post.text)
        kept.append({**row, "reason": reason})
    return pa.Table.from_pylist(kept, schema=POSTS), pa.Table.from_pylist(sentences, schema=SENTENCES)


def _reason(post: Post) -> str | None:
    if not post.text:
        return "without text"
    return "round-up" if is_round_up(post) else None


def _post_row(post: Post, settings: ChunkSettings) -> dict[str, Any]:
    return {
        "id": post.id,
        "artist": post.artist,
        "title": post.title,
        "genres": post.genres,
        "genre_space": post.genre_space,
        "split": choose_split(song_key(post), valid_share=settings.valid_share, test_share=settings.test_share),
    }


def _hashes(text: str) -> dict[str, Any]:
    near = sketch(text)
    return {
        "fingerprint": fingerprint(text),
        "bands": None if near is None else near[0],
        "sketch": None if near is None else near[1].tobytes(),
    }


def _sentences(
    post: Post, paragraphs: list[str], settings: ChunkSettings, counts: Counter[str]
) -> Iterator[dict[str, Any]]:
    masked = mask(paragraphs, artist=post.artist, title=post.title, author=post.author, site=post.site)
    counts.update(_named("\n".join(masked)))
    for paragraph in masked:
        for sentence in split(paragraph):
            counts["sentences found"] += 1
            reason = reject(sentence, settings.limits)
            if reason is None and english_share(sentence) < settings.min_english_sentence:
                reason = "in another language"
            if reason is not None:
                counts[reason] += 1
                continue
            text = show_placeholders(sentence)
            unknown = sorted(unknown_words(text))[:MAX_UNKNOWN]
            yield {"text": text, "opening": opening_key(text), "unknown": unknown, **_hashes(text)}


def _named(text: str) -> Iterator[str]:
    for name, marks in zip(NAMED, ((ARTIST,), (TITLE,), (AUTHOR, SITE)), strict=True):
        if any(mark in text for mark in marks):
            yield name
