from __future__ import annotations

import shutil
import zipfile
from pathlib import Path

import pytest

from bulk.errors import ModelError
from bulk.models import Model, find_model
from foundation.hashes import file_sha256
from foundation.signatures import SIGNATURE_SUFFIX, SigningKey, new_key_pair
from handlers.contract import ARCHIVE_CONFIG
from handlers.model.bundle import Bundle, bundle_sha256
from serving.errors import ArchiveError, SecurityError
from serving.registry.client import Registry
from tests.serving.support import EchoRegistry
from training.packaging.archive import build_archive


@pytest.fixture(scope="module")
def archive(bundle_folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return build_archive(bundle_folder, tmp_path_factory.mktemp("archives"), version="3").path


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "bundle").mkdir()
    return tmp_path / "bundle"


def find(text: str | Path, folder: Path, *, keys: Path | None = None) -> Model:
    def registry() -> Registry:
        raise AssertionError("no registry is asked for a file")

    store = folder.with_name("store")
    return find_model(str(text), folder, registry=registry, model_store=store, trusted_keys=keys)


def test_an_archive_is_unpacked_without_its_code(archive: Path, folder: Path) -> None:
    found = find(archive, folder)
    assert (found.name, found.version, found.sha256) == ("lcgan", "3", file_sha256(archive))
    assert found.other_code == ()
    assert Bundle.load(folder).config.version == "3"
    assert not (folder / "handlers").exists()


def test_modules_of_an_archive_that_differ_from_ours_are_told(archive: Path, folder: Path, tmp_path: Path) -> None:
    other = tmp_path / "other.mar"
    with zipfile.ZipFile(archive) as old, zipfile.ZipFile(other, "w") as new:
        for member in old.infolist():
            content = old.read(member)
            new.writestr(member, content + (b"\n# x\n" if member.filename == "handlers/commentary.py" else b""))
    assert find(other, folder).other_code == ("handlers/commentary.py",)


def test_a_bundle_is_taken_where_it_is(bundle_folder: Path, folder: Path) -> None:
    found = find(bundle_folder, folder)
    assert (found.folder, found.sha256, found.version) == (bundle_folder, bundle_sha256(bundle_folder), "1")


def test_with_trusted_keys_an_archive_needs_a_signature_of_one(archive: Path, folder: Path, tmp_path: Path) -> None:
    key, other = tmp_path / "own.key", tmp_path / "other.key"
    fingerprint = new_key_pair(key)
    new_key_pair(other)
    keys, others = (path.with_name(f"{path.name}.pub") for path in (key, other))
    signed = tmp_path / archive.name
    shutil.copy(archive, signed)
    with pytest.raises(ModelError, match="its signature cannot be read"):
        find(signed, folder, keys=keys)
    signature = SigningKey.read(key).sign("lcgan_3.mar", file_sha256(signed))
    signed.with_name(signed.name + SIGNATURE_SUFFIX).write_text(signature, encoding="utf-8")
    assert find(signed, folder, keys=keys).signed_by == fingerprint
    with pytest.raises(ModelError, match="is refused"):
        find(signed, folder, keys=others)
    with signed.open("ab") as file:
        file.write(b"x")
    with pytest.raises(ModelError, match="is refused"):
        find(signed, folder, keys=keys)
    with pytest.raises(ModelError, match="absent"):
        find(signed, folder, keys=tmp_path / "absent")


def test_a_bundle_cannot_be_trusted(bundle_folder: Path, folder: Path, tmp_path: Path) -> None:
    with pytest.raises(ModelError, match=r"is a bundle, which nobody signs.*name an archive"):
        find(bundle_folder, folder, keys=tmp_path / "keys")


@pytest.mark.parametrize("content", [b"", b"PK\x03\x04 and no more", b"x" * 999])
def test_a_file_that_is_not_an_archive_is_told(tmp_path: Path, folder: Path, content: bytes) -> None:
    path = tmp_path / "lcgan_2.mar"
    path.write_bytes(content)
    with pytest.raises(ModelError, match=r"lcgan_2\.mar is not an archive of deephypebot"):
        find(path, folder)


@pytest.mark.parametrize("damage", ["bits", "zip version"])
def test_an_archive_whose_configuration_is_damaged_is_told(
    archive: Path, folder: Path, tmp_path: Path, damage: str
) -> None:
    path = tmp_path / "lcgan_3.mar"
    content = bytearray(archive.read_bytes())
    with zipfile.ZipFile(archive) as opened:
        at, directory = opened.getinfo(ARCHIVE_CONFIG).header_offset, opened.start_dir
    if damage == "bits":
        content[at + 70 : at + 110] = bytes(40)
    else:
        content[directory + 6] = 255
    path.write_bytes(content)
    with pytest.raises(ModelError, match=r"lcgan_3\.mar is not an archive of deephypebot"):
        find(path, folder)


def test_an_archive_that_leads_out_of_its_folder_is_refused(tmp_path: Path, folder: Path) -> None:
    path = tmp_path / "lcgan_2.mar"
    with zipfile.ZipFile(path, "w") as new:
        new.writestr("../config.json", "{}")
    with pytest.raises(ModelError, match=r"would be unpacked outside of its folder"):
        find(path, folder)
    assert list(folder.iterdir()) == []


def test_an_absent_archive_a_folder_without_a_bundle_and_a_name_of_nothing_are_told(
    tmp_path: Path, folder: Path
) -> None:
    with pytest.raises(ModelError, match=r"absent\.mar cannot be read: No such file"):
        find(tmp_path / "absent.mar", folder)
    with pytest.raises(ModelError, match="is not a bundle"):
        find(folder, folder)
    with pytest.raises(ModelError, match=r"'a/b/c' is neither a version \(lcgan/2, lcgan@production\) nor"):
        find("a/b/c", folder)


@pytest.mark.slow
def test_a_registered_version_is_fetched_and_must_be_signed_as_where_it_is_served(
    bundle_folder: Path, folder: Path, tmp_path: Path
) -> None:
    key = tmp_path / "own.key"
    fingerprint = new_key_pair(key)
    registry = EchoRegistry.on_sqlite(tmp_path, signing_key=SigningKey.read(key))

    def build(out: Path, _model: str, version: str) -> Path:
        return build_archive(bundle_folder, out, version=version).path

    registry.register("lcgan", build=build)
    registry.register("lcgan", build=build, signed=False)
    registry.alias("lcgan", "production", "1")

    def find_version(text: str, keys: Path | None) -> Model:
        shutil.rmtree(folder)
        folder.mkdir()
        return find_model(
            text,
            folder,
            registry=lambda: Registry(registry.uri),
            model_store=tmp_path / "store",
            trusted_keys=keys,
        )

    found = find_version("lcgan@production", key.with_name("own.key.pub"))
    assert (found.version, found.signed_by) == ("1", fingerprint)
    assert Bundle.load(folder).config.version == "1"
    assert (tmp_path / "store" / "lcgan_1.mar").is_file()
    assert find_version("lcgan/2", None).signed_by == ""
    with pytest.raises(ArchiveError, match=r"lcgan/2 is not signed"):
        find_version("lcgan/2", key.with_name("own.key.pub"))
    with pytest.raises(SecurityError, match="--trusted-keys"):
        find_version("lcgan/1", tmp_path / "absent")
