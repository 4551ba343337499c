"""Tags of two hosts that follow one registry."""

from __future__ import annotations

import asyncio
import time
from dataclasses import dataclass, replace
from typing import cast

from serving.registry.owned_reasons import OwnedReasons, reason_in
from serving.registry.versions import ModelSnapshot, RegisteredVersion
from serving.sync.notes import Notes
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


def test_a_host_whose_reason_has_ended_leaves_that_which_another_wrote_over_it() -> None:
    async def scene() -> None:
        tag = Tag()
        notes = Notes("lcgan", cast("Readings", tag), reasons=OwnedReasons(host="a"))
        notes.tell((), {"2": "an alias is lost"})
        await notes.write(reading(tag))
        assert reason_in(tag.text) == "an alias is lost"
        theirs = tag.text = OwnedReasons(host="b").sign("no space left on device", time.time())
        notes.tell((), {})
        await notes.write(reading(tag))
        assert tag.text == theirs
        notes.tell((), {"2": "an alias is lost"})
        await notes.write(reading(tag))
        notes.tell((), {})
        await notes.write(reading(tag))
        assert tag.text == ""

    asyncio.run(scene())


def test_the_reason_of_a_live_version_stays_for_as_long_as_it_is_true() -> None:
    async def scene() -> None:
        tag = Tag()
        notes = Notes("lcgan", cast("Readings", tag), reasons=OwnedReasons(host="a"))
        notes.tell((), {"2": "an alias is lost"})
        await notes.write(reading(tag))
        notes.untag(replace(ENTRY, sync_error=tag.text))
        await settled()
        assert reason_in(tag.text) == "an alias is lost"

    asyncio.run(scene())


def reading(tag: Tag) -> ModelSnapshot:
    versions = (replace(ENTRY, sync_error=tag.text),)
    return ModelSnapshot(model="lcgan", versions=versions, existing=frozenset({"2"}))


async def settled() -> None:
    for _ in range(20):
        await asyncio.sleep(0)
