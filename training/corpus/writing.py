"""Last pass of a build: the files of a corpus from judged chunks."""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Final

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from handlers.model.genres import GenreTable
from training.corpus.chunks import COUNTED
from training.corpus.funnel import Funnel, Input
from training.corpus.genre_labels import choose_labels, common_genres, translate
from training.corpus.judging import KEPT, NEAR, OPENING, REPEATED, SAME, Judged
from training.corpus.posts import SPOTIFY
from training.corpus.songs import SPLITS
from training.corpus.store import FUNNEL_FILE, GENRES_FILE, SCHEMA, SENTENCES_FILE
from training.corpus.words import correction
from training.corpus.work import WorkFolder
from training.errors import NoUsableSentenceError

_ROW_GROUP: Final = 8192
_POST_STEPS: Final = {SAME: "same text as an earlier post", NEAR: "nearly the same as an earlier post"}
_SENTENCE_STEPS: Final = {
    SAME: "same as an earlier sentence",
    NEAR: "nearly the same as an earlier sentence",
    REPEATED: "repeated in many posts",
    OPENING: "opens like many others",
}


def write_corpus(
    work: WorkFolder,
    judged: Judged,
    folder: Path,
    *,
    inputs: tuple[Input, ...],
    settings: Mapping[str, Any],
    min_posts_per_genre: int,
    max_genres: int,
) -> Funnel:
    """Write the files of a corpus into a folder.

    Raises:
        NoUsableSentenceError: no sentence is left.
    """
    counts = _post_counts(work, judged)
    for verdict, step in _SENTENCE_STEPS.items():
        counts[step] = int(np.count_nonzero(judged.sentences == verdict))
    genres = _Genres(work, judged, min_posts=min_posts_per_genre, max_labels=max_genres)
    splits = dict.fromkeys(SPLITS, 0)
    with pq.ParquetWriter(folder / SENTENCES_FILE, SCHEMA, compression="zstd") as writer:
        for rows in _grouped(_rows(work, judged, genres, counts)):
            for row in rows:
                splits[row["split"]] += 1
            writer.write_table(pa.Table.from_pylist(rows, schema=SCHEMA))
    counts["sentences kept"] = sum(splits.values())
    funnel = Funnel.from_counts(
        counts,
        inputs=inputs,
        settings=settings,
        splits=splits,
        genres={
            "labels": len(genres.table),
            "posts without genre": genres.num_bare(),
            "posts of the most frequent": genres.num_most(),
        },
    )
    if not funnel["sentences kept"]:
        names = ", ".join(entry.name for entry in inputs)
        raise NoUsableSentenceError(
            f"no usable sentence is left from {funnel['rows read']:,} rows in {names}; dropped: {funnel.dropped()}"
        )
    labels = json.dumps(genres.table.labels, ensure_ascii=False, indent=0)
    (folder / GENRES_FILE).write_text(labels + "\n", encoding="utf-8")
    (folder / FUNNEL_FILE).write_text(funnel.to_json(), encoding="utf-8")
    return funnel


def _post_counts(work: WorkFolder, judged: Judged) -> Counter[str]:
    """Count rows, posts, and the sentences of the posts that are kept."""
    counts: Counter[str] = Counter()
    sums = np.zeros(len(COUNTED), dtype=np.int64)
    start = 0
    for table in work.posts(["reason", "counts"]):
        verdicts = judged.posts[start : start + len(table)]
        start += len(table)
        counts.update(reason for reason in table["reason"].to_pylist() if reason is not None)
        kept = table.filter(pa.array(verdicts == KEPT))["counts"].to_pylist()
        sums += np.array(kept, dtype=np.int64).reshape(-1, len(COUNTED)).sum(axis=0)
    for verdict, step in _POST_STEPS.items():
        counts[step] = int(np.count_nonzero(judged.posts == verdict))
    counts["rows read"] = start
    counts["posts kept"] = int(np.count_nonzero(judged.posts == KEPT))
    counts.update({name: int(count) for name, count in zip(COUNTED, sums, strict=True)})
    return counts


class _Genres:
    """Genre table of the kept posts, and the labels of their genres."""

    def __init__(self, work: WorkFolder, judged: Judged, *, min_posts: int, max_labels: int) -> None:
        self._work = work
        self._judged = judged
        spotifys = any(space == SPOTIFY and genres for space, genres in self._posts())
        self._reference = SPOTIFY if spotifys else None
        # A fifth of the posts that make a name a label by itself is enough to accept it as a genre.
        self._known = common_genres(self._trusted(), min_posts=max(1, min_posts // 5))
        self._common = common_genres(self._trusted(), min_posts=min_posts)
        self.table: GenreTable = choose_labels(self._combinations, min_posts=min_posts, max_labels=max_labels)

    def resolve(self, space: str, genres: tuple[str, ...]) -> tuple[str, ...]:
        """Return the labels of a post's genres."""
        return self.table.resolve(self._translated(space, genres))[0]

    def num_bare(self) -> int:
        """Number of posts without a label."""
        return sum(1 for space, genres in self._posts() if not self.resolve(space, genres))

    def num_most(self) -> int:
        """Number of posts of the most frequent genre, before rare genres are left out."""
        counts = Counter(genre for genres, count in self._combinations() for genre in set(genres))
        return max(counts.values(), default=0)

    def _combinations(self) -> Iterator[tuple[tuple[str, ...], int]]:
        for space, genres in self._posts():
            yield self._translated(space, genres), 1

    def _trusted(self) -> Iterator[tuple[tuple[str, ...], int]]:
        return ((genres, 1) for space, genres in self._posts() if self._is_trusted(space))

    def _translated(self, space: str, genres: tuple[str, ...]) -> tuple[str, ...]:
        return genres if self._is_trusted(space) else translate(genres, self._known, self._common)

    def _is_trusted(self, space: str) -> bool:
        return self._reference in {None, space}

    def _posts(self) -> Iterator[tuple[str, tuple[str, ...]]]:
        start = 0
        for table in self._work.posts(["genre_space", "genres"]):
            kept = table.filter(pa.array(self._judged.posts[start : start + len(table)] == KEPT))
            start += len(table)
            for space, genres in zip(kept["genre_space"].to_pylist(), kept["genres"].to_pylist(), strict=True):
                yield space, tuple(genres)


def _rows(work: WorkFolder, judged: Judged, genres: _Genres, counts: Counter[str]) -> Iterator[dict[str, Any]]:
    start = 0
    posts = work.posts(["id", "artist", "title", "genres", "genre_space", "split"])
    for table, sentences in zip(posts, work.sentences(["post", "text", "unknown"]), strict=True):
        fields = [_fields(row, genres) for row in table.to_pylist()]
        verdicts = judged.sentences[start : start + len(sentences)]
        rare = judged.rare[start : start + len(sentences)]
        start += len(sentences)
        for number in np.flatnonzero(verdicts == KEPT):
            text = sentences["text"][number].as_py()
            if rare[number]:
                words = [
                    word for place, word in enumerate(sentences["unknown"][number].as_py()) if rare[number] >> place & 1
                ]
                text = _corrected(text, words)
                counts["unknown word" if text is None else "spelling corrected"] += 1
            if text is not None:
                yield {"text": text, **fields[sentences["post"][number].as_py()]}


def _fields(row: dict[str, Any], genres: _Genres) -> dict[str, Any]:
    return {
        "artist": row["artist"],
        "title": row["title"],
        "genres": genres.resolve(row["genre_space"] or SPOTIFY, tuple(row["genres"] or ())),
        "post_id": row["id"],
        "split": row["split"],
    }


def _corrected(text: str, words: list[str]) -> str | None:
    """Correct those words of a text; None if one of them has no correction."""
    for word in words:
        better = correction(word)
        if better is None:
            return None
        text = re.sub(rf"(?<![\w']){re.escape(word)}(?![\w'])", better, text)
    return text


def _grouped(rows: Iterator[dict[str, Any]]) -> Iterator[list[dict[str, Any]]]:
    group: list[dict[str, Any]] = []
    for row in rows:
        group.append(row)
        if len(group) == _ROW_GROUP:
            yield group
            group = []
    if group:
        yield group
