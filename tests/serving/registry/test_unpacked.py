from __future__ import annotations

import os
import shutil
from hashlib import sha256
from pathlib import Path

import pytest
import yaml

from handlers.contract import BATCHES_CONTRACT, CONTRACT_FIELD, archive_name
from serving.errors import ArchiveError
from serving.registry.archives import inspect_archive
from serving.registry.contents import ArchiveInfo
from serving.registry.unpacked import Unpacked, forms_batches
from tests.serving.support import build_archive


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two archives: version 1 of before batches, version 2 with them."""
    folder = tmp_path_factory.mktemp("built")
    build_archive(folder, "lcgan", "1")
    build_archive(folder, "lcgan", "2", **{CONTRACT_FIELD: BATCHES_CONTRACT})
    return folder


@pytest.fixture
def store(built: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(built, tmp_path / "store"))


def _info(store: Path, version: str) -> ArchiveInfo:
    path = store / archive_name("lcgan", version)
    return inspect_archive(path, model="lcgan", version=version, sha256=sha256(path.read_bytes()).hexdigest())


def _batch_size(folder: Path) -> int:
    return int(yaml.safe_load((folder / "model-config.yaml").read_text())["batchSize"])


def test_only_where_the_gateway_forms_the_batches_a_worker_gets_one_call_at_a_time(store: Path) -> None:
    with Unpacked(store) as unpacked:
        for version, size, formed in (("1", 8, False), ("2", 1, True)):
            info = _info(store, version)
            folder = unpacked.folder(store / archive_name("lcgan", version), info)
            assert folder is not None
            assert (folder / "MAR-INF" / "MANIFEST.json").is_file()
            assert _batch_size(folder) == size
            assert forms_batches(info) is formed


def test_an_archive_is_unpacked_once_and_again_after_it_was_discarded(store: Path) -> None:
    info, archive = _info(store, "2"), store / archive_name("lcgan", "2")
    with Unpacked(store) as unpacked:
        first = unpacked.folder(archive, info)
        assert first is not None
        (first / "mark").write_text("x")
        assert unpacked.folder(archive, info) == first
        assert (first / "mark").exists()
        unpacked.discard(info)
        assert not first.exists()
        assert unpacked.folder(archive, info) == first
        assert not (first / "mark").exists()
    assert sorted(path.name for path in store.iterdir()) == ["lcgan_1.mar", "lcgan_2.mar"]


def test_an_archive_that_was_changed_after_its_check_is_not_unpacked(store: Path) -> None:
    info, archive = _info(store, "2"), store / archive_name("lcgan", "2")
    shutil.copy(store / archive_name("lcgan", "1"), archive)
    with Unpacked(store) as unpacked, pytest.raises(ArchiveError, match="changed after it was registered"):
        unpacked.folder(archive, info)


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write everywhere")
def test_a_store_that_cannot_be_written_leaves_unpacking_to_torchserve(store: Path) -> None:
    store.chmod(0o500)
    with Unpacked(store) as unpacked:
        assert unpacked.folder(store / archive_name("lcgan", "2"), _info(store, "2")) is None
    store.chmod(0o700)


def test_without_a_folder_nothing_is_unpacked(store: Path) -> None:
    info = _info(store, "2")
    with Unpacked(store / "missing") as unpacked:
        assert unpacked.folder(store / archive_name("lcgan", "2"), info) is None
        unpacked.discard(info)
