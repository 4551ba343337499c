"""Benchmark of draining queued tweets against the same requests sent by the client alone, and of the memory."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

from bot.adapters.sqlite.store import SqliteStore
from bot.bootstrap import build as bootstrap
from bot.domain.errors import NoServiceError
from bot.domain.source_posts import SourcePost
from bot.ports import CommentaryService, FeedPage, SongSamples
from bot.settings import BotSettings
from handlers.contract import CommentaryRequest

_STATUS = Path("/proc/self/status")
_WARM_UP = 8
_FIRST_SHARE = 10
"""Share of the tweets after which the memory is stable."""


@dataclass(frozen=True, slots=True, kw_only=True)
class DrainFigures:
    """Figures of the benchmark."""

    tweets: int
    candidates: int
    drain_s: float
    """Seconds of the bot: reading, parsing, lookups, requests, flags, storing."""
    requests_s: float
    """Seconds of the same requests, sent by as many threads without further work."""
    share_of_model_speed: float
    """Seconds of the requests alone over seconds of the bot; 1 if the bot's own work costs no time."""
    memory_mib: float
    """Peak memory of the process."""
    growth_mib: float
    """Growth of the resident memory from a tenth of the tweets to all of them."""


class _Recorder(CommentaryService):
    """Service that passes requests on and keeps them for a second run."""

    def __init__(self, service: CommentaryService) -> None:
        self._service = service
        self.requests: list[CommentaryRequest] = []

    def generate(self, request: CommentaryRequest) -> SongSamples:
        self.requests.append(request)
        return self._service.generate(request)

    def is_reachable(self) -> bool:
        return self._service.is_reachable()

    def close(self) -> None:
        """Keep the connection open for the second run."""


def measure(settings: BotSettings, *, tweets: int) -> DrainFigures:
    """Queue tweets of one song each, drain them, and send the same requests again.

    Raises:
        NoServiceError: the gateway does not answer, or stops answering.
    """
    with SqliteStore(settings.database) as store:
        for page in _pages(tweets):
            store.add_page("bench", page)
    with closing(bootstrap.open_commentary(settings, timeout_s=settings.timeout_s)) as service:
        if not service.is_reachable():
            raise NoServiceError(f"nothing answers at {settings.target}; start `deephypebot serve`, or give --target")
        recorder = _Recorder(service)
        memory: list[float] = []
        begin = time.perf_counter()
        with bootstrap.build(settings, commentary=recorder) as bot:
            summary = bot.tick(progress=lambda done, _: memory.append(_memory("VmRSS")) if done % 10 == 0 else None)
        drain_s = time.perf_counter() - begin
        if summary.source_posts_pending:
            raise NoServiceError(
                f"{summary.source_posts_pending} of {tweets} tweets were not answered: {summary.outage}"
            )
        requests_s = _send(service, recorder.requests, threads=settings.concurrency)
    settled = memory[len(memory) // _FIRST_SHARE]
    return DrainFigures(
        tweets=summary.source_posts_done,
        candidates=summary.candidates,
        drain_s=round(drain_s, 2),
        requests_s=round(requests_s, 2),
        share_of_model_speed=round(requests_s / drain_s, 3),
        memory_mib=round(_memory("VmHWM"), 1),
        growth_mib=round(max(memory) - settled, 1),
    )


def _pages(tweets: int) -> Iterator[FeedPage]:
    for begin in range(0, tweets, 200):
        batch = (
            SourcePost(id=f"bench-{number}", text=f"Listen to “Slow Lamp {number}” by Ona Vell", author="bench")
            for number in range(begin, min(begin + 200, tweets))
        )
        yield FeedPage(source_posts=tuple(batch), cursor=str(begin), more=False)


def _send(service: CommentaryService, requests: Sequence[CommentaryRequest], *, threads: int) -> float:
    """Seconds of the requests, each of which the server has answered before."""
    with ThreadPoolExecutor(threads) as pool:
        list(pool.map(service.generate, requests[:_WARM_UP]))
        begin = time.perf_counter()
        for _ in pool.map(service.generate, requests):
            pass
        return time.perf_counter() - begin


def _memory(name: str) -> float:
    """A memory figure of this process from the kernel, in MiB."""
    lines = dict(line.split(":", 1) for line in _STATUS.read_text(encoding="ascii").splitlines())
    return int(lines[name].split()[0]) / 1024
