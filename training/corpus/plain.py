"""Sentences of a corpus as plain text, one per line, for programs that do not read Parquet, such as the bot."""

from __future__ import annotations

import gzip
from pathlib import Path
from typing import IO, cast

import pyarrow as pa
import pyarrow.parquet as pq

from training.corpus.songs import SPLITS
from training.corpus.store import SENTENCES_FILE
from training.errors import CorpusError
from training.files import atomic_path

_BATCH = 10_000


def write_text(corpus: Path, out: Path, *, split: str = "train") -> int:
    """Write a split's sentences, with their placeholders, batch by batch, and return their number.

    Args:
        corpus: folder of the corpus.
        out: the file; gzipped if its name ends in ".gz".
        split: train, valid or test.

    Raises:
        CorpusError: the folder is not a corpus, is damaged, or has no sentence of this split.
        OutputError: the file cannot be written.
    """
    if split not in SPLITS:
        raise CorpusError(f"no split named {split!r}; splits are {', '.join(SPLITS)}")
    source = corpus / SENTENCES_FILE
    if not source.is_file():
        raise CorpusError(
            f"{corpus} is not a corpus: {SENTENCES_FILE} is missing; make one with `deephypebot corpus build`"
        )
    with atomic_path(out) as partial, partial.open("wb") as raw:
        # The header has neither name nor time, so that the same corpus gives the same bytes.
        file = gzip.GzipFile("", "wb", fileobj=raw, mtime=0) if out.suffix == ".gz" else raw
        count = _copy(source, cast("IO[bytes]", file), split)
        if file is not raw:
            file.close()
        if not count:
            raise CorpusError(f"{corpus} has no sentence in {split}")
    return count


def _copy(source: Path, file: IO[bytes], split: str) -> int:
    count = 0
    try:
        with pq.ParquetFile(source) as parquet:
            for batch in parquet.iter_batches(_BATCH, columns=["text", "split"]):
                for text, part in zip(batch["text"].to_pylist(), batch["split"].to_pylist(), strict=True):
                    if part == split:
                        file.write(f"{' '.join(text.split())}\n".encode())
                        count += 1
    except (pa.ArrowException, AttributeError, KeyError) as cause:
        raise CorpusError(f"{source} is damaged ({cause}); build the corpus again") from cause
    return count
