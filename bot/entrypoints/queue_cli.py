"""`deephypebot queue`."""

from __future__ import annotations

import contextlib
import sys
from collections.abc import Iterator
from enum import StrEnum
from pathlib import Path
from typing import IO, Annotated

import typer
from rich.console import Console

from bot.domain.candidates import CandidateStatus, Decision, RejectReason, Verdict
from bot.domain.errors import InputError
from bot.entrypoints.display import queue_table, visible
from bot.entrypoints.options import Who, curator_name
from foundation.terminal import show

app_queue = typer.Typer(no_args_is_help=True, help="The queue of candidates and the curator's verdicts.")

Workspace = Annotated[Path, typer.Option(envvar="DEEPHYPEBOT_WORKSPACE", help="Folder of the bot's database, bot.db.")]
Status = Annotated[CandidateStatus | None, typer.Option(help="Only candidates of this status.")]
Ids = Annotated[list[str], typer.Argument(metavar="ID...", help="Candidates, as `queue list` shows them.")]

_WORKSPACE = Path("workspace")


class ExportFormat(StrEnum):
    """File formats of `queue export`."""

    CSV = "csv"
    JSONL = "jsonl"


@app_queue.command(name="list")
def list_(
    workspace: Workspace = _WORKSPACE,
    *,
    status: Status = None,
    limit: Annotated[int, typer.Option(min=1, help="Maximum number of candidates.")] = 50,
    as_json: Annotated[bool, typer.Option("--json", help="JSON lines instead of a table.")] = False,
) -> None:
    """Show candidates, the oldest first.

    Example: deephypebot queue list --status waiting --limit 10
    """
    from bot.adapters.files.export import write_jsonl
    from bot.bootstrap import build as bootstrap

    with bootstrap.open_store(workspace) as store:
        rows = store.rows(status=status, limit=limit)
        if as_json:
            write_jsonl(rows, sys.stdout)
            return
        state = store.state()
        total = sum(state.candidates.values()) if status is None else state.candidates[status]
        console = Console()
        title = f"Queue: {min(limit, total)} of {total} candidates"
        show(queue_table(rows, title=title, song_in_each=not console.is_terminal), console=console)


@app_queue.command()
def accept(
    ids: Ids,
    *,
    edit: Annotated[str | None, typer.Option(help="Text that replaces the sample's; for one ID.")] = None,
    who: Who = None,
    workspace: Workspace = _WORKSPACE,
) -> None:
    """Accept candidates, a single one also with an edited text.

    Example: deephypebot queue accept 1001.1.2 --edit "A slow lamp of a song."
    """
    if edit is not None and len(ids) != 1:
        raise InputError(f"--edit changes one candidate's text, got {len(ids)} ids")
    if edit is not None and not edit.strip():
        raise InputError("--edit needs a text; to drop a candidate use `queue reject`")
    _decide(workspace, ids, Decision.ACCEPT, who=who, edited_text=edit)


@app_queue.command()
def undo(ids: Ids, *, who: Who = None, workspace: Workspace = _WORKSPACE) -> None:
    """Take verdicts back; a post that is not sent yet is cancelled.

    Example: deephypebot queue undo 1001.1.2
    """
    _decide(workspace, ids, Decision.UNDO, who=who, edited_text=None)


@app_queue.command()
def reject(
    ids: Ids,
    *,
    reason: Annotated[RejectReason | None, typer.Option(help="Reason, by which the model can be improved.")] = None,
    who: Who = None,
    workspace: Workspace = _WORKSPACE,
) -> None:
    """Reject candidates.

    Example: deephypebot queue reject 1001.1.1 1001.1.3 --reason "makes no sense"
    """
    _decide(workspace, ids, Decision.REJECT, who=who, edited_text=None, reason=reason.value if reason else "")


def _decide(
    workspace: Path, ids: list[str], decision: Decision, *, who: str | None, edited_text: str | None, reason: str = ""
) -> None:
    from bot.bootstrap import build as bootstrap

    curator = curator_name(who)
    distinct = list(dict.fromkeys(ids))
    with bootstrap.open_store(workspace) as store:
        store.decide(
            Verdict(candidate_id=name, decision=decision, who=curator, edited_text=edited_text, reason=reason)
            for name in distinct
        )
    show(visible(f"{decision.status}: {', '.join(distinct)} (by {curator})"), console=Console(stderr=True))


@app_queue.command()
def export(
    *,
    out: Annotated[Path | None, typer.Option(help="File to write; without it standard output.")] = None,
    file_format: Annotated[ExportFormat, typer.Option("--format", help="File format.")] = ExportFormat.CSV,
    status: Status = None,
    workspace: Workspace = _WORKSPACE,
) -> None:
    """Write the queue for other programs. In CSV, a text that looks like a formula gets a leading apostrophe.

    Example: deephypebot queue export --status accepted --out accepted.csv
    """
    from bot.adapters.files.export import write_csv, write_jsonl
    from bot.bootstrap import build as bootstrap

    write = write_csv if file_format is ExportFormat.CSV else write_jsonl
    with bootstrap.open_store(workspace) as store, _output(out) as file:
        count = write(store.rows(status=status), file)
    show(visible(f"{count} candidates written to {out or 'standard output'}"), console=Console(stderr=True))


@app_queue.command()
def labels(
    *,
    out: Annotated[Path | None, typer.Option(help="File to write; without it standard output.")] = None,
    workspace: Workspace = _WORKSPACE,
) -> None:
    """Write the songs that curators marked as none or changed, as JSON lines: examples for the parser.

    Example: deephypebot queue labels --out labels.jsonl
    """
    from bot.adapters.files.export import write_labels
    from bot.bootstrap import build as bootstrap

    with bootstrap.open_desk(workspace) as desk, _output(out) as file:
        count = write_labels(desk.labels(), file)
    Console(stderr=True).print(visible(f"{count} judgements written to {out or 'standard output'}"))


@contextlib.contextmanager
def _output(path: Path | None) -> Iterator[IO[str]]:
    """Open a file that appears complete or not at all; standard output without a path."""
    if path is None:
        yield sys.stdout
        return
    partial = path.with_name(path.name + ".partial")
    try:
        with partial.open("w", encoding="utf-8", newline="") as file:
            yield file
        partial.replace(path)
    except OSError as cause:
        raise InputError(f"{path} cannot be written: {cause.strerror}; give another file with --out") from cause
    finally:
        partial.unlink(missing_ok=True)
