"""The model store of a service that takes signed archives alone."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from foundation.signatures import new_key_pair
from serving.errors import SecurityError
from serving.service import running_service
from serving.settings import service_settings


def test_with_trusted_keys_a_store_that_others_can_write_is_refused_before_anything_starts(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    new_key_pair(tmp_path / "key")
    store = tmp_path / "store"
    store.mkdir()
    store.chmod(0o770)
    monkeypatch.setattr(Path, "chmod", lambda *_: None)  # as on a disk that keeps no rights
    settings = service_settings(
        workspace=tmp_path, model_store=store, models=("lcgan",), port=0, trusted_keys=tmp_path / "key.pub"
    )

    async def start() -> None:
        async with running_service(settings, hurry=asyncio.Event()):
            pass

    with pytest.raises(SecurityError, match=r"store can be written by other users \(mode 770\): chmod go-w .*store"):
        asyncio.run(start())
