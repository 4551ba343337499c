"""What a running service shows to other users of the machine, and to the code of archives."""

from __future__ import annotations

import json
import stat
from contextlib import suppress

import psutil
import pytest

from tests.serving.support import PLANTED, ServiceProcess

pytestmark = pytest.mark.integration


@pytest.mark.torchserve
def test_no_command_line_has_a_secret_and_no_process_below_the_service_inherits_one(service: ServiceProcess) -> None:
    own, *others = service.family()
    assert set(PLANTED.values()) <= set(own.environ().values()), "the service has them, or the test proves nothing"
    assert any("java" in each.name() for each in others)
    for process in others:
        with suppress(psutil.NoSuchProcess):  # a worker may be replaced meanwhile
            inherited = set(process.environ().values())
            assert inherited.isdisjoint(PLANTED.values()), process.cmdline()
    key = torchserve_key(service)
    for process in (own, *others):
        with suppress(psutil.NoSuchProcess):
            line = " ".join(process.cmdline())
            assert not any(secret in line for secret in (*PLANTED.values(), key))


def torchserve_key(service: ServiceProcess) -> str:
    (file,) = service.folder.rglob("key_file.json")
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert stat.S_IMODE(file.parent.stat().st_mode) == 0o700
    return str(json.loads(file.read_text())["management"]["key"])


@pytest.mark.torchserve
def test_no_file_has_a_secret_and_none_can_be_read_by_others(service: ServiceProcess) -> None:
    key = torchserve_key(service).encode()
    secrets = (*(value.encode() for value in PLANTED.values()), key)
    seen = 0
    for folder in ("logs", "store", "last_good", "exposures"):
        for path in (service.folder / folder).rglob("*"):
            with suppress(FileNotFoundError):
                mode = path.lstat().st_mode
                if stat.S_ISREG(mode):
                    seen += 1
                    assert not mode & 0o007, path
                    if path.name != "key_file.json":
                        assert not any(secret in path.read_bytes() for secret in secrets), path
    assert seen > 5
    for folder in ("logs", "store", "last_good"):
        assert stat.S_IMODE((service.folder / folder).stat().st_mode) == 0o700
    assert stat.S_IMODE(next((service.folder / "last_good").glob("*.json")).stat().st_mode) == 0o600
    assert not any(secret.decode() in service.log() for secret in secrets)
