"""Cleaning of chunks in several processes or on a Ray cluster, with no more chunks in memory than there are of them."""

from __future__ import annotations

import platform
from collections.abc import Callable, Iterable, Sequence
from contextlib import closing
from dataclasses import dataclass
from functools import partial
from itertools import chain, islice

import pyarrow as pa

from foundation.parallel.port import Engine, TaskLostError
from foundation.parallel.processes import Processes
from training.corpus.chunks import ChunkSettings, clean_chunk
from training.corpus.posts import Post
from training.corpus.work import WorkFolder, code_hash
from training.errors import CorpusError

Chunk = Sequence[Post | None]
Cleaned = tuple[pa.Table, pa.Table]


@dataclass(frozen=True, slots=True, kw_only=True)
class Cleaner:
    """Preparation of a process that cleans chunks.

    Args:
        settings: settings of cleaning.
        code: `code_hash` of the process that starts the others; another machine may have another release.
    """

    settings: ChunkSettings
    code: str

    def __call__(self) -> Callable[[Chunk], Cleaned]:
        """Return the function that cleans a chunk.

        Raises:
            CorpusError: this process has other code.
        """
        if code_hash() != self.code:
            raise CorpusError(
                f"the node {platform.node()} cleans by other code than this one: install the same release of "
                "deephypebot, with the same libraries, on every node"
            )
        pa.set_cpu_count(1)
        return partial(clean_chunk, settings=self.settings)


def clean_chunks(
    chunks: Iterable[Chunk], work: WorkFolder, settings: ChunkSettings, *, jobs: int, engine: Engine | None = None
) -> None:
    """Clean the chunks that the folder lacks and write them to it.

    Args:
        chunks: all chunks, in order.
        work: folder of the build.
        settings: settings of cleaning.
        jobs: number of processes; the tables do not depend on it. A single chunk is cleaned in this process, since
            starting another takes longer.
        engine: engine to clean with instead of `jobs` processes.

    Raises:
        CorpusError: a chunk ended its process again and again.
    """
    missing = ((number, chunk) for number, chunk in enumerate(chunks) if not work.has(number))
    first = list(islice(missing, 2))
    todo = chain(first, missing)
    if engine is None and (jobs == 1 or len(first) < 2):
        for number, chunk in todo:
            work.write(number, *clean_chunk(chunk, settings))
        return
    try:
        with closing((engine or Processes(jobs)).run(Cleaner(settings=settings, code=code_hash()), todo)) as cleaned:
            for number, (posts, sentences) in cleaned:
                work.write(number, posts, sentences)
    except TaskLostError as cause:
        raise CorpusError(
            f"chunk {cause.number} ended its cleaning process {cause.losses} times ({cause.reason}), perhaps for lack "
            "of memory; the same command continues where it stopped, and needs less memory with fewer --jobs"
        ) from cause
