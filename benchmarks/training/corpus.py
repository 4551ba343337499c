"""Benchmark of building a corpus: speed, and time and memory of ten times the posts."""

from __future__ import annotations

import gzip
import json
import multiprocessing
import resource
import tempfile
import time
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any, Final

from rich.table import Table

from training.corpus.build import build_corpus
from training.corpus.rows import read_rows
from training.errors import PostsError

_MIB: Final = 1024
"""KiB per MiB; Linux reports memory in KiB."""


@dataclass(frozen=True, slots=True, kw_only=True)
class BuildCost:
    """Cost of one build, in its own process."""

    posts: int
    sentences: int
    """Sentences found, before any was dropped."""
    seconds: float
    cpu_seconds: float
    """Processor time of the building process and its workers."""
    peak_mib: float
    """Peak resident memory of the building process."""
    worker_mib: float
    """Peak resident memory of a worker."""


@dataclass(frozen=True, slots=True, kw_only=True)
class CorpusBench:
    """Costs of a build and of one with ten times the posts."""

    one: BuildCost
    ten: BuildCost
    jobs: int

    def figures(self) -> Mapping[str, float]:
        """Return the figures of the command's result line."""
        return {
            "sentences_per_minute": 60 * self.ten.sentences / self.ten.seconds,
            "sentences_per_cpu_minute": 60 * self.ten.sentences / self.ten.cpu_seconds,
            "time_of_ten_times": self.ten.seconds / self.one.seconds,
            "cpu_time_of_ten_times": self.ten.cpu_seconds / self.one.cpu_seconds,
            "memory_of_ten_times": self.ten.peak_mib / self.one.peak_mib,
            "peak_mib": self.ten.peak_mib,
            "worker_mib": self.ten.worker_mib,
            "jobs": self.jobs,
        }

    def table(self) -> Table:
        """Make a table of both builds."""
        table = Table(title="Building a corpus")
        for heading in ("posts", "sentences found", "seconds", "processor seconds", "peak MiB", "worker MiB"):
            table.add_column(heading, justify="right")
        for cost in (self.one, self.ten):
            table.add_row(
                f"{cost.posts:,}",
                f"{cost.sentences:,}",
                f"{cost.seconds:.1f}",
                f"{cost.cpu_seconds:.1f}",
                f"{cost.peak_mib:.0f}",
                f"{cost.worker_mib:.0f}",
            )
        return table


def bench_corpus(posts: Path | None, *, num_posts: int, jobs: int) -> CorpusBench:
    """Build a corpus of `num_posts` posts and one of ten times as many, each in a new process.

    Args:
        posts: file of posts; of a shorter file, a tenth and the whole are built. By default posts are generated.
        num_posts: posts of the smaller build.
        jobs: number of cleaning processes.

    Raises:
        PostsError: the file cannot be used.
    """
    if posts is not None:
        num_posts = min(num_posts, sum(1 for _ in read_rows(posts)) // 10)
        if not num_posts:
            raise PostsError(f"{posts} holds fewer than ten rows: too few to compare a tenth of them with all")
    with tempfile.TemporaryDirectory() as name:
        few, many = (Path(name) / f"{size}.jsonl.gz" for size in ("few", "many"))
        for path, count in ((few, num_posts), (many, 10 * num_posts)):
            _write(path, islice(_rows(posts, count), count))
        return CorpusBench(one=_measure(few, jobs), ten=_measure(many, jobs), jobs=jobs)


def _rows(posts: Path | None, num_posts: int) -> Iterable[Mapping[str, Any]]:
    if posts is not None:
        return (row for row in read_rows(posts) if row is not None)
    from training.sample import make_sample  # noqa: PLC0415 - reads its grammar

    # Generated posts repeat less if they are generated for the full number.
    return make_sample(seed=5, num_posts=num_posts).posts


def _write(path: Path, rows: Iterable[Mapping[str, Any]]) -> None:
    with gzip.open(path, "wt", encoding="utf-8", compresslevel=1) as file:
        file.writelines(json.dumps(row, ensure_ascii=False) + "\n" for row in rows)


def _measure(posts: Path, jobs: int) -> BuildCost:
    context = multiprocessing.get_context("spawn")
    with _process(context, posts, jobs) as (process, answers):
        process.start()
        answer: BuildCost | BaseException = answers.get()
        process.join()
    if isinstance(answer, BaseException):
        raise answer
    return answer


@contextmanager
def _process(context: Any, posts: Path, jobs: int) -> Iterator[tuple[Any, Any]]:
    answers = context.Queue()
    process = context.Process(target=_build, args=(posts, jobs, answers))
    try:
        yield process, answers
    finally:
        if process.is_alive():
            process.terminate()


def _build(posts: Path, jobs: int, answers: Any) -> None:
    """Build in its own process, since peak memory is that of a process's whole life."""
    try:
        started = time.perf_counter()
        funnel = build_corpus([posts], posts.with_suffix(".corpus"), jobs=jobs)
        seconds = time.perf_counter() - started
        here, workers = (resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN))
        answers.put(
            BuildCost(
                posts=funnel["rows read"],
                sentences=funnel["sentences found"],
                seconds=seconds,
                cpu_seconds=here.ru_utime + here.ru_stime + workers.ru_utime + workers.ru_stime,
                peak_mib=here.ru_maxrss / _MIB,
                worker_mib=workers.ru_maxrss / _MIB,
            )
        )
    except Exception as cause:  # noqa: BLE001 - the parent raises it
        answers.put(cause)
