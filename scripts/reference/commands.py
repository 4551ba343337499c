"""The page of commands: the help of every command, found by walking the command tree."""

from __future__ import annotations

import importlib
import os
from collections.abc import Iterator
from typing import Any, TypeAlias

import typer.main
from typer.testing import CliRunner

Command: TypeAlias = Any
"""A command or a group of click, which typer brings in a form of its own."""
_COLUMNS = 100


def command_tree(path: tuple[str, ...] = ()) -> Iterator[tuple[str, ...]]:
    """Every command as the words behind `deephypebot`, groups before what they hold."""
    yield path
    # The map imports only what its arguments name, so each group is built by its own path.
    command: Command = typer.main.get_command(importlib.import_module("deephypebot").build_app(path))
    for name in path:
        command = command.commands[name]
    for name, child in getattr(command, "commands", {}).items():
        if not child.hidden:
            yield from command_tree((*path, name))


def help_of(path: tuple[str, ...]) -> str:
    """Return the output of `deephypebot PATH --help`, 100 columns wide and without colour."""
    deephypebot = importlib.import_module("deephypebot")
    plain = {"COLUMNS": str(_COLUMNS), "TERMINAL_WIDTH": str(_COLUMNS), "NO_COLOR": "1", "TERM": "dumb"}
    arguments = [*path, "--help"]
    kept = dict(os.environ)
    os.environ.update(plain)
    try:
        done = CliRunner(env=plain).invoke(deephypebot.build_app(arguments), arguments, prog_name="deephypebot")
    finally:
        os.environ.clear()
        os.environ.update(kept)
    if done.exit_code != 0:
        raise RuntimeError(f"deephypebot {' '.join(arguments)} failed: {done.output}") from done.exception
    return "\n".join(line.rstrip() for line in done.stdout.strip("\n").splitlines())


def page() -> list[str]:
    """Lines of the page."""
    lines = ["# Commands", "", "The help of every command, 100 columns wide."]
    for path in command_tree():
        lines += ["", f"## {' '.join(('deephypebot', *path))}", "", "```text", help_of(path), "```"]
    return lines
