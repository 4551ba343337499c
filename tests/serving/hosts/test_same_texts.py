"""One model in both worker hosts: what they write and count is the same."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import pytest

from handlers.contract import CommentaryRequest, CommentaryResponse
from serving.workers.cores import CoreShares
from serving.workers.host import RunningHost
from serving.workers.kinds import WorkerHostKind
from tests.handlers.tiny_bundles import GENRES, tiny_bundle
from tests.integration.support import scrape
from tests.serving.hosts.conftest import open_host
from training.packaging.archive import build_archive

pytestmark = [pytest.mark.integration, pytest.mark.timeout(240)]

COUNTED = (
    "deephypebot_worker_requests_total",
    "deephypebot_worker_sequences_total",
    "deephypebot_worker_tokens_total",
    "deephypebot_worker_errors_total",
    "deephypebot_worker_build_info",
)
REQUESTS = [
    CommentaryRequest(genres=genres, num_samples=number, seed=seed, best_of=best_of, artist=artist)
    for seed, (genres, number, best_of, artist) in enumerate(
        [((GENRES[0],), 1, 1, None), ((), 5, 3, "A"), (GENRES[:2], 16, None, None), ((GENRES[3],), 2, 8, "é")] * 3
    )
]


def test_both_hosts_write_the_same_texts_to_the_last_bit_and_count_them_alike(tmp_path: Path) -> None:
    bundle = tmp_path / "bundle"
    bundle.mkdir()
    tiny_bundle().save(bundle, model_card="Random weights.\n")
    (tmp_path / "store").mkdir()
    build_archive(bundle, tmp_path / "store", version="1")

    async def scene() -> list[tuple[list[dict[str, Any]], dict[str, Any]]]:
        return list(await asyncio.gather(*(written(kind, tmp_path) for kind in WorkerHostKind)))

    (texts, counts), (other_texts, other_counts) = asyncio.run(asyncio.wait_for(scene(), 200))
    assert texts == other_texts
    assert counts == other_counts
    assert set(counts) == set(COUNTED)


async def written(kind: WorkerHostKind, folder: Path) -> tuple[list[dict[str, Any]], dict[str, Any]]:
    """Samples of the requests, each once in a batch with others and once alone, and what their worker counted."""
    host = open_host(kind, folder / "store", folder / kind)
    await host.start()
    try:
        running = await host.wait_running()
        CoreShares(running.threads_file, workers=1, cores=1).add("cvae", "1")
        await running.register("cvae_1.mar", model="cvae", version="1", workers=1, timeout_s=120)
        to = running.inference.batcher("cvae", "1", num_workers=lambda: 1, timeout_s=60)
        payloads = [request.to_json() for request in REQUESTS]
        together = await asyncio.gather(*(to.ask(each, samples=1) for each in payloads))
        alone = [await to.ask(each, samples=1) for each in payloads]
        assert [each.samples for each in together] == [each.samples for each in alone]
        await refused(running)
        page = await asyncio.to_thread(scrape, running.metrics_url)
    finally:
        await host.stop()
    return [_shown(each) for each in together], {name: page.get(name) for name in COUNTED}


async def refused(running: RunningHost) -> None:
    """A request that the model cannot answer, so that errors are counted as well."""
    fields = {"data": CommentaryRequest(genres=(), topic="no such topic").to_json()}
    answer = await running.inference.predict(fields, model="cvae", version="1", timeout_s=30)
    assert b"no such topic" in answer


def _shown(answer: CommentaryResponse) -> dict[str, Any]:
    return {"samples": answer.samples, "model": answer.model, "genres": answer.genres_used}
