"""A relay between a client and a gateway that can fall silent, as a firewall does that forgets a connection."""

from __future__ import annotations

import contextlib
import socket
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field


@dataclass
class SilentRelay:
    """Passes bytes on in both directions. After `fall_silent` the connections of that moment swallow them.

    Their TCP connections stay open and acknowledge, so that neither end can see that the other is gone.
    """

    listener: socket.socket
    upstream: tuple[str, int]
    num_connections: int = 0
    closed_by_gateway: threading.Event = field(default_factory=threading.Event)
    """Set when the gateway closes a connection that has fallen silent."""
    _live: set[int] = field(default_factory=set)
    _sockets: list[socket.socket] = field(default_factory=list)

    @property
    def target(self) -> str:
        return f"127.0.0.1:{self.listener.getsockname()[1]}"

    def fall_silent(self) -> None:
        self._live.clear()

    def run(self) -> None:
        with contextlib.suppress(OSError):  # the listener was closed
            while True:
                client, _ = self.listener.accept()
                gateway = socket.create_connection(self.upstream)
                self._sockets += [client, gateway]
                self.num_connections += 1
                self._live.add(self.num_connections)
                for source, sink in ((client, gateway), (gateway, client)):
                    arguments = (source, sink, self.num_connections, source is gateway)
                    threading.Thread(target=self._pass_on, args=arguments, daemon=True).start()

    def _pass_on(self, source: socket.socket, sink: socket.socket, number: int, from_gateway: bool) -> None:
        with contextlib.suppress(OSError):
            while data := source.recv(65_536):
                if number in self._live:
                    sink.sendall(data)
        if number in self._live:
            sink.close()
        elif from_gateway:
            self.closed_by_gateway.set()

    def close(self) -> None:
        self.listener.close()
        for each in self._sockets:
            each.close()


@contextlib.contextmanager
def relay_to(target: str) -> Iterator[SilentRelay]:
    host, _, port = target.rpartition(":")
    relay = SilentRelay(socket.create_server(("127.0.0.1", 0)), (host, int(port)))
    threading.Thread(target=relay.run, daemon=True).start()
    try:
        yield relay
    finally:
        relay.close()
