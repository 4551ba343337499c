"""Meeting of a training's processes in the store of `torchrun`: who is there, what they train, when rank 0 is ready.

The store is a small server on the first host. Waiting for it has no limit of its own, unlike an exchange of tensors,
which is short: so a host that vanishes is noticed by the next exchange, and topics may take hours.
"""

from __future__ import annotations

import json
import os
import socket
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from datetime import timedelta
from functools import partial
from typing import Any, Final

from torch.distributed import DistStoreError
from torch.distributed.distributed_c10d import Store

from training.errors import RankLostError, SettingError

_JOIN: Final = timedelta(minutes=30)
"""Time for all hosts to start the command and to read the corpus."""
_SLICE: Final = timedelta(seconds=10)
"""Longest single wait for the store; the next one finds out that the connection is gone."""
_SHOWN: Final = 4
"""Differences that a message names."""


@contextmanager
def lost_ranks_reported() -> Iterator[None]:
    """Turn the backend's error about a lost process into one that says how to continue."""
    try:
        yield
    except RuntimeError as cause:  # gloo raises plain RuntimeError, and torch's errors are subclasses of it
        reason = str(cause).partition("\n")[0]
        raise RankLostError(
            f"another process of this training has ended, or its host cannot be reached ({reason}); see its output for "
            "the cause. Start all processes again: they continue from the last checkpoint"
        ) from cause


@dataclass(slots=True, kw_only=True)
class Meeting:
    """Processes of one training, as one of them sees them."""

    store: Store
    rank: int
    world_size: int
    _has_agreed: bool = field(default=False, init=False)
    _announced: int = field(default=0, init=False)

    def join(self, waiting: Callable[[str], None]) -> None:
        """Wait until every process has started.

        Args:
            waiting: called with a line for the user if that takes longer than some seconds.

        Raises:
            RankLostError: some did not start in half an hour, or the store is gone.
        """
        with lost_ranks_reported():
            self.store.set(f"joined/{self.rank}", socket.gethostname())
        for rank in range(self.world_size):
            self._wait(f"joined/{rank}", partial(waiting, self._missing(rank)))

    def agree(self, facts: Mapping[str, Any]) -> None:
        """Check that all processes were started with the same facts, which JSON can represent.

        Raises:
            SettingError: they were not; every process raises it, with the hosts and both values.
            RankLostError: another process ended before it could say.
        """
        self._tell({"facts": dict(facts)})
        said = [self._said(rank) for rank in range(self.world_size)]
        self._has_agreed = True
        failures = [f"on {each['host']}: {each['failure']}" for each in said if "failure" in each]
        if failures:
            raise RankLostError(f"the training cannot begin, since a process of it failed {'; '.join(failures)}")
        first = said[0]
        differences = [
            f"{name} is {_short(each['facts'].get(name))} on {each['host']} and {_short(value)} on {first['host']}"
            for each in said[1:]
            for name, value in first["facts"].items()
            if each["facts"].get(name) != value
        ]
        if differences:
            more = f"; and {len(differences) - _SHOWN} more" if len(differences) > _SHOWN else ""
            raise SettingError(
                f"the processes of this training differ: {'; '.join(differences[:_SHOWN])}{more}. Give every host the "
                "same corpus, options and releases"
            )

    def tell_failure(self, fault: BaseException) -> None:
        """Tell those who wait for this process in `agree` that it ends."""
        if not self._has_agreed:
            with suppress(RuntimeError):
                self._tell({"failure": str(fault) or type(fault).__name__})

    def announce(self) -> None:
        """As rank 0: say that the next exchange begins. As another rank: wait for that, however long it takes.

        Raises:
            RankLostError: the store is gone, and with it the first host.
        """
        self._announced += 1
        key = f"announced/{self._announced}"
        if self.rank == 0:
            with lost_ranks_reported():
                self.store.set(key, "")
        else:
            self._wait(key, None)

    def _tell(self, document: Mapping[str, Any]) -> None:
        with lost_ranks_reported():
            self.store.set(f"facts/{self.rank}", json.dumps({"host": socket.gethostname(), **document}))

    def _said(self, rank: int) -> dict[str, Any]:
        self._wait(f"facts/{rank}", lambda: None)
        with lost_ranks_reported():
            said: dict[str, Any] = json.loads(self.store.get(f"facts/{rank}"))
        return said

    def _wait(self, key: str, waiting: Callable[[], None] | None) -> None:
        """Wait for a key, in slices; without `waiting`, which is called after the first, without an end."""
        with lost_ranks_reported():
            for number in range(1, 10**9):
                try:
                    self.store.wait([key], _SLICE)
                except DistStoreError:  # the slice is over
                    if waiting is not None and number == 1:
                        waiting()
                    if waiting is not None and number * _SLICE >= _JOIN:
                        raise
                else:
                    return

    def _missing(self, rank: int) -> str:
        return (
            f"waiting for process {rank} of {self.world_size}: start the command on every host, with the same "
            "--master-addr and --master-port"
        )


def choose_interface() -> None:
    """Let gloo use the network interface that leads to the first host, unless GLOO_SOCKET_IFNAME names one.

    By itself gloo takes the address of the host's own name, which many systems resolve to loopback.

    Raises:
        SettingError: the first host's name leads to loopback on that host.
    """
    if os.environ.get("GLOO_SOCKET_IFNAME") or os.environ.get("WORLD_SIZE") == os.environ.get("LOCAL_WORLD_SIZE"):
        return
    first, port = os.environ.get("MASTER_ADDR", ""), os.environ.get("MASTER_PORT", "")
    own = own_address_towards(first, int(port or 0))
    if own.startswith("127.") or own == "::1":
        raise SettingError(
            f"--master-addr {first} leads to this host's loopback, which other hosts cannot reach: give the address of "
            "the first host in their network"
        )
    import psutil  # noqa: PLC0415 - a single host does not need it

    for name, addresses in psutil.net_if_addrs().items():
        if any(each.address.partition("%")[0] == own for each in addresses):
            os.environ["GLOO_SOCKET_IFNAME"] = name


def own_address_towards(host: str, port: int) -> str:
    """Return the address of this machine from which packets to another one leave; empty if there is no way to it.

    >>> own_address_towards("127.0.0.1", 29500)
    '127.0.0.1'
    """
    with suppress(OSError):
        family, kind, _, _, address = socket.getaddrinfo(host, port or 9, type=socket.SOCK_DGRAM)[0]
        with socket.socket(family, kind) as probe:
            probe.connect(address)  # sends nothing
            return str(probe.getsockname()[0]).partition("%")[0]
    return ""


def _short(value: object) -> str:
    text = str(value)
    return text if len(text) <= 40 else f"{text[:12]}…"
