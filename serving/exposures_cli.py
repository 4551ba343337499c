"""Commands `deephypebot exposures`: the record of who got which version, and its export."""

from __future__ import annotations

import json
from collections import deque
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import Console

from foundation.model_versions import VersionName
from foundation.terminal import show
from serving import tables
from serving.options import WORKSPACE, WorkspaceOption, exposures_folder

if TYPE_CHECKING:
    from serving.traffic.exposures import Exposure
    from serving.traffic.reading import ExposureFiles

FoldersArgument = Annotated[
    list[Path] | None,
    typer.Argument(
        metavar="DIR",
        help="Folders of exposures, of several hosts for instance; doubles count once.",
        show_default="WORKSPACE/exposures",
    ),
]
JsonOption = Annotated[bool, typer.Option("--json", help="Print JSON.")]

app_exposures = typer.Typer(
    name="exposures", no_args_is_help=True, help="Record of who got which version: list, summary, export."
)


@app_exposures.command("list")
def list_exposures(
    folders: FoldersArgument = None,
    *,
    last: Annotated[int, typer.Option("--last", min=1, help="Maximum number of exposures.")] = 20,
    version: Annotated[
        str, typer.Option("--version", metavar="VERSION", help="Only those of a version, as in lcgan/2, or of a model.")
    ] = "",
    unit: Annotated[str | None, typer.Option("--unit", help="Only those of a unit.")] = None,
    request_id: Annotated[str | None, typer.Option("--request-id", help="Only those of a request.")] = None,
    workspace: WorkspaceOption = WORKSPACE,
    as_json: JsonOption = False,
) -> None:
    """List the latest exposures: which version answered whom, and why.

    With --json a line of JSON for each, with all its fields.

    Examples:
        deephypebot exposures list --version lcgan/2 --last 5

        deephypebot exposures list --request-id 7f3a --json
    """
    from serving.traffic.exposures import encode_exposure

    files = _files(folders, workspace)
    wanted = VersionName.parse(version) if version else None
    if "@" in version:
        raise typer.BadParameter("exposures hold numbers, not aliases: write lcgan/2", param_hint="--version")

    def matches(exposure: Exposure) -> bool:
        return (
            (wanted is None or (exposure.model == wanted.model and wanted.version in ("", exposure.version)))
            and unit in (None, exposure.unit)
            and request_id in (None, exposure.request_id)
        )

    with Console(stderr=True).status("reading exposures"):
        found = deque((exposure for exposure in files if matches(exposure)), maxlen=last)
    if as_json:
        for exposure in found:
            typer.echo(encode_exposure(exposure).decode())
        return
    show(tables.exposures(list(found)) if found else "no exposure matches", *_remarks(files))


@app_exposures.command("summary")
def summary(
    folders: FoldersArgument = None, *, workspace: WorkspaceOption = WORKSPACE, as_json: JsonOption = False
) -> None:
    """Count exposures by day (UTC), version and the reason for which the version was chosen.

    Example:
        deephypebot exposures summary
    """
    from serving.traffic.export import count

    files = _files(folders, workspace)
    with Console(stderr=True).status("reading exposures"):
        counts = count(files)
    if as_json:
        typer.echo(json.dumps([each.to_mapping() for each in counts], ensure_ascii=False))
        return
    show(tables.exposure_counts(counts) if counts else "there are no exposures yet", *_remarks(files))


@app_exposures.command("export")
def export(
    folders: FoldersArgument = None,
    *,
    out: Annotated[Path, typer.Option("--out", help="File to write; it ends in .parquet or .jsonl.")],
    workspace: WorkspaceOption = WORKSPACE,
) -> None:
    """Write exposures to one Parquet or JSON lines file, in the order of time.

    Examples:
        deephypebot exposures export --out exposures.parquet

        deephypebot exposures export --out all.parquet hosts/a/exposures hosts/b/exposures
    """
    from serving.traffic.export import export as write

    files = _files(folders, workspace)
    with Console(stderr=True).status(f"writing {out}"):
        number = write(files, out)
    show(f"{out}: {number} exposure{'' if number == 1 else 's'}", *_remarks(files))


def _files(folders: list[Path] | None, workspace: Path) -> ExposureFiles:
    from serving.traffic.reading import ExposureFiles

    return ExposureFiles(folders=folders or [exposures_folder(workspace)])


def _remarks(files: ExposureFiles) -> Iterator[str]:
    """Sentences on rows that were left out."""
    if files.doubles:
        yield f"{files.doubles} doubles were left out"
    if files.torn:
        yield f"{files.torn} last rows of files are not whole and were left out"
    if files.unreadable:
        yield f"{files.unreadable} lines are not exposures and were left out"
