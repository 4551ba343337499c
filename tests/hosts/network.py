"""Two hosts on one machine: network namespaces with a name and an address each, a wire between them, and names."""

from __future__ import annotations

import contextlib
import os
import shutil
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

import dns.message
import dns.rdatatype
import dns.rrset


def why_not() -> str:
    """Return why there can be no hosts here; empty if there can."""
    if sys.platform != "linux" or shutil.which("ip") is None:
        return "network namespaces need Linux and the program ip (iproute2)"
    if os.geteuid() != 0:
        return "network namespaces need root"
    name = f"dhb-try-{os.getpid()}"
    made = _ip("netns", "add", name, check=False)
    _ip("netns", "delete", name, check=False)
    return f"no network namespace can be made here: {made.stderr.strip()}" if made.returncode else ""


def _ip(*arguments: str, check: bool = True) -> subprocess.CompletedProcess[str]:
    return subprocess.run(["ip", *arguments], check=check, capture_output=True, text=True)


@dataclass(frozen=True, slots=True, kw_only=True)
class Host:
    """A network namespace with a name of its own, wired to the others."""

    name: str
    namespace: str
    address: str
    wire: str
    """End of its wire on this machine."""

    @property
    def through(self) -> Sequence[str]:
        """Beginning of a command that runs on this host."""
        rename = 'hostname "$0"; exec "$@"'
        return ("ip", "netns", "exec", self.namespace, "unshare", "--uts", "sh", "-c", rename, self.name)

    def cut_off(self) -> None:
        """Pull the wire: packets vanish in both directions, and nobody is told."""
        _ip("link", "set", self.wire, "down")

    def connect(self) -> None:
        """Plug the wire in."""
        _ip("link", "set", self.wire, "up")


@dataclass(frozen=True, slots=True, kw_only=True)
class Network:
    """A switch with this machine and some hosts on it."""

    address: str
    """Address of this machine."""
    hosts: tuple[Host, ...]


@contextlib.contextmanager
def network(*names: str) -> Iterator[Network]:
    """Make hosts of these names for the length of the block, in a network that nothing else is in."""
    number = os.getpid()
    prefix, switch = f"192.168.{number % 200 + 50}", f"dhb{number % 100_000}"
    with contextlib.ExitStack() as stack:
        _ip("link", "add", switch, "type", "bridge")
        stack.callback(_ip, "link", "delete", switch, check=False)
        _ip("address", "add", f"{prefix}.1/24", "dev", switch)
        _ip("link", "set", switch, "up")
        hosts = []
        for place, name in enumerate(names, 2):
            host = Host(name=name, namespace=f"{switch}-{name}", address=f"{prefix}.{place}", wire=f"{switch}w{place}")
            _ip("netns", "add", host.namespace)
            stack.callback(_ip, "netns", "delete", host.namespace, check=False)
            _ip("link", "add", host.wire, "type", "veth", "peer", "name", "eth0", "netns", host.namespace)
            _ip("link", "set", host.wire, "master", switch, "up")
            for words in (("link", "set", "lo", "up"), ("link", "set", "eth0", "up")):
                _ip("-netns", host.namespace, *words)
            _ip("-netns", host.namespace, "address", "add", f"{host.address}/24", "dev", "eth0")
            hosts.append(host)
        yield Network(address=f"{prefix}.1", hosts=tuple(hosts))


@dataclass(slots=True, kw_only=True)
class NameServer:
    """A name server for one name with several addresses."""

    name: str
    addresses: Sequence[str]
    port: int = 0
    asked: int = field(default=0, init=False)

    def answer(self, packet: bytes) -> bytes:
        query = dns.message.from_wire(packet)
        answer = dns.message.make_response(query)
        (question,) = query.question
        self.asked += 1
        if question.rdtype == dns.rdatatype.A and question.name.to_text() == f"{self.name}.":
            answer.answer.append(dns.rrset.from_text_list(question.name, 5, "IN", "A", list(self.addresses)))
        return answer.to_wire()


@contextlib.contextmanager
def name_server(address: str, name: str, addresses: Sequence[str]) -> Iterator[NameServer]:
    """Answer who asks for a name, on a free port of an address, for the length of the block."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as door:
        door.bind((address, 0))
        server = NameServer(name=name, addresses=addresses, port=door.getsockname()[1])

        def serve() -> None:
            with contextlib.suppress(OSError):  # the door is closed
                while True:
                    packet, client = door.recvfrom(4096)
                    if not packet:
                        return
                    door.sendto(server.answer(packet), client)

        thread = threading.Thread(target=serve, daemon=True)
        thread.start()
        try:
            yield server
        finally:
            with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as last:
                last.sendto(b"", (address, server.port))
            thread.join(5)
