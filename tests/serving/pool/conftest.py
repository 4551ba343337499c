from __future__ import annotations

import asyncio
import shutil
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from pathlib import Path

import pytest

from serving.pool.pool import Pool
from serving.pool.running import RunningPool
from serving.pool.settings import PoolSettings
from tests.serving.support import build_archive

Pooled = Callable[[], AbstractAsyncContextManager[RunningPool]]
"""Function that opens a pool whose model store holds pooled_1.mar."""


@pytest.fixture(scope="session")
def pooled_archive(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return build_archive(tmp_path_factory.mktemp("pooled"), "pooled", "1", batch_size=4)


@pytest.fixture
def pooled(pooled_archive: Path, tmp_path: Path) -> Pooled:
    shutil.copy(pooled_archive, tmp_path)

    @asynccontextmanager
    async def opened() -> AsyncIterator[RunningPool]:
        settings = PoolSettings(model_store=tmp_path, log_dir=tmp_path / "logs", restart_backoff_s=(0.01, 0.05))
        pool = Pool(settings, on_down=lambda: None)
        await pool.start()
        try:
            running = await pool.wait_running()
            running.threads_file.write_text("1\n")
            yield running
        finally:
            await pool.stop()
            await asyncio.sleep(0)

    return opened
