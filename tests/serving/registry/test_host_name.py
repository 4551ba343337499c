"""Names of gateways that have one host name."""

from __future__ import annotations

import re
import socket
from pathlib import Path

import pytest

from serving.registry.host_name import own_host_name
from serving.registry.owned_reasons import OwnedReasons


def test_a_name_survives_a_restart_and_two_gateways_of_one_host_never_share_one(tmp_path: Path) -> None:
    with own_host_name(tmp_path / "a") as first, own_host_name(tmp_path / "b") as elsewhere:
        assert first != elsewhere, "two containers of one host name"
        with own_host_name(tmp_path / "a") as beside:
            assert beside != first, "two gateways on one workspace"
    with own_host_name(tmp_path / "a") as again, own_host_name(tmp_path / "a") as beside_again:
        assert (again, beside_again) == (first, beside)


def test_a_reason_belongs_to_the_gateway_that_wrote_it_and_not_to_another_of_the_same_host_name(tmp_path: Path) -> None:
    with own_host_name(tmp_path / "a") as mine, own_host_name(tmp_path / "b") as theirs:
        text = OwnedReasons(host=mine).sign("no space left on device", 0.0)
        assert OwnedReasons(host=mine).may_remove(text, now=60.0)
        assert not OwnedReasons(host=theirs).may_remove(text, now=60.0)


@pytest.mark.parametrize("left", [b"", b"5f0c", b"(a) b/c"], ids=["empty", "cut short", "foreign"])
def test_a_damaged_file_gets_a_new_name_which_it_keeps(left: bytes, tmp_path: Path) -> None:
    (tmp_path / "gateway-1.id").write_bytes(left)
    with own_host_name(tmp_path) as name:
        assert re.fullmatch(r"[^() ]+/[0-9a-f]{8}", name)
    with own_host_name(tmp_path) as again:
        assert again == name


def test_without_a_folder_that_can_be_written_a_name_is_new_with_each_start(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    names = []
    for folder in (None, tmp_path / "file" / "below", None):
        with own_host_name(folder) as name:
            names.append(name)
    assert len(set(names)) == 3


def test_a_host_name_that_would_not_fit_into_a_tag_is_made_to(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(socket, "gethostname", lambda: "odd (host) name")
    with own_host_name(None) as name:
        text = OwnedReasons(host=name).sign("it is damaged", 0.0)
        assert not OwnedReasons(host="other").may_remove(text, now=60.0)
