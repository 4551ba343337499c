"""Finished corpus: its files, and reading them into memory.

sentences.parquet   text, artist, title, genres, post_id, split
genres.json         the genre table's labels, most frequent first
funnel.json         what was read, dropped and kept
funnel.png          the same as a picture, where `deephypebot corpus build` made the corpus
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from handlers.model.genres import GenreTable
from training.corpus.funnel import Funnel
from training.corpus.songs import SPLITS
from training.errors import CorpusError

SENTENCES_FILE: Final = "sentences.parquet"
GENRES_FILE: Final = "genres.json"
FUNNEL_FILE: Final = "funnel.json"
PLOT_FILE: Final = "funnel.png"
SCHEMA: Final = pa.schema(
    {
        "text": pa.string(),
        "artist": pa.string(),
        "title": pa.string(),
        "genres": pa.list_(pa.string()),
        "post_id": pa.string(),
        "split": pa.string(),
    }
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Corpus:
    """A corpus in memory; entry i of each list belongs to sentence i."""

    texts: list[str]
    genres: list[tuple[str, ...]]
    """Labels of each sentence, from `genre_table`; empty for a post without genres."""
    splits: list[str]
    post_ids: list[str]
    genre_table: GenreTable
    funnel: Funnel
    content_hash: str
    """SHA-256 of the sentences and labels; corpora with equal hashes are the same."""

    def __len__(self) -> int:
        return len(self.texts)

    def indices(self, split: str) -> list[int]:
        """Positions of a split's sentences.

        Raises:
            ValueError: the split is not train, valid or test.
        """
        if split not in SPLITS:
            raise ValueError(f"no split named {split!r}; splits are {', '.join(SPLITS)}")
        return [number for number, name in enumerate(self.splits) if name == split]

    def part(self, split: str) -> Corpus:
        """Return the sentences of one split as a corpus."""
        chosen = self.indices(split)
        return Corpus(
            texts=[self.texts[number] for number in chosen],
            genres=[self.genres[number] for number in chosen],
            splits=[split] * len(chosen),
            post_ids=[self.post_ids[number] for number in chosen],
            genre_table=self.genre_table,
            funnel=self.funnel,
            content_hash=self.content_hash,
        )


def load_corpus(directory: Path) -> Corpus:
    """Read a corpus into memory.

    Raises:
        CorpusError: the folder is not a corpus, or one of its files is damaged.
    """
    for name in (SENTENCES_FILE, GENRES_FILE, FUNNEL_FILE):
        if not (directory / name).is_file():
            raise CorpusError(
                f"{directory} is not a corpus: {name} is missing; make one with `deephypebot corpus build`"
            )
    try:
        table = pq.read_table(directory / SENTENCES_FILE, columns=["text", "genres", "split", "post_id"])
        labels = json.loads((directory / GENRES_FILE).read_text(encoding="utf-8"))
        funnel = Funnel.from_json((directory / FUNNEL_FILE).read_text(encoding="utf-8"))
        genre_table = GenreTable(labels=tuple(labels))
        _check_values(table, genre_table)
    except (pa.ArrowException, AttributeError, KeyError, TypeError, ValueError) as cause:
        raise CorpusError(f"{directory} is a damaged corpus ({cause}); build it again") from cause
    return Corpus(
        texts=table["text"].to_pylist(),
        genres=[tuple(genres) for genres in table["genres"].to_pylist()],
        splits=table["split"].to_pylist(),
        post_ids=table["post_id"].to_pylist(),
        genre_table=genre_table,
        funnel=funnel,
        content_hash=_content_hash(directory),
    )


def _check_values(table: pa.Table, genre_table: GenreTable) -> None:
    """Check that the sentences have labels of this genre table and known splits.

    Raises:
        ValueError: a value is missing or unknown.
    """
    for column in table.column_names:
        if table[column].null_count:
            raise ValueError(f"{SENTENCES_FILE} lacks {column} in {table[column].null_count} of {len(table)} rows")
    labels = set(pc.unique(pc.list_flatten(table["genres"])).to_pylist())
    if unknown := sorted(labels - set(genre_table.labels)):
        raise ValueError(f"sentences have {len(unknown)} genres that {GENRES_FILE} lacks, {unknown[0]!r} among them")
    if unknown := sorted(set(pc.unique(table["split"]).to_pylist()) - set(SPLITS)):
        raise ValueError(f"unknown split {unknown[0]!r} of sentences; splits are {', '.join(SPLITS)}")


def _content_hash(directory: Path) -> str:
    digest = hashlib.sha256()
    for name in (SENTENCES_FILE, GENRES_FILE):
        digest.update((directory / name).read_bytes())
    return digest.hexdigest()
