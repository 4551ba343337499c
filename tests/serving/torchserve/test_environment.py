from __future__ import annotations

from pathlib import Path

import pytest

from serving.torchserve.process import TorchServeSettings, _environment


@pytest.mark.parametrize(
    ("locale", "expected"),
    [
        ({"LC_ALL": "C"}, "C.UTF-8"),
        ({"LANG": "POSIX"}, "C.UTF-8"),
        ({}, "C.UTF-8"),
        ({"LC_ALL": "", "LANG": "C"}, "C.UTF-8"),
        ({"LANG": "de_DE.UTF-8"}, None),
        ({"LC_ALL": "C.utf8", "LANG": "C"}, "C.utf8"),
    ],
)
def test_the_jvm_can_read_every_name_of_a_file(locale: dict[str, str], expected: str | None, tmp_path: Path) -> None:
    settings = TorchServeSettings(model_store=tmp_path / "é", log_dir=tmp_path)
    environment = _environment(locale, java_home=tmp_path, folder=tmp_path, settings=settings)
    assert environment.get("LC_ALL") == expected
