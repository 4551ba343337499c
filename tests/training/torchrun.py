"""Two processes on this machine, as the documentation starts them."""

from __future__ import annotations

import socket
import sys


def torchrun(*arguments: str) -> list[str]:
    """A command that runs a script, or `-m` a module, in two processes that find each other on a free port."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    launcher = (sys.executable, "-m", "torch.distributed.run", "--nproc-per-node=2", "--master-addr=127.0.0.1")
    return [*launcher, f"--master-port={port}", *arguments]
