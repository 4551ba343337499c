"""Command lines that are printed for people to paste."""

from __future__ import annotations

import os
import shlex
import shutil
import sysconfig
from pathlib import Path
from typing import Final

from foundation.defaults import GATEWAY_PORT, LOOPBACK

PROGRAM: Final = "deephypebot"


def command(*words: object, program: str = PROGRAM) -> str:
    """Return a command line that a shell runs as it is, from the working directory.

    It begins with the program's name if the shell would find this installation's program by it, and with the program's
    path otherwise, such as `.venv/bin/deephypebot`. Print it with `soft_wrap=True`, so that it stays on one line.

    Args:
        words: words that follow the program; each becomes one word of the shell.
        program: program of this installation.
    """
    return shlex.join((_found(program), *map(str, words)))


def serve_command(target: str) -> str:
    """Return the command line that starts a gateway at an address of this machine.

    >>> serve_command("127.0.0.1:50052").partition(" ")[2]
    'serve --port 50052'
    """
    host, _, port = target.rpartition(":")
    here = host in {LOOPBACK, "localhost", "[::1]"} and port.isdecimal()
    address = ["--host", "::1"] if host == "[::1]" else []
    return command("serve", *address, *(["--port", port] if here and int(port) != GATEWAY_PORT else []))


def _found(program: str) -> str:
    """Return a program's name if the shell finds this installation's own by it, and otherwise its path."""
    own = Path(sysconfig.get_path("scripts")) / program
    known = shutil.which(program)
    # A checkout that is not installed has no program of its own, and a name says more than a path to nothing.
    if not own.exists() or (known is not None and Path(known).samefile(own)):
        return program
    inside = os.path.relpath(own)
    if inside.startswith(os.pardir):
        return str(own)
    # A shell looks for a name without a slash on PATH alone.
    return inside if os.sep in inside else f"{os.curdir}{os.sep}{inside}"
