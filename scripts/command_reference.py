"""Writes docs/reference/commands.md: the help of every command, as the command itself prints it."""

from __future__ import annotations

import os
import subprocess
import sys
from typing import Final

COMMANDS: Final = (
    "", "demo", "corpus", "corpus build", "corpus text", "train", "evaluate", "interpolate", "bench", "bench corpus",
    "bench steering", "bench decode", "bench vocabulary", "bench train", "bench ptb", "bench serve",
    "models", "models list", "models promote",
    "models rollback", "models status", "archive", "serve", "generate", "bot", "bot once", "bot run", "bot check",
    "bot status", "bot parse", "bot bench", "bot bench parse", "bot bench genres", "bot bench state", "bot bench drain",
    "queue", "queue list", "queue accept", "queue reject", "queue undo", "queue export",
    "studio",
)  # fmt: skip


def help_of(command: str) -> str:
    """What `deephypebot COMMAND --help` prints, 100 columns wide and without colour."""
    arguments = [sys.executable, "-m", "deephypebot", *command.split(), "--help"]
    plain = {**os.environ, "COLUMNS": "100", "NO_COLOR": "1", "TERM": "dumb"}
    done = subprocess.run(arguments, env=plain, capture_output=True, text=True, check=True)  # noqa: S603 - our own
    return "\n".join(line.rstrip() for line in done.stdout.strip("\n").splitlines())


def reference() -> str:
    """The page."""
    parts = ["# Commands", "", "Written by `make docs`; a test holds it against the commands.", ""]
    for command in COMMANDS:
        name = f"deephypebot {command}".strip()
        parts += [f"## {name}", "", "```text", help_of(command), "```", ""]
    return "\n".join(parts)


if __name__ == "__main__":
    sys.stdout.write(reference())
