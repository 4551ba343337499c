"""Options that several of the bot's commands share, the studio's included."""

from __future__ import annotations

import getpass
import os
from pathlib import Path
from typing import Annotated

import typer

Config = Annotated[
    Path | None, typer.Option(help="Settings file, TOML; without it deephypebot.toml of this folder, if there is one.")
]
Workspace = Annotated[
    Path | None,
    typer.Option(envvar="DEEPHYPEBOT_WORKSPACE", help="Folder of the bot's database, bot.db.  [default: workspace]"),
]
Feed = Annotated[
    Path | None,
    typer.Option(
        envvar="DEEPHYPEBOT_FEED",
        help='JSON lines of {"id", "text", "author", "created_at"}; may grow while it is read.',
    ),
]
Catalog = Annotated[
    Path | None,
    typer.Option(
        envvar="DEEPHYPEBOT_CATALOG",
        help='JSON lines of {"artist", "genres"}, .gz or not; without it genres come from lookups alone.',
    ),
]
Target = Annotated[
    str | None,
    typer.Option(envvar="DEEPHYPEBOT_TARGET", help="Address of the gateway.  [default: 127.0.0.1:50051]"),
]
Model = Annotated[str | None, typer.Option(help="Registered model that writes the samples.  [default: lcgan]")]
Sandbox = Annotated[
    bool,
    typer.Option(
        "--sandbox",
        help="Use stand-ins for the networks on this machine: no account is needed and nothing is posted anywhere.",
    ),
]
NumSamples = Annotated[int | None, typer.Option(help="Samples for each song, 1 to 64.  [default: 5]")]
Who = Annotated[str | None, typer.Option(help="Name of the curator; without it your login name.")]


def curator_name(who: str | None) -> str:
    """Return the name that verdicts are recorded under: the given one, the login name, or the number of the user.

    In a container, the user often has no name.
    """
    if who:
        return who
    try:
        return getpass.getuser()
    except (KeyError, OSError):
        return f"user {os.getuid()}"
