"""A pool that prints the process ids of its workers, gives one of them endless work, and waits to be killed."""

from __future__ import annotations

import asyncio
import sys
from pathlib import Path

from serving.pool.pool import Pool
from serving.pool.settings import PoolSettings
from tests.serving.support import ask


async def main(store: Path) -> None:
    """Run until killed."""
    pool = Pool(PoolSettings(model_store=store, log_dir=store / "logs"), on_down=lambda: None)
    await pool.start()
    running = await pool.wait_running()
    await running.register("pooled_1.mar", model="pooled", version="1", workers=2, timeout_s=60)
    workers = (await running.take_census()).look_at("pooled", "1") or ()
    busy = asyncio.create_task(
        running.inference.generate(ask(artist="work 600"), model="pooled", version="1", timeout_s=600)
    )
    await asyncio.sleep(0.5)
    print(*(worker.pid for worker in workers), flush=True)  # noqa: T201 - the test reads it
    await busy


if __name__ == "__main__":
    asyncio.run(main(Path(sys.argv[1])))
