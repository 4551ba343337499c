from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import zipfile
from collections.abc import Callable
from hashlib import sha256
from pathlib import Path

import pytest

from foundation.hashes import file_sha256
from serving.errors import ArchiveError
from serving.registry.archives import ArchiveInfo, bring_archive, inspect_archive
from tests.serving.support import build_archive


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return build_archive(tmp_path_factory.mktemp("archives"), "lcgan", "2", batch_size=16)


def rewritten(built: Path, out: Path, change: Callable[[dict[str, bytes]], object]) -> Path:
    with zipfile.ZipFile(built) as source:
        members = {name: source.read(name) for name in source.namelist()}
    change(members)
    with zipfile.ZipFile(out, "w") as target:
        for name, content in members.items():
            target.writestr(name, content)
    return out


def inspect(path: Path) -> ArchiveInfo:
    return inspect_archive(path, model="lcgan", version="2", sha256=file_sha256(path))


def bring(store: Path, source: Path, digest: str) -> ArchiveInfo:
    return bring_archive(
        store,
        model="lcgan",
        version="2",
        sha256=digest,
        fetch=lambda folder: Path(shutil.copy(source, folder / "fetched.mar")),
    )


def test_an_archive_says_what_the_gateway_describes(built: Path) -> None:
    assert inspect(built) == ArchiveInfo(
        model="lcgan",
        version="2",
        sha256=sha256(built.read_bytes()).hexdigest(),
        topics=("sound", "news"),
        desired_topic="sound",
        num_genres=12,
        batch_size=16,
    )


def test_an_archive_reads_the_first_contract_unless_its_configuration_notes_another(
    built: Path, tmp_path: Path
) -> None:
    def note(members: dict[str, bytes]) -> None:
        members["config.json"] = json.dumps({**json.loads(members["config.json"]), "contract": 2}).encode()

    assert inspect(built).contract == 1
    assert inspect(rewritten(built, tmp_path / "lcgan_2.mar", note)).contract == 2


def test_a_fetched_archive_lies_in_the_store_and_nothing_else_does(built: Path, tmp_path: Path) -> None:
    store = tmp_path / "new" / "store"
    bring(store, built, file_sha256(built))
    assert [path.name for path in store.iterdir()] == ["lcgan_2.mar"]
    assert file_sha256(store / "lcgan_2.mar") == file_sha256(built)


_KILLED_FETCH = """
import os, sys, signal
from pathlib import Path
from serving.registry.archives import bring_archive

def fetch(folder):
    (folder / "half").write_bytes(b"x")
    print(folder, flush=True)
    sys.stdin.read()
    os.kill(os.getpid(), signal.SIGKILL)

bring_archive(Path(sys.argv[1]), model="lcgan", version="2", sha256="0", fetch=fetch)
"""


def test_a_fetch_that_was_killed_leaves_nothing_and_one_under_way_is_left_alone(built: Path, tmp_path: Path) -> None:
    with subprocess.Popen(
        [sys.executable, "-c", _KILLED_FETCH, str(tmp_path)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as killed:
        assert killed.stdin
        assert killed.stdout
        folder = Path(killed.stdout.readline().strip())
        os.utime(folder, (0, 0))
        bring(tmp_path, built, file_sha256(built))
        assert (folder / "half").is_file(), "its process lives"
        killed.stdin.close()
        killed.wait(timeout=20)
    assert folder.is_dir()
    (tmp_path / "lcgan_2.mar").unlink()
    bring(tmp_path, built, file_sha256(built))
    assert [path.name for path in tmp_path.iterdir()] == ["lcgan_2.mar"]


def test_an_archive_that_is_there_is_not_fetched_again(built: Path, tmp_path: Path) -> None:
    shutil.copy(built, tmp_path / "lcgan_2.mar")
    assert bring(tmp_path, tmp_path / "not there", file_sha256(built)).version == "2"


def test_a_damaged_archive_in_the_store_is_replaced(built: Path, tmp_path: Path) -> None:
    (tmp_path / "lcgan_2.mar").write_bytes(built.read_bytes()[:100])
    bring(tmp_path, built, file_sha256(built))
    assert file_sha256(tmp_path / "lcgan_2.mar") == file_sha256(built)


def test_an_archive_with_another_hash_never_reaches_the_store(built: Path, tmp_path: Path) -> None:
    with pytest.raises(ArchiveError, match=r"SHA-256.*the registry has 000000"):
        bring(tmp_path, built, "0" * 64)
    assert list(tmp_path.iterdir()) == []


def test_a_file_that_is_no_zip_is_damaged(tmp_path: Path) -> None:
    path = tmp_path / "x.mar"
    path.write_bytes(b"not a zip")
    with pytest.raises(ArchiveError, match=r"damaged.*register the model again"):
        inspect(path)


def test_an_archive_of_another_version_is_refused(built: Path) -> None:
    with pytest.raises(ArchiveError, match="lcgan 3 is named lcgan 2"):
        inspect_archive(built, model="lcgan", version="3", sha256=file_sha256(built))


@pytest.mark.parametrize("member", ["MAR-INF/MANIFEST.json", "config.json", "handlers/contract.py", "echo_handler.py"])
def test_an_archive_that_lacks_a_part_is_refused_and_the_part_is_named(
    built: Path, tmp_path: Path, member: str
) -> None:
    path = rewritten(built, tmp_path / "x.mar", lambda members: members.pop(member))
    with pytest.raises(ArchiveError, match=member.replace(".", "[.]")):
        inspect(path)


@pytest.mark.parametrize("config", [b"{", b"[]", b"{}", json.dumps({"topics": 3}).encode()])
def test_an_unreadable_configuration_is_damage(built: Path, tmp_path: Path, config: bytes) -> None:
    path = rewritten(built, tmp_path / "x.mar", lambda members: members.update({"config.json": config}))
    with pytest.raises(ArchiveError, match="damaged"):
        inspect(path)


def test_a_store_that_cannot_be_written_says_how_to_choose_another(built: Path, tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(ArchiveError, match="--model-store"):
        bring(tmp_path / "file" / "store", built, file_sha256(built))
