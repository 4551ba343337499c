"""`deephypebot queue`."""

from __future__ import annotations

import contextlib
import sys
from collections.abc import Iterator, Mapping
from enum import StrEnum
from pathlib import Path
from typing import IO, TYPE_CHECKING, Annotated

import typer
from rich.console import Console

from bot.domain.candidates import CandidateStatus, Decision, RejectReason, Verdict
from bot.domain.errors import InputError
from bot.domain.post_text import as_written
from bot.entrypoints.display import queue_table, row_lines, visible, wait_line
from bot.entrypoints.options import Config, Who, Workspace, curator_name
from foundation.commands import command
from foundation.terminal import show

if TYPE_CHECKING:
    from bot.settings import BotSettings

app_queue = typer.Typer(no_args_is_help=True, help="The queue of candidates and the curator's verdicts.")

Status = Annotated[CandidateStatus | None, typer.Option(help="Only candidates of this status.")]
Ids = Annotated[list[str], typer.Argument(metavar="ID...", help="Candidates, as `queue list` shows them.")]


class ExportFormat(StrEnum):
    """File formats of `queue export`."""

    CSV = "csv"
    JSONL = "jsonl"


@app_queue.command(name="list")
def list_(
    *,
    status: Status = None,
    limit: Annotated[int, typer.Option(min=1, help="Maximum number of candidates.")] = 50,
    as_json: Annotated[bool, typer.Option("--json", help="JSON lines instead of a table.")] = False,
    config: Config = None,
    workspace: Workspace = None,
) -> None:
    """Show candidates, the oldest first: why a waiting one cannot be accepted, and what an accepted one waits for.

    Example: deephypebot queue list --status waiting --limit 10
    """
    from bot.adapters.files.export import write_jsonl
    from bot.bootstrap import build as bootstrap
    from bot.bootstrap import posting

    settings = _settings(config, workspace)
    with bootstrap.open_store(settings.workspace) as store:
        rows = store.rows(status=status, limit=limit)
        if as_json:
            write_jsonl(rows, sys.stdout)
            return
        state = store.state()
        total = sum(state.candidates.values()) if status is None else state.candidates[status]
        console = Console()
        title = f"Queue: {min(limit, total)} of {total} candidates"
        rules = posting.open_rules(settings)
        table = queue_table(
            rows,
            title=title,
            song_in_each=not console.is_terminal,
            objection_to=rules.objection_to,
            waits={post.candidate_id: wait_line(post) for post in posting.post_waits(settings).read(store).posts},
        )
        show(table, console=console)


@app_queue.command(name="show")
def show_(ids: Ids, *, config: Config = None, workspace: Workspace = None) -> None:
    """Show candidates with their posts as they will be sent: template, length, flags, and what they wait for.

    Example: deephypebot queue show 1001.1.2
    """
    from bot.bootstrap import build as bootstrap
    from bot.bootstrap import posting

    settings = _settings(config, workspace)
    rules = posting.open_rules(settings)
    with bootstrap.open_store(settings.workspace) as store:
        waits = posting.post_waits(settings).read(store)
        for place, row in enumerate(store.find(list(dict.fromkeys(ids)))):
            post = waits.find(row.candidate.id)
            lines = row_lines(row, rules, wait=wait_line(post) if post is not None else "")
            show(*([""] if place else []), *lines)


@app_queue.command()
def accept(
    ids: Ids,
    *,
    edit: Annotated[str | None, typer.Option(help="Text that replaces the sample's; for one ID.")] = None,
    who: Who = None,
    config: Config = None,
    workspace: Workspace = None,
) -> None:
    """Accept candidates, a single one also with an edited text.

    A post that is too long, or that has a blocked word or a hidden character, is not accepted. Of several candidates
    the others are, and the exit code is 1.

    Example: deephypebot queue accept 1001.1.2 --edit "A slow lamp of a song."
    """
    from bot.bootstrap import build as bootstrap
    from bot.bootstrap import posting

    if edit is not None and len(ids) != 1:
        raise InputError(f"--edit changes one candidate's text, got {len(ids)} ids")
    edited = as_written(edit) if edit is not None else None
    if edited == "":
        raise InputError("--edit needs a text; to drop a candidate use `queue reject`")
    settings = _settings(config, workspace)
    rules = posting.open_rules(settings)
    objections: dict[str, str] = {}
    with bootstrap.open_store(settings.workspace) as store:
        for row in store.find(list(dict.fromkeys(ids))):
            # Without an edit the sample is accepted, even if an earlier verdict had another text.
            text = row.candidate.sample.text if edited is None else edited
            if objection := rules.objection_to(row, text):
                objections[row.candidate.id] = objection
    taken = [name for name in ids if name not in objections]
    if taken:
        _decide(settings.workspace, taken, Decision.ACCEPT, who=who, edited_text=edited)
        _show_waits(settings, taken)
    if objections:
        raise InputError(_refusal(objections))


def _show_waits(settings: BotSettings, ids: list[str]) -> None:
    """Say what accepted candidates wait for, if they are to be posted at all."""
    from bot.bootstrap import build as bootstrap
    from bot.bootstrap import posting

    with bootstrap.open_store(settings.workspace) as store:
        waits = posting.post_waits(settings).read(store)
    posts = [post for post in waits.posts if post.candidate_id in ids] if waits.is_posting else []
    for post in posts:
        show(visible(f"{post.candidate_id}: {wait_line(post)}"), console=Console(stderr=True))


def _refusal(objections: Mapping[str, str]) -> str:
    reasons = "; ".join(f"{name} is not accepted: {reason}" for name, reason in objections.items())
    example = command("queue", "accept", next(iter(objections)), "--edit")
    return f'{reasons}; to accept another text: {example} "..."'


@app_queue.command()
def undo(ids: Ids, *, who: Who = None, config: Config = None, workspace: Workspace = None) -> None:
    """Take verdicts back; a post that is not sent yet is cancelled.

    Example: deephypebot queue undo 1001.1.2
    """
    _decide(_settings(config, workspace).workspace, ids, Decision.UNDO, who=who, edited_text=None)


@app_queue.command()
def reject(
    ids: Ids,
    *,
    reason: Annotated[RejectReason | None, typer.Option(help="Reason, by which the model can be improved.")] = None,
    who: Who = None,
    config: Config = None,
    workspace: Workspace = None,
) -> None:
    """Reject candidates.

    Example: deephypebot queue reject 1001.1.1 1001.1.3 --reason "makes no sense"
    """
    folder = _settings(config, workspace).workspace
    _decide(folder, ids, Decision.REJECT, who=who, edited_text=None, reason=reason.value if reason else "")


@app_queue.command()
def confirm(ids: Ids, *, who: Who = None, config: Config = None, workspace: Workspace = None) -> None:
    """Let accepted posts leave although there are others about their songs.

    The confirmation holds until the verdict is taken back.

    Example: deephypebot queue confirm 1001.1.2
    """
    from bot.bootstrap import build as bootstrap

    curator = curator_name(who)
    distinct = list(dict.fromkeys(ids))
    with bootstrap.open_store(_settings(config, workspace).workspace) as store:
        store.confirm(distinct, curator)
    show(visible(f"confirmed: {', '.join(distinct)} (by {curator})"), console=Console(stderr=True))


def _settings(config: Path | None, workspace: Path | None) -> BotSettings:
    """The bot's settings: the same workspace, and the same rules for posts."""
    from bot.settings import load

    return load(config, workspace=workspace)


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
    config: Config = None,
    workspace: Workspace = None,
) -> None:
    """Write the queue for other programs. In CSV, a text that looks like a formula gets a leading apostrophe.

    Example: deephypebot queue export --status accepted --out accepted.csv
    """
    from bot.adapters.files.export import write_csv, write_jsonl
    from bot.bootstrap import build as bootstrap

    write = write_csv if file_format is ExportFormat.CSV else write_jsonl
    with bootstrap.open_store(_settings(config, workspace).workspace) as store, _output(out) as file:
        count = write(store.rows(status=status), file)
    show(visible(f"{count} candidates written to {out or 'standard output'}"), console=Console(stderr=True))


@app_queue.command()
def labels(
    *,
    out: Annotated[Path | None, typer.Option(help="File to write; without it standard output.")] = None,
    config: Config = None,
    workspace: Workspace = None,
) -> None:
    """Write the songs that curators marked as none or changed, as JSON lines: examples for the parser.

    Example: deephypebot queue labels --out labels.jsonl
    """
    from bot.adapters.files.export import write_labels
    from bot.bootstrap import build as bootstrap

    with bootstrap.open_desk(_settings(config, workspace).workspace) as desk, _output(out) as file:
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
