"""A gateway alone in a process, without anything behind it, that prints its address."""

from __future__ import annotations

import asyncio

from serving.gateway.server import Gateway
from serving.gateway.settings import GatewaySettings
from serving.traffic.routes import RoutingTable


async def main() -> None:
    gateway = Gateway(GatewaySettings(port=0), table=RoutingTable(("lcgan",)), inference=lambda: None)
    print(await gateway.start(), flush=True)  # noqa: T201 - the test reads it
    await asyncio.Event().wait()


if __name__ == "__main__":
    asyncio.run(main())
