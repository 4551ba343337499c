"""The commands of `deephypebot`, as the files that start them call them."""

from __future__ import annotations

from typing import Any

import typer

from deephypebot import build_app


def options_of(arguments: list[str]) -> list[Any]:
    """Return the options and arguments of the command that a list of arguments calls."""
    return list(_command(arguments)[0].params)


def parsed(arguments: list[str]) -> dict[str, Any]:
    """Return what the command `deephypebot` reads from arguments and from the environment.

    Raises:
        click.UsageError: there is no such command or option, or a value is not one of it.
    """
    command, rest = _command(arguments)
    with command.make_context(command.name, rest) as context:
        parameters: dict[str, Any] = context.params
    return parameters


def _command(arguments: list[str]) -> tuple[Any, list[str]]:
    command: Any = typer.main.get_command(build_app(arguments))
    rest = list(arguments)
    while names := getattr(command, "commands", {}):
        command = names[rest.pop(0)]
    return command, rest
