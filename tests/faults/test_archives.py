"""Bad archives under load: each is refused before traffic, the old version goes on, and the registry shows why."""

from __future__ import annotations

import json
import stat
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from serving.registry.client import Registry
from serving.registry.versions import SYNC_ERROR_TAG
from tests.faults.load import ONCE, RETRYING, wait_for
from tests.faults.reporting import Row
from tests.faults.scene import House, make_house, observing
from tests.serving.support import EchoRegistry

pytestmark = [
    pytest.mark.integration,
    pytest.mark.fault,
    pytest.mark.timeout(240),
    pytest.mark.promise("archives", "", "refused before traffic; the old version stays live; the registry shows why"),
]

Change = Callable[[dict[str, bytes]], object]


def rewrite(change: Change) -> Callable[[Path], None]:
    """Change the members of an archive before its hash is taken."""

    def prepare(path: Path) -> None:
        with zipfile.ZipFile(path) as source:
            members = {name: source.read(name) for name in source.namelist()}
        change(members)
        with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as target:
            for name, content in members.items():
                target.writestr(name, content)

    return prepare


def member(name: str, content: bytes) -> Callable[[Path], None]:
    return rewrite(lambda members: members.update({name: content}))


def settings(text: str) -> Callable[[Path], None]:
    return member("model-config.yaml", text.encode())


def program(text: str) -> Callable[[Path], None]:
    """Put a line at the head of the handler's module."""
    return rewrite(lambda members: members.update({"handler.py": f"{text}\n".encode() + _after_future(members)}))


def _after_future(members: dict[str, bytes]) -> bytes:
    return members["handler.py"].replace(b"from __future__ import annotations", b"")


def directory_entry(offset: int, value: bytes) -> Callable[[Path], None]:
    """Change a field of every member's entry in the archive's directory."""

    def prepare(path: Path) -> None:
        content = bytearray(path.read_bytes())
        start = 0
        while (start := content.find(b"PK\x01\x02", start)) >= 0:
            content[start + offset : start + offset + len(value)] = value
            start += 4
        path.write_bytes(content)

    return prepare


def damaged_data(path: Path) -> None:
    """Overwrite a part of the largest member's compressed data."""
    with zipfile.ZipFile(path) as archive:
        largest = max(archive.infolist(), key=lambda each: each.compress_size)
    content = bytearray(path.read_bytes())
    middle = largest.header_offset + 60 + largest.compress_size // 2
    content[middle : middle + 32] = bytes(32)
    path.write_bytes(content)


def cut(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-1000])


def linked(path: Path) -> None:
    link = zipfile.ZipInfo("handlers/link")
    link.external_attr = (stat.S_IFLNK | 0o777) << 16
    with zipfile.ZipFile(path, "a") as archive:
        archive.writestr(link, "/etc/passwd")


def bomb(path: Path) -> None:
    """Add a member of 2 GiB of zeros, which is 2 MB in the archive."""
    block = bytes(2**24)
    with (
        zipfile.ZipFile(path, "a", zipfile.ZIP_DEFLATED, compresslevel=9) as archive,
        archive.open("bomb", "w", force_zip64=True) as member_of_zeros,
    ):
        for _ in range(128):
            member_of_zeros.write(block)


def not_finite(members: dict[str, bytes]) -> None:
    """Make every number of the weights NaN."""
    content = bytearray(members["weights.safetensors"])
    length = int.from_bytes(content[:8], "little")
    tail = len(content) - 8 - length
    content[8 + length :] = b"\xff" * tail
    members["weights.safetensors"] = bytes(content)


def changed_config(**values: Any) -> Callable[[Path], None]:
    def change(members: dict[str, bytes]) -> None:
        members["config.json"] = json.dumps({**json.loads(members["config.json"]), **values}).encode()

    return rewrite(change)


PREPARED: dict[str, Callable[[Path], None]] = {
    "batchSize -64": settings("batchSize: -64"),
    "batchSize 0": settings("batchSize: 0"),
    "empty YAML": settings(""),
    "YAML that is a list": settings("- 1\n- 2"),
    "YAML nested 20,000 deep": settings("[" * 20_000),
    "damaged compressed data": damaged_data,
    "compression method 99": directory_entry(10, (99).to_bytes(2, "little")),
    "encrypted member": directory_entry(8, b"\x01\x00"),
    "config.json nested 200,000 deep": member("config.json", b"[" * 200_000),
    "config.json of another contract": changed_config(contract=999),
    "absolute member name": member("/tmp/deephypebot-escaped", b"x"),  # noqa: S108 - never written
    "member name with ..": member("../../deephypebot-escaped", b"x"),
    "symbolic link": linked,
    "cut short": cut,
    "zip bomb of 2 GiB": bomb,
    "weights of NaN": rewrite(not_finite),
    "weights that are not safetensors": member("weights.safetensors", b"x" * 100),
    "handler with a syntax error": program("def ("),
    "handler that ends its process": program("import os; os._exit(3)"),
    "handler that raises as it is imported": program("raise MemoryError('on purpose')"),
}
"""Archives whose hash in the registry is right, by what is bad in them."""


@pytest.fixture(scope="module")
def tenant(empty_registry: EchoRegistry, tmp_path_factory: pytest.TempPathFactory) -> Iterator[House]:
    """A service whose champion is version 1 at the end of each test."""
    house = make_house(empty_registry, tmp_path_factory.mktemp("a") / "house", "tenant")
    house.start()
    yield house
    house.close()


def refusal(house: House, version: str, row: Row, *, timeout_s: float = 90) -> str:
    """Promote a version under load, wait for the reason of its refusal, and take the promotion back."""
    with observing(house, row) as seen:
        Registry(house.registry.uri).promote(house.model, version)
        wait_for(
            lambda: house.registry.tag(house.model, version, SYNC_ERROR_TAG), timeout_s=timeout_s, what="the refusal"
        )
        seen.last(1)
        house.registry.alias(house.model, "champion", "1")
        seen.heal()
        seen.wait_normal()
    assert seen.failures(ONCE) == seen.failures(RETRYING) == {}
    assert {call.version for call in seen.load.calls} == {"1"}
    assert seen.serving_throughout
    assert house.running.process.poll() is None
    reason = house.registry.tag(house.model, version, SYNC_ERROR_TAG)
    row.notes.append(f"“{reason[:110]}…”" if len(reason) > 110 else f"“{reason}”")
    return reason


@pytest.mark.parametrize("kind", PREPARED)
def test_bad_archive(tenant: House, row: Row, kind: str) -> None:
    row.fault = kind
    version = tenant.register(prepare=PREPARED[kind])
    refusal(tenant, version, row)
    assert not list(Path("/tmp").glob("deephypebot-escaped"))  # noqa: S108 - where a bad archive would write


@pytest.mark.parametrize("kind", ["a hash of another archive", "changed after it was registered"])
def test_bad_hash(tenant: House, row: Row, kind: str) -> None:
    row.fault = kind
    bad: dict[str, Any] = {"digest": "0" * 64} if kind.startswith("a hash") else {"damage": damaged_data}
    version = tenant.register(**bad)
    assert "SHA-256" in refusal(tenant, version, row)
