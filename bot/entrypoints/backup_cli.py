"""`deephypebot bot backup` and `bot restore`."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from bot.domain.errors import InputError
from bot.entrypoints.display import count_of, visible
from bot.entrypoints.options import Config, Workspace
from foundation.commands import command
from foundation.terminal import show

if TYPE_CHECKING:
    from bot.adapters.sqlite.backup import Contents

_NOUNS = {"tweet": "source post", "song": "song", "candidate": "candidate", "verdict": "verdict", "post": "post"}


def backup(
    file: Annotated[Path, typer.Argument(help="File to write.", metavar="FILE")],
    *,
    config: Config = None,
    workspace: Workspace = None,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace FILE if it exists.")] = False,
) -> None:
    """Write everything that the bot knows into one file, while the bot and the studio run.

    The file is a copy of the database at one moment: sources and their cursors, songs, candidates, verdicts, posts, the
    state of the board, odd items. It is verified before it gets its name. Settings, keys and the posts of
    `to = "file"` are not in it.

    Example: deephypebot bot backup backups/bot-2026-11-29.db --workspace workspace
    """
    from bot.adapters.sqlite.backup import back_up
    from bot.settings import load

    settings = load(config, workspace=workspace)
    contents = back_up(settings.database, file, overwrite=overwrite)
    show(visible(f"backed up {settings.database} to {file}: {_describe(contents)}"))


def restore(
    file: Annotated[Path | None, typer.Argument(help="A file that `bot backup` wrote.", metavar="FILE")] = None,
    *,
    config: Config = None,
    workspace: Workspace = None,
    trust: Annotated[
        bool,
        typer.Option("--trust", help="Without FILE: confirm that nothing was posted after the backup was made."),
    ] = False,
    yes: Annotated[bool, typer.Option("--yes", help="With --trust: do not ask.")] = False,
) -> None:
    """Put a backup in the place of the database, which is kept beside it. Bot and studio have to be stopped.

    What was posted after the backup is not posted again: the bot reads the account's own posts, and the verdicts on the
    board, before it sends anything. If they cannot be read, it waits, and `bot status` says so. --trust ends the wait;
    posts that went out after the backup, and cannot be found, are then sent again.

    Example: deephypebot bot restore backups/bot-2026-11-29.db --workspace workspace

    Example: deephypebot bot restore --trust --workspace workspace
    """
    from bot.settings import load

    settings = load(config, workspace=workspace)
    if trust and file is not None:
        raise InputError("--trust takes no file: restore it first, and trust it if its posts cannot be looked up")
    if trust:
        _trust(settings.workspace, yes=yes)
        return
    if file is None:
        raise InputError("name the file of a backup, as in `deephypebot bot restore FILE`")
    from bot.adapters.sqlite.restore import restore as put_back

    restored = put_back(file, settings.database)
    made = f" of {restored.contents.made_at}" if restored.contents.made_at else ""
    show(visible(f"restored {file}{made} as {settings.database}: {_describe(restored.contents)}"))
    if restored.kept is not None:
        show(visible(f"the database that was there is kept as {restored.kept}"))
    show(visible("posts that went out after the backup will be looked up before anything is sent; see:"))
    show(command("bot", "status", "--workspace", settings.workspace))


def _trust(workspace: Path, *, yes: bool) -> None:
    from bot.bootstrap import build as bootstrap

    with bootstrap.open_store(workspace) as store:
        state = store.restored()
        if state is None or not state.waits:
            raise InputError(f"the database of {workspace} waits for nothing after a restore; nothing was changed")
        warning = (
            f"Whatever was posted since {state.since:%Y-%m-%d %H:%M} UTC and was not found is unknown to the bot, and"
            " accepted candidates of that time will be posted, perhaps a second time. Go on?"
        )
        if not yes and not typer.confirm(warning):
            raise InputError("nothing was changed")
        store.trust()
    show("posts are sent by the next pass")


def _describe(contents: Contents) -> str:
    return f"schema {contents.schema}, {_counted(contents.counts)}; its integrity is verified"


def _counted(counts: Mapping[str, int]) -> str:
    return ", ".join(count_of(counts[table], noun) for table, noun in _NOUNS.items())
