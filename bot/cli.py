"""`deephypebot bot` and `deephypebot queue`."""

from __future__ import annotations

import contextlib
import getpass
import json
import signal
import sys
import threading
from collections.abc import Iterator
from enum import StrEnum
from pathlib import Path
from typing import IO, Annotated

import typer
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from bot.bench.cli import app_bench
from bot.display import queue_table, status_table, summary_lines, visible
from bot.domain.errors import BotError, InputError, NoServiceError
from bot.domain.model import CandidateStatus, Decision, Verdict
from bot.domain.songs import parse_songs
from bot.service import Progress as ProgressCallback
from bot.service import Summary
from bot.settings import DEFAULT_MODEL, DEFAULT_TARGET, BotSettings

__all__ = ["app_bot", "app_queue", "queue_table"]

app_bot = typer.Typer(no_args_is_help=True, help="From a feed of tweets to a queue of candidates.")
app_bot.add_typer(app_bench, name="bench")
app_queue = typer.Typer(no_args_is_help=True, help="What the bot wrote, and what a curator makes of it.")

Workspace = Annotated[Path, typer.Option(envvar="DEEPHYPEBOT_WORKSPACE", help="Folder of the bot's database, bot.db.")]
Feed = Annotated[
    Path,
    typer.Option(
        envvar="DEEPHYPEBOT_FEED",
        help='JSON lines of {"id", "text", "author", "created_at"}; may grow while it is read.',
    ),
]
Catalog = Annotated[
    Path | None,
    typer.Option(
        envvar="DEEPHYPEBOT_CATALOG",
        help='JSON lines of {"artist", "genres"}, .gz or not; without it all genres are "unknown".',
    ),
]
Target = Annotated[str, typer.Option(envvar="DEEPHYPEBOT_TARGET", help="Address of the gateway, host:port.")]
Model = Annotated[str, typer.Option(help="The registered model that writes.")]
Samples = Annotated[int, typer.Option(help="Samples asked for each song, 1 to 64.")]
Status = Annotated[CandidateStatus | None, typer.Option(help="Only candidates of this status.")]
Ids = Annotated[list[str], typer.Argument(metavar="ID...", help="Candidates, as `queue list` shows them.")]
Who = Annotated[str | None, typer.Option(help="Whose verdict it is; your login name without it.")]

_WORKSPACE = Path("workspace")


class ExportFormat(StrEnum):
    """What `queue export` writes."""

    CSV = "csv"
    JSONL = "jsonl"


@app_bot.command()
def once(
    feed: Feed,
    *,
    catalog: Catalog = None,
    workspace: Workspace = _WORKSPACE,
    target: Target = DEFAULT_TARGET,
    model: Model = DEFAULT_MODEL,
    samples: Samples = 5,
    retry_failed: Annotated[bool, typer.Option(help="Try tweets again that failed without any candidate.")] = False,
) -> None:
    """Read what is new in the feed, write candidates for it to the queue, and end.

    A second run adds nothing twice. When the server is away the tweets stay pending, and the exit code is 1.

    Example: deephypebot bot once --feed feed.jsonl --catalog artists.jsonl.gz
    """
    from bot import bootstrap

    settings = BotSettings(
        workspace=workspace, feed=feed, catalog=catalog, target=target, model=model, num_samples=samples
    )
    console = Console(stderr=True)
    with stop_signals() as stop, bootstrap.build(settings) as bot:
        if retry_failed:
            with bootstrap.open_store(workspace) as store:
                console.print(f"{store.reopen_failed()} failed tweets are pending again")
        with progress_bar(console, "tweets") as advance:
            summary = bot.tick(progress=advance, stop=stop)
    for line in summary_lines(summary):
        console.print(visible(line), soft_wrap=True)
    if summary.problems:
        raise BotError("; ".join(summary.problems))
    if summary.outage:
        raise NoServiceError(f"{summary.outage}; {summary.tweets_pending} tweets stay pending, run this again later")


@app_bot.command()
def run(
    feed: Feed,
    *,
    catalog: Catalog = None,
    workspace: Workspace = _WORKSPACE,
    target: Target = DEFAULT_TARGET,
    model: Model = DEFAULT_MODEL,
    samples: Samples = 5,
    interval: Annotated[float, typer.Option(min=0.1, help="Seconds between two looks at the feed.")] = 60.0,
) -> None:
    """Do what `once` does, again and again, until SIGTERM or Ctrl-C; the step in hand is finished within 5 seconds.

    Example: deephypebot bot run --feed feed.jsonl --catalog artists.jsonl.gz --interval 30
    """
    from bot import bootstrap

    settings = BotSettings(
        workspace=workspace, feed=feed, catalog=catalog, target=target, model=model, num_samples=samples
    )
    if not feed.is_file():
        raise InputError(f"the feed {feed} does not exist; give another one with --feed")
    console = Console(stderr=True)
    with stop_signals() as stop, bootstrap.build(settings) as bot:
        console.print(visible(f"reading {feed} every {interval:g} s; Ctrl-C ends"))
        bot.run(interval_s=interval, stop=stop, report=lambda result: _report(console, result))
    console.print("stopped; nothing is lost")


def _report(console: Console, result: Summary | BotError) -> None:
    if isinstance(result, BotError):
        console.print(visible(f"error: {result}"))
        return
    if result.tweets_read or result.candidates or result.bad_rows or result.notices or result.tweets_failed:
        console.print(visible("; ".join(summary_lines(result))))
    for problem in result.problems:
        console.print(visible(f"error: {problem}"))
    if result.outage:
        console.print(visible(f"{result.outage}; {result.tweets_pending} tweets stay pending"))


@app_bot.command()
def status(workspace: Workspace = _WORKSPACE, target: Target = DEFAULT_TARGET) -> None:
    """Show where the bot stands: feed, tweets, candidates, gateway, last error.

    Example: deephypebot bot status --workspace workspace
    """
    from bot import bootstrap
    from bot.adapters.file_feed import describe_cursor

    with bootstrap.open_store(workspace) as store:
        state = store.state()
    places = {source: describe_cursor(cursor) for source, cursor in state.cursors.items()}
    with contextlib.closing(bootstrap.open_commentary(target, model=DEFAULT_MODEL, timeout_s=2.0)) as commentary:
        reachable = commentary.is_reachable()
    Console().print(status_table(state, places=places, target=target, reachable=reachable))


@app_bot.command()
def parse() -> None:
    """Read JSON lines with a `text` from standard input, write JSON lines with its `songs`.

    Each line comes back with all it had. A song has artists, title, featured, version, confidence, and cover_of where
    somebody else's song is performed.

    Example: echo '{"text": "Now playing: Ona Vell - Slow Lamp"}' | deephypebot bot parse
    """
    for number, line in enumerate(sys.stdin.buffer, start=1):
        if not line.strip():
            continue
        try:
            document = json.loads(line)
        except (ValueError, RecursionError) as cause:
            raise InputError(f"standard input, line {number}: not valid JSON ({cause})") from cause
        if not isinstance(document, dict) or not isinstance(document.get("text"), str):
            found = ", ".join(map(repr, document)) if isinstance(document, dict) else type(document).__name__
            raise InputError(f"standard input, line {number}: needs an object with a string 'text', found {found}")
        document["songs"] = [song.as_document() for song in parse_songs(document["text"])]
        # ASCII: the line may hold half a surrogate pair, which no encoding of standard output takes.
        sys.stdout.write(json.dumps(document) + "\n")


@app_queue.command(name="list")
def list_(
    workspace: Workspace = _WORKSPACE,
    *,
    status: Status = None,
    limit: Annotated[int, typer.Option(min=1, help="Candidates to show at most.")] = 50,
    as_json: Annotated[bool, typer.Option("--json", help="JSON lines instead of a table.")] = False,
) -> None:
    """Show candidates, the oldest first.

    Example: deephypebot queue list --status waiting --limit 10
    """
    from bot import bootstrap
    from bot.adapters.export import write_jsonl

    with bootstrap.open_store(workspace) as store:
        rows = store.rows(status=status, limit=limit)
        if as_json:
            write_jsonl(rows, sys.stdout)
            return
        state = store.state()
        total = sum(state.candidates.values()) if status is None else state.candidates[status]
        Console().print(queue_table(rows, title=f"Queue: {min(limit, total)} of {total} candidates"))


@app_queue.command()
def accept(
    ids: Ids,
    *,
    edit: Annotated[str | None, typer.Option(help="The text to use instead of the sample's; for one ID.")] = None,
    who: Who = None,
    workspace: Workspace = _WORKSPACE,
) -> None:
    """Accept candidates, one of them with a text of your own if need be.

    Example: deephypebot queue accept 1001.1.2 --edit "A slow lamp of a song."
    """
    if edit is not None and len(ids) != 1:
        raise InputError(f"--edit changes one candidate's text, got {len(ids)} ids")
    if edit is not None and not edit.strip():
        raise InputError("--edit needs a text; to drop a candidate use `queue reject`")
    _decide(workspace, ids, Decision.ACCEPT, who=who, edited_text=edit)


@app_queue.command()
def reject(ids: Ids, *, who: Who = None, workspace: Workspace = _WORKSPACE) -> None:
    """Reject candidates.

    Example: deephypebot queue reject 1001.1.1 1001.1.3
    """
    _decide(workspace, ids, Decision.REJECT, who=who, edited_text=None)


def _decide(workspace: Path, ids: list[str], decision: Decision, *, who: str | None, edited_text: str | None) -> None:
    from bot import bootstrap

    curator = who or getpass.getuser()
    distinct = list(dict.fromkeys(ids))
    with bootstrap.open_store(workspace) as store:
        store.decide(
            Verdict(candidate_id=name, decision=decision, who=curator, edited_text=edited_text) for name in distinct
        )
    Console(stderr=True).print(visible(f"{decision.status}: {', '.join(distinct)} (by {curator})"))


@app_queue.command()
def export(
    *,
    out: Annotated[Path | None, typer.Option(help="The file to write; standard output without it.")] = None,
    file_format: Annotated[ExportFormat, typer.Option("--format", help="What to write.")] = ExportFormat.CSV,
    status: Status = None,
    workspace: Workspace = _WORKSPACE,
) -> None:
    """Write the queue for other programs. In CSV, texts that look like formulas are made harmless.

    Example: deephypebot queue export --status accepted --out accepted.csv
    """
    from bot import bootstrap
    from bot.adapters.export import write_csv, write_jsonl

    write = write_csv if file_format is ExportFormat.CSV else write_jsonl
    with bootstrap.open_store(workspace) as store, _output(out) as file:
        count = write(store.rows(status=status), file)
    Console(stderr=True).print(visible(f"{count} candidates written to {out or 'standard output'}"))


@contextlib.contextmanager
def _output(path: Path | None) -> Iterator[IO[str]]:
    """A file that appears whole or not at all; standard output without a path."""
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


@contextlib.contextmanager
def stop_signals() -> Iterator[threading.Event]:
    """An event that SIGTERM and SIGINT set, instead of ending the process where it stands."""
    stop = threading.Event()
    names = (signal.SIGTERM, signal.SIGINT)
    before = [signal.signal(name, lambda _signal, _frame: stop.set()) for name in names]
    try:
        yield stop
    finally:
        for name, handler in zip(names, before, strict=True):
            signal.signal(name, handler)


@contextlib.contextmanager
def progress_bar(console: Console, what: str) -> Iterator[ProgressCallback]:
    """A bar for `Bot.tick`."""
    columns = (TextColumn(what), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with Progress(*columns, console=console, transient=True) as bar:
        task = bar.add_task(what, total=None)
        yield lambda done, total: bar.update(task, completed=done, total=total)
