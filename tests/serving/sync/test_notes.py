"""Tags of two hosts that follow one registry."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, replace
from typing import cast

from serving.registry.versions import RegisteredVersion
from serving.sync.notes import Notes
from serving.sync.owned_reasons import OwnedReasons, reason_in
from serving.sync.readings import Readings

ENTRY = RegisteredVersion(
    model="lcgan", version="2", aliases=(), run_id="", archive_path="", archive_sha256="", sync_error=""
)


@dataclass
class Tag:
    """The tag of version 2, in place of a registry."""

    text: str = ""

    async def set_sync_error(self, model: str, version: str, text: str) -> None:
        assert (model, version) == ("lcgan", "2")
        self.text = text


def test_a_host_that_serves_a_version_leaves_the_reason_of_one_that_cannot() -> None:
    async def scene() -> None:
        tag = Tag()
        readings = cast("Readings", tag)
        broken, well = (Notes("lcgan", readings, reasons=OwnedReasons(host=host)) for host in ("a", "b"))
        broken.tag("2", "no space left on device")
        await settled()
        assert reason_in(tag.text) == "no space left on device"
        well.untag(replace(ENTRY, sync_error=tag.text))
        await settled()
        assert reason_in(tag.text) == "no space left on device"
        broken.untag(replace(ENTRY, sync_error=tag.text))
        await settled()
        assert tag.text == ""

    asyncio.run(scene())


async def settled() -> None:
    for _ in range(20):
        await asyncio.sleep(0)
