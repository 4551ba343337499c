"""The commands of `keys`, as the shell runs them."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from deephypebot import build_app
from foundation.signatures import SignatureError
from handlers.contract import ARCHIVE_SHA256_TAG, ARCHIVE_SIGNATURE_TAG
from serving.errors import ArchiveError
from tests.serving.support import EchoRegistry


def run(*words: object) -> Result:
    arguments = [*map(str, words)]
    result = CliRunner().invoke(build_app(arguments), arguments)
    if result.exception is not None and not isinstance(result.exception, SystemExit):
        raise result.exception
    assert result.exit_code == 0, result.output
    return result


def test_new_prints_the_fingerprint_that_show_prints(tmp_path: Path) -> None:
    made = run("keys", "new", tmp_path / "release.key")
    assert run("keys", "show", tmp_path / "release.key.pub").stdout == made.stdout
    assert "PRIVATE" not in made.output
    with pytest.raises(SignatureError, match="no key is overwritten"):
        run("keys", "new", tmp_path / "release.key")


@pytest.mark.integration
def test_an_archive_that_was_registered_unsigned_is_signed_and_then_fetched_by_its_signature(
    registry: EchoRegistry, tmp_path: Path
) -> None:
    where = ("--tracking-uri", registry.uri)
    number = registry.register("sigma", signed=False)
    for name in ("release", "other"):
        run("keys", "new", tmp_path / name)
    trusting = (*where, "--out", tmp_path / "store", "--trusted-keys", tmp_path / "release.pub")
    with pytest.raises(ArchiveError, match="is not signed"):
        run("archive", f"sigma/{number}", *trusting)
    registry.client.set_model_version_tag("sigma", number, "sync_error", "the archive is not signed")
    assert "sigma/1" in run("keys", "sign", "sigma", number, "--signing-key", tmp_path / "release", *where).stdout
    assert not registry.tag("sigma", number, "sync_error")  # so a running service tries it again
    assert "signed by" in run("archive", f"sigma/{number}", *trusting).stdout
    archive = tmp_path / "store" / f"sigma_{number}.mar"
    assert "signed by" in run("keys", "verify", archive, "--trusted-keys", tmp_path / "release.pub").stdout
    with pytest.raises(ArchiveError, match="not trusted"):
        run("keys", "verify", archive, "--trusted-keys", tmp_path / "other.pub")
    other = Path(shutil.copy(archive, tmp_path / "omega_1.mar"))
    shutil.copy(f"{archive}.sig", f"{other}.sig")
    with pytest.raises(ArchiveError, match=r"is that of sigma_1\.mar, not of omega_1\.mar"):
        run("keys", "verify", other, "--trusted-keys", tmp_path / "release.pub")


@pytest.mark.integration
def test_a_signature_that_is_moved_to_another_version_lets_nothing_in(registry: EchoRegistry, tmp_path: Path) -> None:
    where = ("--tracking-uri", registry.uri)
    first, second = (registry.register("tau", signed=False) for _ in range(2))
    run("keys", "new", tmp_path / "release")
    run("keys", "sign", f"tau/{first}", "--signing-key", tmp_path / "release", *where)
    for tag in (ARCHIVE_SIGNATURE_TAG, ARCHIVE_SHA256_TAG):
        registry.client.set_model_version_tag("tau", second, tag, registry.tag("tau", first, tag))
    with pytest.raises(ArchiveError, match=r"is that of tau_1\.mar, not of tau_2\.mar"):
        run("archive", f"tau/{second}", *where, "--out", tmp_path, "--trusted-keys", tmp_path / "release.pub")
    assert not (tmp_path / "tau_2.mar").exists()
