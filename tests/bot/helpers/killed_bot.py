"""Kill a bot at every moment of its work, let another one finish, and print the content of the database.

Run as a program: `killed_bot.py FEED CATALOG FOLDER`. Everything is imported once; each bot is a fork of this process,
which has one thread, and is killed with SIGKILL before its n-th statement to SQLite, or before or after its n-th
outside call. One JSON line per moment; the last one is of a bot that nobody killed.
"""

from __future__ import annotations

import json
import os
import signal
import sqlite3
import sys
import threading
from pathlib import Path

from bot.adapters.files.feed import FileFeed
from bot.adapters.lookups.catalog import FileCatalog
from bot.adapters.sqlite.store import SqliteStore
from bot.ports import CommentaryService, SongSamples, WrittenSample
from bot.services.genres import ChainResolver
from bot.services.service import Bot, ServiceOptions
from handlers.contract import CommentaryRequest, ModelIdentity, Sample


class Countdown:
    """Counter of steps that kills this process at the n-th one; never if n is 0."""

    def __init__(self, step: int) -> None:
        self._left = step
        self._lock = threading.Lock()

    def tick(self, what: str = "a request for commentary") -> None:
        with self._lock:
            self._left -= 1
            if self._left == 0:
                self.tell(what)
                os.kill(os.getpid(), signal.SIGKILL)

    def tell(self, what: str) -> None:
        """Kill this process while no other thread passes a step."""


class CountedCommentary(CommentaryService):
    """Service whose calls are steps of the countdown; the text follows from the request."""

    def __init__(self, countdown: Countdown) -> None:
        self._countdown = countdown

    def generate(self, request: CommentaryRequest) -> SongSamples:
        self._countdown.tick()
        samples = tuple(
            Sample(
                text=f"{request.title} {request.seed} {number}",
                token_count=3,
                log_prob=-1.0,
                topics=(1.0,),
                seed=number,
            )
            for number in range(request.num_samples)
        )
        self._countdown.tick()
        model = ModelIdentity(name="lcgan", version="1")
        return SongSamples(samples=tuple(WrittenSample(sample=sample, model=model) for sample in samples))

    def is_reachable(self) -> bool:
        return True

    def close(self) -> None:
        pass


def work(feed: Path, catalog: FileCatalog, database: Path, step: int) -> bool:
    """Run one pass in a process of its own, killed at the given step; whether it was killed."""
    child = os.fork()
    if child == 0:
        countdown = Countdown(step)
        with SqliteStore(database) as store:
            store._connection.set_trace_callback(countdown.tick)
            options = ServiceOptions(num_samples=2, concurrency=2)
            Bot(
                sources=(FileFeed(feed),),
                resolver=ChainResolver(table=catalog),
                commentary=CountedCommentary(countdown),
                store=store,
                options=options,
            ).tick()
        os._exit(0)
    _, status = os.waitpid(child, 0)
    if os.WIFEXITED(status) and os.WEXITSTATUS(status):
        raise SystemExit(f"the bot failed at step {step}")
    return os.WIFSIGNALED(status)


def contents(database: Path) -> dict[str, object]:
    connection = sqlite3.connect(database)
    source_posts = connection.execute("SELECT id, status FROM tweet ORDER BY id").fetchall()
    candidates = connection.execute("SELECT id, sample FROM candidate ORDER BY id").fetchall()
    connection.close()
    return {"tweets": source_posts, "candidates": candidates}


def main(feed: Path, catalog_path: Path, folder: Path) -> None:
    catalog = FileCatalog(catalog_path)
    step, killed = 1, True
    while killed:
        database = folder / f"{step}.db"
        killed = work(feed, catalog, database, step)
        before = contents(database)
        work(feed, catalog, database, 0)
        work(feed, catalog, database, 0)
        run = {"step": step, "killed": killed, "before": before, "after": contents(database)}
        sys.stdout.write(json.dumps(run) + "\n")
        step += 1


if __name__ == "__main__":
    main(*map(Path, sys.argv[1:]))
