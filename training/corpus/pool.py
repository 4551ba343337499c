"""Cleaning of chunks in several processes, with one more chunk in memory than there are processes."""

from __future__ import annotations

import multiprocessing
import os
import signal
import threading
from collections import deque
from collections.abc import Iterable, Sequence
from concurrent.futures import Future, ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from itertools import chain, islice
from multiprocessing import connection

import pyarrow as pa

from training.corpus.chunks import ChunkSettings, clean_chunk
from training.corpus.posts import Post
from training.corpus.work import WorkFolder
from training.errors import CorpusError

Chunk = Sequence[Post | None]


def clean_chunks(chunks: Iterable[Chunk], work: WorkFolder, settings: ChunkSettings, *, jobs: int) -> None:
    """Clean the chunks that the folder lacks and write them to it.

    Memory is that of `jobs` + 1 chunks. A single chunk is cleaned in this process, since starting another takes longer.
    """
    missing = ((number, chunk) for number, chunk in enumerate(chunks) if not work.has(number))
    first = list(islice(missing, 2))
    todo = chain(first, missing)
    if jobs == 1 or len(first) < 2:
        for number, chunk in todo:
            work.write(number, *clean_chunk(chunk, settings))
        return
    # Not fork: the parent may hold threads, of pyarrow or of a progress bar.
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(jobs, mp_context=context, initializer=_start) as pool:
        waiting: deque[tuple[int, Future[tuple[pa.Table, pa.Table]]]] = deque()
        try:
            for number, chunk in todo:
                waiting.append((number, pool.submit(clean_chunk, chunk, settings)))
                if len(waiting) > jobs:
                    _write_first(waiting, work)
            while waiting:
                _write_first(waiting, work)
        except BrokenProcessPool as cause:
            raise CorpusError(
                f"one of {jobs} cleaning processes ended abruptly, perhaps for lack of memory; "
                "the same command continues where it stopped, and needs less memory with fewer --jobs"
            ) from cause
        except BaseException:
            pool.shutdown(wait=False, cancel_futures=True)
            raise


def _write_first(waiting: deque[tuple[int, Future[tuple[pa.Table, pa.Table]]]], work: WorkFolder) -> None:
    number, future = waiting.popleft()
    work.write(number, *future.result())


def _start() -> None:
    """Leave Ctrl-C to the parent, and exit with it even if it is killed, which only its pipe shows."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    pa.set_cpu_count(1)
    parent = multiprocessing.parent_process()
    if parent is not None:
        threading.Thread(target=_end_with, args=(parent.sentinel,), daemon=True).start()


def _end_with(sentinel: int) -> None:
    connection.wait([sentinel])
    os._exit(1)
