"""Options that the commands `deephypebot experiment` share, and how they open what an experiment needs."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from experiments.errors import ExperimentError
from foundation.model_versions import VersionName
from serving.options import open_registry

if TYPE_CHECKING:
    from experiments.registry import ExperimentRegistry
    from experiments.sources import Sources

NameArgument = Annotated[str, typer.Argument(metavar="NAME", help="The experiment.")]
WorkspaceOption = Annotated[
    Path | None,
    typer.Option(
        "--workspace",
        envvar="DEEPHYPEBOT_WORKSPACE",
        help="Folder of the bot's database and of the reports.",
        show_default="that of the bot's settings, or workspace",
    ),
]
ConfigOption = Annotated[
    Path | None, typer.Option("--config", help="The bot's settings file, TOML.", show_default="deephypebot.toml")
]
ExposuresOption = Annotated[
    list[Path] | None,
    typer.Option(
        "--exposures",
        envvar="DEEPHYPEBOT_EXPOSURES",
        help="Folder of exposures; once for each, of several hosts for instance.",
        show_default="WORKSPACE/exposures",
    ),
]
WaitOption = Annotated[bool, typer.Option("--wait/--no-wait", help="Wait until the running gateway follows.")]
JsonOption = Annotated[bool, typer.Option("--json", help="Print JSON.")]
ModelOption = Annotated[str, typer.Option("--model", help="A registered model: lcgan or cvae.")]


def workspace_of(config: Path | None, workspace: Path | None) -> Path:
    """Return the folder of the bot's database: of the option, the environment, or the bot's settings."""
    from bot.settings import load  # noqa: PLC0415 - takes a moment, which `--help` does not need

    return load(config, workspace=workspace).workspace


def open_sources(config: Path | None, workspace: Path | None, exposures: list[Path] | None) -> Sources:
    """Return the folders that the evidence is read from, by the options of a command."""
    from experiments.sources import Sources  # noqa: PLC0415 - takes a moment

    return Sources(workspace=workspace_of(config, workspace), exposures=tuple(exposures or ()))


def open_experiments(workspace: Path, tracking_uri: str) -> ExperimentRegistry:
    """Return the experiments of a registry.

    Args:
        workspace: folder of the registry where no address is given.
        tracking_uri: `sqlite:///PATH` or the address of a tracking server; empty for that of the workspace.

    Raises:
        RegistryError: the registry cannot be used.
    """
    from experiments.registry import ExperimentRegistry  # noqa: PLC0415 - takes a moment

    return ExperimentRegistry(open_registry(workspace, tracking_uri))


def version_number(registry: ExperimentRegistry, model: str, text: str) -> str:
    """Return the number of a version that is named by its number, by an alias, or as in lcgan/2.

    Raises:
        ExperimentError: it is a version of another model.
        RegistryError: there is none.
    """
    if text.isdigit():
        return registry.registry.version(model, text).version
    if "/" not in text and "@" not in text:
        text = f"{model}@{text}"
    if (named := VersionName.parse(text)).model != model:
        raise ExperimentError(f"{text} is a version of {named.model}, and the experiment compares those of {model}")
    return registry.registry.resolve(named).version
