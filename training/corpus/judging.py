"""Judging of all posts together: duplicates, near duplicates, repeats, and words of few posts.

Every pass reads the chunks once, one at a time, and groups on disk (`Groups`), so its memory is bounded. The state of
each post and sentence lies in arrays on disk: 1 byte for its verdict, 64 bytes for its sketch.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from training.corpus.duplicates import NUM_BANDS, SKETCH_BYTES, similarity, word_key
from training.corpus.groups import Groups, Members
from training.corpus.work import WorkFolder

VERDICTS: Final = ("kept", "dropped", "same", "near", "repeated", "opening")
"""Names of the verdicts in `Judged`; "dropped" means dropped in cleaning, or with its post."""
KEPT, DROPPED, SAME, NEAR, REPEATED, OPENING = range(len(VERDICTS))
_WORD_BITS: Final = 5
"""Low bits of a record's member that hold the word's number; the others hold the sentence's."""
_PAIRS: Final = 1 << 16
"""Candidate pairs compared at once."""


@dataclass(frozen=True, slots=True, kw_only=True)
class JudgeSettings:
    """Thresholds of similar texts, repeated sentences and rare words."""

    min_near_posts: float
    min_near_sentences: float
    max_repeats: int
    max_openings: int
    min_word_posts: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Judged:
    """Verdicts in the order of the chunks' tables."""

    posts: NDArray[np.uint8]
    """Index into `VERDICTS` of each post, [num_posts]."""
    sentences: NDArray[np.uint8]
    """Index into `VERDICTS` of each sentence, [num_sentences]."""
    rare: NDArray[np.uint32]
    """Bits of each sentence, [num_sentences]: bit i is set if its unknown word i is in too few posts."""


def judge(work: WorkFolder, settings: JudgeSettings) -> Judged:
    """Judge all posts, then the sentences of those that are kept.

    The first of duplicates or near duplicates is kept. A sentence found more than `max_repeats` times is boilerplate,
    and all its copies are dropped. Of the other sentences that open with the same four words, the first `max_openings`
    are kept, since a small model writes the most frequent opening again and again.
    """
    scratch = work.scratch("judging")
    posts = _array(scratch / "posts.u1", np.uint8, (work.num_posts(),))
    sentences = _array(scratch / "sentences.u1", np.uint8, (work.num_sentences(),))
    rare = _array(scratch / "rare.u4", np.uint32, (len(sentences),))
    _judge_posts(work, scratch, posts, settings)
    post_of = _judge_sentences(work, scratch, posts, sentences, settings)
    judged = Judged(posts=posts, sentences=sentences, rare=rare)
    _find_rare_words(work, judged, Groups(scratch / "words", len(sentences)), post_of, settings.min_word_posts)
    return judged


def _judge_posts(work: WorkFolder, scratch: Path, verdicts: NDArray[np.uint8], settings: JudgeSettings) -> None:
    same = Groups(scratch / "same posts", len(verdicts))
    for start, table in _numbered(work.posts(["reason", "fingerprint"])):
        fit = table["reason"].is_null().to_numpy()
        verdicts[start : start + len(fit)] = np.where(fit, KEPT, DROPPED)
        # Filtered first: a column with nulls becomes floats, which round a fingerprint.
        same.add(table.filter(pa.array(fit))["fingerprint"].to_numpy(), _members(start, fit))
    _judge_same(same, verdicts, max_repeats=len(verdicts))
    near = _Near(scratch / "near posts", len(verdicts))
    for start, table in _numbered(work.posts(["bands", "sketch"])):
        near.add(start, table, verdicts)
    near.judge(verdicts, settings.min_near_posts)


def _judge_sentences(
    work: WorkFolder,
    scratch: Path,
    posts: NDArray[np.uint8],
    verdicts: NDArray[np.uint8],
    settings: JudgeSettings,
) -> NDArray[np.uint64]:
    """Judge sentences and return the number of each one's post."""
    post_of = _array(scratch / "post_of.u8", np.uint64, (len(verdicts),))
    same = Groups(scratch / "same sentences", len(verdicts))
    first_posts = _starts(work.posts(["reason"]))
    for (start, table), first_post in zip(_numbered(work.sentences(["post", "fingerprint"])), first_posts, strict=True):
        numbers = table["post"].to_numpy().astype(np.uint64) + np.uint64(first_post)
        post_of[start : start + len(numbers)] = numbers
        fit = posts[numbers] == KEPT
        verdicts[start : start + len(fit)] = np.where(fit, KEPT, DROPPED)
        same.add(table.filter(pa.array(fit))["fingerprint"].to_numpy(), _members(start, fit))
    _judge_same(same, verdicts, max_repeats=settings.max_repeats)
    near = _Near(scratch / "near sentences", len(verdicts))
    for start, table in _numbered(work.sentences(["bands", "sketch"])):
        near.add(start, table, verdicts)
    near.judge(verdicts, settings.min_near_sentences)
    openings = Groups(scratch / "openings", len(verdicts))
    for start, table in _numbered(work.sentences(["opening"])):
        fit = verdicts[start : start + len(table)] == KEPT
        openings.add(table.filter(pa.array(fit))["opening"].to_numpy(), _members(start, fit))
    _judge_openings(openings, verdicts, max_openings=settings.max_openings)
    return post_of


def _judge_openings(groups: Groups, verdicts: NDArray[np.uint8], *, max_openings: int) -> None:
    """Drop all but the first members of each group; members are in the order of the posts."""
    for members, starts in groups.groups():
        sizes = np.diff(np.append(starts, len(members)))
        rank = np.arange(len(members)) - np.repeat(starts, sizes)
        verdicts[members[rank >= max_openings]] = OPENING


def _judge_same(groups: Groups, verdicts: NDArray[np.uint8], *, max_repeats: int) -> None:
    for members, starts in groups.groups():
        sizes = np.diff(np.append(starts, len(members)))
        again = np.ones(len(members), dtype=bool)
        again[starts] = False
        verdicts[members[again]] = SAME
        verdicts[members[starts[sizes > max_repeats]]] = REPEATED


class _Near:
    """Near duplicates: texts that share a band, compared by their sketches."""

    def __init__(self, folder: Path, num_texts: int) -> None:
        self._groups = Groups(folder, NUM_BANDS * num_texts)
        self._sketches = _array(folder / "sketches.u1", np.uint8, (num_texts, SKETCH_BYTES))

    def add(self, start: int, table: pa.Table, verdicts: NDArray[np.uint8]) -> None:
        fit = (verdicts[start : start + len(table)] == KEPT) & table["bands"].is_valid().to_numpy()
        members = _members(start, fit)
        if not len(members):
            return
        chosen = table.filter(pa.array(fit))
        keys = pc.list_flatten(chosen["bands"]).to_numpy().astype(np.uint64)
        self._groups.add(keys, np.repeat(members, NUM_BANDS))
        sketches = np.frombuffer(b"".join(chosen["sketch"].to_pylist()), dtype=np.uint8)
        self._sketches[members] = sketches.reshape(-1, SKETCH_BYTES)

    def judge(self, verdicts: NDArray[np.uint8], min_similarity: float) -> None:
        """Drop each text that is at least this similar to the first text of one of its bands."""
        for members, starts in self._groups.groups():
            sizes = np.diff(np.append(starts, len(members)))
            first = np.repeat(members[starts], sizes)
            pairs = np.flatnonzero(first != members)
            for begin in range(0, len(pairs), _PAIRS):
                chosen = pairs[begin : begin + _PAIRS]
                alike = similarity(self._sketches[first[chosen]], self._sketches[members[chosen]])
                verdicts[members[chosen[alike >= min_similarity]]] = NEAR


def _find_rare_words(
    work: WorkFolder, judged: Judged, words: Groups, post_of: NDArray[np.uint64], min_posts: int
) -> None:
    for start, table in _numbered(work.sentences(["unknown"])):
        fit = judged.sentences[start : start + len(table)] == KEPT
        chosen = table.filter(pa.array(fit))["unknown"].to_pylist()
        found = [
            (word_key(word), int(member) << _WORD_BITS | place)
            for member, unknown in zip(_members(start, fit), chosen, strict=True)
            for place, word in enumerate(unknown)
        ]
        if found:
            records = np.array(found, dtype=np.uint64)
            words.add(records[:, 0], records[:, 1])
    for places, starts in words.groups():
        sentences: Members = places >> np.uint64(_WORD_BITS)
        posts = post_of[sentences]
        # Members are in order, so a post's sentences follow each other within a group.
        another = np.r_[1, (posts[1:] != posts[:-1]).astype(np.int64)]
        another[starts] = 1
        num_posts = np.add.reduceat(another, starts)
        few = np.repeat(num_posts < min_posts, np.diff(np.append(starts, len(places))))
        word: Members = places & np.uint64(2**_WORD_BITS - 1)
        np.bitwise_or.at(judged.rare, sentences[few], np.uint32(1) << word[few].astype(np.uint32))


def _numbered(tables: Iterator[pa.Table]) -> Iterator[tuple[int, pa.Table]]:
    """Yield each table with the number of its first row."""
    start = 0
    for table in tables:
        yield start, table
        start += len(table)


def _starts(tables: Iterator[pa.Table]) -> Iterator[int]:
    return (start for start, _ in _numbered(tables))


def _members(start: int, fit: NDArray[np.bool_]) -> Members:
    return (np.flatnonzero(fit) + start).astype(np.uint64)


def _array(path: Path, dtype: Any, shape: tuple[int, ...]) -> NDArray[Any]:
    """Make an array of zeros in a file, which the system keeps in memory as far as there is room."""
    path.parent.mkdir(parents=True, exist_ok=True)
    # NumPy does not map empty files.
    if 0 in shape:
        return np.zeros(shape, dtype=dtype)
    array: NDArray[Any] = np.memmap(path, dtype=dtype, mode="w+", shape=shape)
    return array
