"""Messages to systemd: the bot is ready, and it does not hang. Without systemd nothing is sent."""

from __future__ import annotations

import os
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress

from bot.observe.health import Pulse

_SHARE = 3
"""Messages within the time after which systemd restarts a silent service."""


@contextmanager
def watched_by_systemd(pulse: Pulse) -> Iterator[None]:
    """Tell systemd that the bot is ready, and then that it lives, for as long as its pulse beats.

    The protocol is that of sd_notify(3). A bot that hangs falls silent and is restarted by `WatchdogSec`.
    """
    address = os.environ.get("NOTIFY_SOCKET", "")
    if not address.startswith(("/", "@")):
        yield
        return
    ended = threading.Event()
    _send(address, "READY=1")
    every_s = _every_s(os.environ.get("WATCHDOG_USEC", ""), os.environ.get("WATCHDOG_PID", ""))
    thread = threading.Thread(target=_notify, args=(address, pulse, every_s, ended), name="watchdog", daemon=True)
    if every_s:
        thread.start()
    try:
        yield
    finally:
        ended.set()
        _send(address, "STOPPING=1")


def _every_s(microseconds: str, process: str) -> float:
    """Seconds between two messages; 0 if systemd does not watch this process."""
    if not microseconds.isdigit() or (process and process != str(os.getpid())):
        return 0.0
    return int(microseconds) / 1e6 / _SHARE


def _notify(address: str, pulse: Pulse, every_s: float, ended: threading.Event) -> None:
    while not ended.wait(every_s):
        if not pulse.hangs:
            _send(address, "WATCHDOG=1")


def _send(address: str, message: str) -> None:
    # An address that begins with "@" is in the abstract namespace.
    target = f"\0{address[1:]}" if address.startswith("@") else address
    with suppress(OSError), socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as out:
        out.connect(target)
        out.sendall(message.encode())
