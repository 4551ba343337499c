"""Waits for a gateway to follow the registry, which other hosts follow as well."""

from __future__ import annotations

import asyncio
import time
from dataclasses import dataclass
from typing import Any, cast

import pytest

from serving.client import CommentaryClient
from serving.promotion import NotSwitchedError, wait_for_champion, wait_for_version
from serving.registry.client import Registry
from serving.registry.owned_reasons import OwnedReasons
from serving.registry.versions import RegisteredVersion
from tests.serving.loopback_gateway import Bench, bench

OURS, THEIRS = "gateway-1", "gateway-2"


@dataclass
class Tags:
    """The one answer of a registry that the waits read."""

    sync_error: str

    def version(self, model: str, version: str) -> RegisteredVersion:
        return RegisteredVersion(
            model=model,
            version=version,
            aliases=(),
            run_id="",
            archive_path="",
            archive_sha256="",
            sync_error=self.sync_error,
        )


def refusal_of(host: str) -> Registry:
    return cast("Registry", Tags(OwnedReasons(host=host).sign("no space is left", time.time())))


def wait(it: Bench, registry: Registry, version: str, *, timeout_s: float = 20.0) -> bool:
    with CommentaryClient(it.target) as client:
        return wait_for_champion(client, registry, model="lcgan", version=version, timeout_s=timeout_s)


def test_a_refusal_of_another_host_does_not_end_the_wait_for_this_one() -> None:
    async def scene() -> None:
        async with bench(host_name=OURS) as it:
            waiting = asyncio.create_task(asyncio.to_thread(wait, it, refusal_of(THEIRS), "1"))
            await asyncio.sleep(0.5)  # two looks
            assert not waiting.done()
            it.table.switch("lcgan", "1")
            assert await waiting

    asyncio.run(scene())


@pytest.mark.parametrize("host", [OURS, ""])
def test_a_refusal_of_the_gateway_that_is_asked_ends_the_wait_at_once_and_one_that_names_no_host_as_well(
    host: str,
) -> None:
    registry = refusal_of(OURS) if host else cast("Registry", Tags("no space is left"))

    async def scene() -> None:
        async with bench(host_name=OURS) as it:
            with pytest.raises(NotSwitchedError, match="was refused, version 2 still answers: no space is left"):
                await asyncio.to_thread(wait, it, registry, "1")
            with CommentaryClient(it.target) as client, pytest.raises(NotSwitchedError, match="lcgan/9 was refused"):
                await asyncio.to_thread(_wait_for_version, client, registry)

    asyncio.run(scene())


def test_a_gateway_of_an_earlier_release_tells_no_host_so_that_every_refusal_counts() -> None:
    async def scene() -> None:
        async with bench() as it:
            with pytest.raises(NotSwitchedError, match="was refused"):
                await asyncio.to_thread(wait, it, refusal_of(THEIRS), "1")

    asyncio.run(scene())


def test_the_end_of_the_time_is_told_where_only_another_host_refuses() -> None:
    async def scene() -> None:
        async with bench(host_name=OURS) as it:
            with pytest.raises(NotSwitchedError, match=r"version 2 still answers for lcgan after 0\.1 s"):
                await asyncio.to_thread(wait, it, refusal_of(THEIRS), "1", timeout_s=0.1)

    asyncio.run(scene())


def _wait_for_version(client: CommentaryClient, registry: Any) -> bool:
    return wait_for_version(client, registry, model="lcgan", version="9", timeout_s=20)
