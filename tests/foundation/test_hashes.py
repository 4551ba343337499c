from __future__ import annotations

import hashlib
from pathlib import Path

import pytest

from foundation.hashes import file_sha256


@pytest.mark.parametrize("content", [b"", b"abc", bytes(range(256)) * 4097])
def test_the_hash_is_that_of_the_files_bytes(content: bytes, tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.write_bytes(content)
    assert file_sha256(path) == hashlib.sha256(content).hexdigest()


def test_a_file_that_is_missing_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        file_sha256(tmp_path / "nowhere")
