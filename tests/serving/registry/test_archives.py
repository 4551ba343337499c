from __future__ import annotations

import json
import os
import shutil
import stat
import subprocess
import sys
import zipfile
from collections.abc import Callable
from hashlib import sha256
from pathlib import Path

import pytest

from foundation.hashes import file_sha256
from handlers.contract import RankBy
from handlers.model.value import VALUE
from serving.errors import ArchiveError
from serving.registry import contents
from serving.registry.archives import bring_archive, inspect_archive
from serving.registry.contents import ArchiveInfo
from tests.handlers.references import EXAMPLE
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
        max_batch_delay_ms=5,
    )


def test_an_archive_with_a_value_function_can_rank_by_it(built: Path, tmp_path: Path) -> None:
    def add(members: dict[str, bytes]) -> None:
        members["served_value.safetensors"] = b"x"

    assert not inspect(built).ranks_by_value
    assert inspect(rewritten(built, tmp_path / "lcgan_2.mar", add)).ranks_by_value
    assert contents._VALUE == VALUE


def test_an_archive_tells_by_which_rule_it_ranks_and_one_that_cannot_is_refused(built: Path, tmp_path: Path) -> None:
    def ranking(rule: object, *, with_value: bool = True) -> Callable[[dict[str, bytes]], object]:
        def change(members: dict[str, bytes]) -> None:
            members["config.json"] = json.dumps({**json.loads(members["config.json"]), "rank_by": rule}).encode()
            if with_value:
                members["served_value.safetensors"] = b"x"

        return change

    assert inspect(built).rank_by is RankBy.ACCEPTABILITY
    path = tmp_path / "lcgan_2.mar"
    assert inspect(rewritten(built, path, ranking("both"))).rank_by is RankBy.BOTH
    for change in (ranking("luck"), ranking("both", with_value=False)):
        with pytest.raises(ArchiveError, match=r"ranks candidates by '(luck|both)' .* needs served_value.safetensors"):
            inspect(rewritten(built, path, change))


def test_an_archive_reads_the_first_contract_unless_its_configuration_notes_another(
    built: Path, tmp_path: Path
) -> None:
    def note(members: dict[str, bytes]) -> None:
        members["config.json"] = json.dumps({**json.loads(members["config.json"]), "contract": 2}).encode()

    assert inspect(built).contract == 1
    assert inspect(rewritten(built, tmp_path / "lcgan_2.mar", note)).contract == 2


def test_an_archive_tells_the_reference_of_its_training(built: Path, tmp_path: Path) -> None:
    def add(members: dict[str, bytes]) -> None:
        members["reference.json"] = EXAMPLE.to_json().encode()

    assert inspect(rewritten(built, tmp_path / "lcgan_2.mar", add)).reference == EXAMPLE
    assert inspect(built).reference is None


@pytest.mark.parametrize(
    "document",
    [b"", b"null", b"[]", b"{}", b'{"format": 2}', b'{"format": 1, "genres": []}', b"\xff", b"[" * 100_000],
)
def test_a_reference_that_is_not_one_is_refused(built: Path, tmp_path: Path, document: bytes) -> None:
    def add(members: dict[str, bytes]) -> None:
        members["reference.json"] = document

    with pytest.raises(ArchiveError, match=r"reference\.json|is damaged"):
        inspect(rewritten(built, tmp_path / "lcgan_2.mar", add))


def test_a_fetched_archive_lies_in_the_store_and_nothing_else_does(built: Path, tmp_path: Path) -> None:
    store = tmp_path / "new" / "store"
    bring(store, built, file_sha256(built))
    assert [path.name for path in store.iterdir()] == ["lcgan_2.mar"]
    assert file_sha256(store / "lcgan_2.mar") == file_sha256(built)


@pytest.mark.parametrize(("folder", "file"), [(0o700, 0o600), (0o750, 0o640), (0o755, 0o644)])
def test_a_fetched_archive_can_be_read_by_those_who_may_enter_the_store(
    built: Path, tmp_path: Path, folder: int, file: int
) -> None:
    tmp_path.chmod(folder)
    bring(tmp_path, built, file_sha256(built))
    assert stat.S_IMODE((tmp_path / "lcgan_2.mar").stat().st_mode) == file


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


@pytest.mark.parametrize("member", ["MAR-INF/MANIFEST.json", "config.json", "handlers/__init__.py", "echo_handler.py"])
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


def configured(built: Path, out: Path, yaml: str) -> Path:
    return rewritten(built, out, lambda members: members.update({"model-config.yaml": yaml.encode()}))


@pytest.mark.parametrize(
    ("yaml", "reason"),
    [
        ("batchSize: -64", r"batchSize -64 .* from 1 to 1024"),
        ("batchSize: 0", r"batchSize 0 .* from 1 to 1024"),
        ("batchSize: 100000", "batchSize 100000"),
        ("batchSize: '8'", "batchSize '8'"),
        ("batchSize: true", "batchSize True"),
        ("batchSize: .nan", "batchSize nan"),
        ("maxBatchDelay: -1", "maxBatchDelay -1"),
        ("maxBatchDelay: 86400000", "maxBatchDelay 86400000"),
        ("minWorkers: 4000", "minWorkers 4000"),
        ("maxWorkers: -1", "maxWorkers -1"),
        ("responseTimeout: 0", "responseTimeout 0"),
        ("", "NoneType instead of a mapping"),
        ("- 1\n- 2", "list instead of a mapping"),
        ("a: [1", "damaged"),
        ("[" * 20_000, "damaged"),
    ],
)
def test_settings_that_torchserve_does_not_survive_are_refused_before_it_sees_them(
    built: Path, tmp_path: Path, yaml: str, reason: str
) -> None:
    with pytest.raises(ArchiveError, match=reason):
        inspect(configured(built, tmp_path / "x.mar", yaml))


@pytest.mark.parametrize(
    "member", ["/etc/cron.d/x", "../x", "a/../../x", "..", "C:\\x", "a\\..\\..\\x"], ids=["1", "2", "3", "4", "5", "6"]
)
def test_a_member_that_would_be_unpacked_elsewhere_is_refused(built: Path, tmp_path: Path, member: str) -> None:
    path = rewritten(built, tmp_path / "x.mar", lambda members: members.update({member: b""}))
    with pytest.raises(ArchiveError, match="unpacked outside of its folder"):
        inspect(path)


def test_a_symbolic_link_and_a_name_that_comes_twice_are_refused(built: Path, tmp_path: Path) -> None:
    link = zipfile.ZipInfo("handlers/link")
    link.external_attr = (stat.S_IFLNK | 0o777) << 16
    with zipfile.ZipFile(shutil.copy(built, tmp_path / "link.mar"), "a") as archive:
        archive.writestr(link, "/etc/passwd")
    with pytest.raises(ArchiveError, match="symbolic link 'handlers/link'"):
        inspect(tmp_path / "link.mar")
    with (
        zipfile.ZipFile(shutil.copy(built, tmp_path / "twice.mar"), "a") as archive,
        pytest.warns(UserWarning, match="Duplicate"),
    ):
        archive.writestr("config.json", "{}")
    with pytest.raises(ArchiveError, match=r"'config[.]json' twice"):
        inspect(tmp_path / "twice.mar")


def damaged_header(built: Path, out: Path, offset: int, value: bytes) -> Path:
    """Change a field of every member's entry in the archive's directory."""
    content = bytearray(built.read_bytes())
    start = 0
    while (start := content.find(b"PK\x01\x02", start)) >= 0:
        content[start + offset : start + offset + len(value)] = value
        start += 4
    out.write_bytes(content)
    return out


def test_an_encrypted_member_is_refused(built: Path, tmp_path: Path) -> None:
    with pytest.raises(ArchiveError, match="encrypted member"):
        inspect(damaged_header(built, tmp_path / "x.mar", 8, b"\x01\x00"))


def test_a_compression_that_torchserve_does_not_read_is_refused(built: Path, tmp_path: Path) -> None:
    with pytest.raises(ArchiveError, match="compression method 99"):
        inspect(damaged_header(built, tmp_path / "x.mar", 10, (99).to_bytes(2, "little")))


def test_a_member_whose_data_is_damaged_is_refused_although_the_hash_is_right(built: Path, tmp_path: Path) -> None:
    with zipfile.ZipFile(built) as archive:
        member = max(archive.infolist(), key=lambda each: each.compress_size)
    content = bytearray(built.read_bytes())
    middle = member.header_offset + 60 + member.compress_size // 2
    content[middle : middle + 32] = bytes(32)
    path = tmp_path / "x.mar"
    path.write_bytes(content)
    with pytest.raises(ArchiveError, match="is damaged"):
        inspect(path)


@pytest.mark.parametrize(
    "config",
    [
        b"[" * 200_000,
        b'{"topics": [], "desired_topic": "x", "num_genres": NaN}',
        b'{"topics": [], "desired_topic": "x", "num_genres": -1}',
        b'{"topics": [], "desired_topic": "x", "num_genres": 1, "contract": 999}',
        b"\xff\xfe",
    ],
    ids=["nested", "NaN", "negative", "future contract", "bytes"],
)
def test_a_configuration_from_nowhere_is_refused(built: Path, tmp_path: Path, config: bytes) -> None:
    path = rewritten(built, tmp_path / "x.mar", lambda members: members.update({"config.json": config}))
    with pytest.raises(ArchiveError, match="register the model again"):
        inspect(path)


def test_a_file_in_the_store_that_cannot_be_read_is_replaced(built: Path, tmp_path: Path) -> None:
    stored = tmp_path / "lcgan_2.mar"
    stored.symlink_to("/proc/self/mem")  # a file that even root cannot read from its start
    bring(tmp_path, built, file_sha256(built))
    assert not stored.is_symlink()
    assert file_sha256(stored) == file_sha256(built)


def test_a_folder_in_the_place_of_an_archive_is_an_error_that_says_so(built: Path, tmp_path: Path) -> None:
    (tmp_path / "lcgan_2.mar").mkdir()
    with pytest.raises(ArchiveError, match=r"lcgan_2[.]mar cannot be written"):
        bring(tmp_path, built, file_sha256(built))
