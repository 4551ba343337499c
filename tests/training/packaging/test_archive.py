from __future__ import annotations

import ast
import json
import shutil
import warnings
import zipfile
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
import yaml

import handlers
from foundation.hashes import file_sha256
from handlers.contract import ARCHIVE_CONFIG, CONTRACT, archive_name
from handlers.decoding.engine import Engine, SequenceSpec
from handlers.model.bundle import FILES, BundleError, bundle_sha256
from tests.handlers.acceptabilities import accepting, check
from tests.handlers.tiny_bundles import tiny_bundle
from tests.training.packaging.unpacked import answers_of
from training.errors import ArchiveBuildError, OutputError
from training.packaging.archive import Archive, BatchSettings, build_archive, load_archive
from training.packaging.export import save_bundle


@pytest.fixture(scope="module")
def bundle_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("bundle") / "bundle"
    save_bundle(tiny_bundle(generator=True), folder, figures={"kl": 1.25}, samples=["[pop] a sentence"])
    return folder


@pytest.fixture(scope="module")
def archive(bundle_folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Archive:
    out = tmp_path_factory.mktemp("archive")
    return build_archive(bundle_folder, out, version="12", batching=BatchSettings(batch_size=8, max_batch_delay_ms=3))


@pytest.mark.slow
def test_an_archive_is_named_by_model_and_version_and_hashed_as_it_lies_there(archive: Archive) -> None:
    assert archive.path.name == archive_name("lcgan", "12") == "lcgan_12.mar"
    assert archive.sha256 == file_sha256(archive.path)
    assert [path.name for path in archive.path.parent.iterdir()] == ["lcgan_12.mar"]
    assert archive.path.stat().st_mode & 0o777 == 0o644


def test_the_manifest_names_model_version_and_handler(archive: Archive) -> None:
    with zipfile.ZipFile(archive.path) as opened:
        model = json.loads(opened.read("MAR-INF/MANIFEST.json"))["model"]
    assert (model["modelName"], model["modelVersion"]) == ("lcgan", "12")
    assert model["handler"] == "handler.py"
    assert model["configFile"] == "model-config.yaml"


def test_the_archives_configuration_has_the_registrys_version_and_the_workers_contract_and_is_the_bundles_otherwise(
    archive: Archive, bundle_folder: Path
) -> None:
    before = json.loads((bundle_folder / ARCHIVE_CONFIG).read_text())
    with zipfile.ZipFile(archive.path) as opened:
        after = json.loads(opened.read(ARCHIVE_CONFIG))
    assert after == {**before, "version": "12", "contract": CONTRACT}
    assert {"model", "version", "topics", "desired_topic", "num_genres"} <= set(after)
    assert "contract" not in before


def test_batching_settings_reach_torchserve(archive: Archive) -> None:
    with zipfile.ZipFile(archive.path) as opened:
        settings = yaml.safe_load(opened.read("model-config.yaml"))
    assert (settings["batchSize"], settings["maxBatchDelay"]) == (8, 3)
    # With a number of workers in it, TorchServe would first load as many, then those that were asked for.
    assert not {"minWorkers", "maxWorkers"} & set(settings)
    assert settings["handler"] == {"threads": 0}


def test_the_handlers_package_lies_complete_in_the_archive_and_nothing_compiled(archive: Archive) -> None:
    root = Path(handlers.__file__).parents[1]
    packages = (root / "handlers", root / "foundation")
    files_of_packages = (path for package in packages for path in package.rglob("*") if path.is_file())
    expected = {path.relative_to(root).as_posix() for path in files_of_packages if path.suffix != ".pyc"}
    assert "handlers/decoding/gpu/kernels/choice.py" in expected
    with zipfile.ZipFile(archive.path) as opened:
        names = set(opened.namelist())
        for name in expected:
            assert opened.read(name) == (root / name).read_bytes()
    files = {name for name in names if not name.endswith("/")}
    assert files == expected | set(FILES) | {"handler.py", "model-config.yaml", "MAR-INF/MANIFEST.json"}


@pytest.mark.slow
def test_the_unpacked_archive_answers_with_its_own_code_and_none_of_the_projects(
    archive: Archive, tmp_path: Path
) -> None:
    request = {"genres": ["pop"], "num_samples": 1, "seed": 3}
    (answer,) = answers_of(archive.path, tmp_path, ("handlers", "foundation"), request)
    tree = ast.parse((tmp_path / "handler.py").read_text())
    assert len([node for node in tree.body if isinstance(node, ast.ClassDef)]) == 1
    result = answer["result"]
    assert result["model"] == {"name": "lcgan", "version": "12", "archive_sha256": ""}
    assert result["samples"][0]["text"]
    assert result["samples"][0]["finish_reason"] in {"stop", "length"}


def test_an_archives_model_can_be_read_back_and_writes_the_same(
    archive: Archive, bundle_folder: Path, tmp_path: Path
) -> None:
    loaded = load_archive(archive.path, tmp_path)
    rows = [SequenceSpec(genres=(2,), seed=seed) for seed in range(10)]
    assert Engine(loaded).decode(rows) == Engine(tiny_bundle(generator=True)).decode(rows)
    assert loaded.config.version == "12"
    assert bundle_sha256(tmp_path) == bundle_sha256(bundle_folder)


def test_an_archive_holds_the_acceptability_of_a_bundle_that_has_one(tmp_path: Path) -> None:
    bundle = accepting(tiny_bundle(), {"slor": 1.0}, checks=(check(6, 0.5),))
    (tmp_path / "bundle").mkdir()
    bundle.save(tmp_path / "bundle", model_card="card")
    built = build_archive(tmp_path / "bundle", tmp_path, version="1")
    assert load_archive(built.path, tmp_path / "read").acceptability == bundle.acceptability


@pytest.mark.slow
def test_builds_at_the_same_time_do_not_disturb_each_other(bundle_folder: Path, tmp_path: Path) -> None:
    def build(version: str) -> Archive:
        return build_archive(bundle_folder, tmp_path, version=version)

    with ThreadPoolExecutor(4) as pool:
        archives = list(pool.map(build, ["1", "2", "3", "3"]))
    assert sorted(path.name for path in tmp_path.iterdir()) == ["lcgan_1.mar", "lcgan_2.mar", "lcgan_3.mar"]
    for each, version in zip(archives, "1233", strict=True):
        assert load_archive(each.path, tmp_path / "read" / version).config.version == version


def test_a_folder_that_is_not_a_bundle_is_not_packed(bundle_folder: Path, tmp_path: Path) -> None:
    with pytest.raises(BundleError, match="is not a bundle"):
        build_archive(tmp_path, tmp_path / "out", version="1")
    broken = tmp_path / "broken"
    broken.mkdir()
    for name in FILES:
        (broken / name).write_bytes((bundle_folder / name).read_bytes()[:100])
    with pytest.raises(BundleError):
        build_archive(broken, tmp_path / "out", version="1")
    assert not (tmp_path / "out").exists()


@pytest.mark.slow
def test_a_folder_that_cannot_be_written_to_is_an_error_that_names_the_archive(
    bundle_folder: Path, tmp_path: Path
) -> None:
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(OutputError, match=r"lcgan_1\.mar cannot be written"):
        build_archive(bundle_folder, tmp_path / "file", version="1")


@pytest.mark.parametrize("content", [b"", b"no archive", b"PK\x05\x06" + b"\0" * 18])
def test_a_file_that_is_not_an_archive_is_refused(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "x.mar").write_bytes(content)
    with pytest.raises(ArchiveBuildError, match=r"x\.mar"):
        load_archive(tmp_path / "x.mar", tmp_path / "out")
    with pytest.raises(ArchiveBuildError, match=r"none\.mar"):
        load_archive(tmp_path / "none.mar", tmp_path / "out")


@pytest.mark.parametrize("name", ["../evil.py", "/srv/evil.py", "config.json"])
def test_an_archive_with_a_member_that_must_not_be_extracted_is_refused_whole(
    archive: Archive, tmp_path: Path, name: str
) -> None:
    path = Path(shutil.copy(archive.path, tmp_path / "x.mar"))
    with zipfile.ZipFile(path, "a") as opened, warnings.catch_warnings(action="ignore"):
        opened.writestr(name, "{}")
    with pytest.raises(ArchiveBuildError, match=r"outside of its folder|holds 'config\.json' twice"):
        load_archive(path, tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_an_archive_that_lacks_a_part_says_which(archive: Archive, tmp_path: Path) -> None:
    with zipfile.ZipFile(archive.path) as opened, zipfile.ZipFile(tmp_path / "x.mar", "w") as poorer:
        for name in opened.namelist():
            if name not in ("vocabulary.json", "handlers/__init__.py"):
                poorer.writestr(name, opened.read(name))
    with pytest.raises(ArchiveBuildError, match=r"lacks handlers/__init__\.py, vocabulary\.json"):
        load_archive(tmp_path / "x.mar", tmp_path / "out")


def test_an_archive_cut_short_or_with_a_flipped_bit_is_refused(archive: Archive, tmp_path: Path) -> None:
    content = archive.path.read_bytes()
    (tmp_path / "short.mar").write_bytes(content[: len(content) // 2])
    with pytest.raises(ArchiveBuildError):
        load_archive(tmp_path / "short.mar", tmp_path / "out")
    with zipfile.ZipFile(archive.path) as opened:
        weights = opened.getinfo("weights.safetensors")
    flipped = bytearray(content)
    flipped[weights.header_offset + 30 + len("weights.safetensors") + weights.compress_size // 2] ^= 0xFF
    (tmp_path / "flipped.mar").write_bytes(flipped)
    with pytest.raises(ArchiveBuildError, match=r"flipped\.mar is damaged"):
        load_archive(tmp_path / "flipped.mar", tmp_path / "out")
