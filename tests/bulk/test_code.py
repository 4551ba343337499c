from __future__ import annotations

from importlib import metadata

import pytest

from bulk import code


def test_the_code_is_another_one_with_another_release_of_what_compiles_the_decode(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    before = code.code_sha256()
    version = metadata.version

    def other(name: str) -> str:
        return "0.1" if name == "numba" else version(name)

    monkeypatch.setattr(metadata, "version", other)
    assert code.libraries()["numba"] == "0.1"
    assert code.code_sha256() != before


def test_a_library_that_is_not_installed_has_no_release(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(code, "_LIBRARIES", ("numpy", "deephypebot-absent"))
    assert code.libraries() == {"numpy": metadata.version("numpy"), "deephypebot-absent": ""}
