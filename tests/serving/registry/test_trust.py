from __future__ import annotations

import asyncio
import json
from dataclasses import replace
from pathlib import Path
from typing import Any, cast

import pytest

from foundation.signatures import SigningKey, new_key_pair
from serving.errors import ArchiveError, SecurityError
from serving.registry.trust import Trust
from serving.registry.unpacked import Unpacked
from serving.registry.versions import RegisteredVersion
from serving.sync.loading import Loader
from serving.torchserve.process import TorchServeSettings
from serving.torchserve.supervisor import Supervisor

VERSION = RegisteredVersion(
    model="lcgan",
    version="2",
    aliases=("champion",),
    run_id="r",
    archive_path="archives/lcgan_2.mar",
    archive_sha256="ab" * 32,
    sync_error="",
)


@pytest.fixture
def key(tmp_path: Path) -> Path:
    new_key_pair(tmp_path / "release.key")
    return tmp_path / "release.key"


def signed(key: Path, version: RegisteredVersion) -> RegisteredVersion:
    name = f"{version.model}_{version.version}.mar"
    return replace(version, archive_signature=SigningKey.read(key).sign(name, version.archive_sha256))


def trust(key: Path) -> Trust:
    return Trust(key.with_name(f"{key.name}.pub"))


def test_without_trusted_keys_an_archive_needs_no_signature(key: Path) -> None:
    assert Trust(None).check(VERSION) == ""
    assert Trust(None).check(replace(VERSION, archive_signature="whatever")) == ""
    assert Trust(None).check(signed(key, VERSION)) == ""


def test_with_trusted_keys_a_signed_archive_passes_and_an_unsigned_one_is_refused_with_the_way_out(key: Path) -> None:
    assert trust(key).check(signed(key, VERSION)) == SigningKey.read(key).fingerprint
    with pytest.raises(ArchiveError, match=r"lcgan/2 is not signed .*`deephypebot keys sign lcgan/2`"):
        trust(key).check(VERSION)


def test_whatever_a_writer_of_the_registry_changes_is_refused(key: Path, tmp_path: Path) -> None:
    new_key_pair(tmp_path / "thief.key")
    good = signed(key, VERSION)
    changed = {
        "another archive and its hash": replace(good, archive_sha256="cd" * 32),
        "the archive of an older version": replace(good, version="3"),
        "the archive of another model": replace(good, model="cvae"),
        "a key of their own": signed(tmp_path / "thief.key", VERSION),
        "a broken signature": replace(good, archive_signature=good.archive_signature[:-40]),
    }
    for version in changed.values():
        with pytest.raises(ArchiveError, match=r"is refused: its signature|is refused: it is signed by the key"):
            trust(key).check(version)


def test_a_key_that_is_taken_out_of_the_file_counts_no_more(key: Path, tmp_path: Path) -> None:
    new_key_pair(tmp_path / "new.key")
    keys = tmp_path / "trusted.pem"
    keys.write_text((tmp_path / "release.key.pub").read_text() + (tmp_path / "new.key.pub").read_text())
    checked = Trust(keys)
    assert checked.check(signed(key, VERSION))
    keys.write_text((tmp_path / "new.key.pub").read_text())
    with pytest.raises(ArchiveError, match="not trusted"):
        checked.check(signed(key, VERSION))
    keys.unlink()
    with pytest.raises(SecurityError, match="--trusted-keys"):
        checked.check(signed(key, VERSION))


def test_a_file_of_keys_that_cannot_be_used_is_an_error_at_the_start(tmp_path: Path) -> None:
    with pytest.raises(SecurityError, match=r"nowhere\.pem cannot be read.*--trusted-keys"):
        Trust(tmp_path / "nowhere.pem")


def test_the_loader_refuses_an_unsigned_archive_before_it_is_fetched(key: Path, tmp_path: Path) -> None:
    class Nobody:
        def fetch_archive(self, version: RegisteredVersion, folder: Path) -> Path:
            raise AssertionError(f"{version.name} was fetched into {folder}")

    supervisor = Supervisor(TorchServeSettings(model_store=tmp_path, log_dir=tmp_path), on_down=lambda: None)
    loader = Loader(
        model_store=tmp_path / "store",
        workers=1,
        load_timeout_s=5,
        canary_timeout_s=5,
        fetch_timeout_s=5,
        drain_timeout_s=5,
        archives=Nobody(),
        trust=trust(key),
        unpacked=Unpacked(tmp_path),
        host=supervisor,
    )
    with pytest.raises(ArchiveError, match="is not signed"):
        asyncio.run(loader._bring(VERSION))
    assert not (tmp_path / "store").exists()
    with pytest.raises(AssertionError, match="was fetched"):
        asyncio.run(loader._bring(signed(key, VERSION)))


def test_a_signature_survives_in_the_last_good_state(key: Path) -> None:
    from dataclasses import asdict

    from serving.sync.last_good import _version

    entry = json.loads(json.dumps(asdict(signed(key, VERSION))))
    assert trust(key).check(_version("lcgan", cast("Any", entry)))
    del entry["archive_signature"]  # as an earlier release wrote it
    assert _version("lcgan", entry).archive_signature == ""
