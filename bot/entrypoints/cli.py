"""`deephypebot bot`."""

from __future__ import annotations

import contextlib
import json
import sys
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import Console

from bot.domain.errors import BotError, InputError, NoServiceError, StoreError
from bot.domain.songs.parser import parse_songs
from bot.entrypoints.backup_cli import backup, restore
from bot.entrypoints.display import check_table, status_table, summary_lines, visible
from bot.entrypoints.options import Catalog, Config, Feed, Model, NumSamples, Sandbox, Target, Workspace
from foundation.commands import command
from foundation.terminal import show

if TYPE_CHECKING:
    from bot.ports import EvaluationEvents
    from bot.settings import BotSettings

app_bot = typer.Typer(no_args_is_help=True, help="From timelines to a queue of candidates to posts.")


@app_bot.command()
def once(
    *,
    config: Config = None,
    feed: Feed = None,
    catalog: Catalog = None,
    workspace: Workspace = None,
    target: Target = None,
    model: Model = None,
    num_samples: NumSamples = None,
    retry_failed: Annotated[bool, typer.Option(help="Retry failed source posts without candidates.")] = False,
    sandbox: Sandbox = False,
) -> None:
    """Run one pass: read new posts, write candidates, put them on the board, post accepted ones.

    A second run adds nothing twice. If a network or the gateway cannot be reached, the exit code is 1 and a later run
    does the rest.

    With --sandbox a curator accepts candidates between two passes, so that there are posts as well.

    Example: deephypebot bot once --feed feed.jsonl --catalog artists.jsonl.gz

    Example: deephypebot bot once --sandbox
    """
    from bot.observe.telemetry import telemetry
    from bot.settings import load

    settings = load(
        config, feed=feed, catalog=catalog, workspace=workspace, target=target, model=model, num_samples=num_samples
    )
    with telemetry() as events:
        if sandbox:
            _trial(settings)
        else:
            _one_pass(settings, events, retry_failed=retry_failed)


def _trial(settings: BotSettings) -> None:
    """Run two passes against the stand-ins with a curator in between, then print the posts.

    Nobody outside is told of the verdicts: the curator's are invented, and the versions are those that serve.
    """
    from bot.entrypoints.trial import sandboxed

    console = Console(stderr=True)
    with sandboxed(settings) as trial:
        _one_pass(trial.settings, None, retry_failed=False)
        show(visible(f"a curator accepts {trial.curate()} of the candidates on the sheet"), console=console)
        _one_pass(trial.settings, None, retry_failed=False)
        for post in trial.control.posted():
            answered = f" (in reply to {post['reply_to']})" if post["reply_to"] else ""
            show(visible(f"posted: {post['text']}{answered}"))
    see = command("queue", "list", "--workspace", trial.settings.workspace)
    show(visible("see the queue with:"), see, console=console)


def _one_pass(settings: BotSettings, events: EvaluationEvents | None, *, retry_failed: bool) -> None:
    from bot.bootstrap import build as bootstrap
    from bot.entrypoints.foreground import progress_bar, stop_signals
    from bot.observe.log import Redactor

    console = Console(stderr=True)
    redact = Redactor(settings.secrets())
    with stop_signals() as stop, bootstrap.build(settings, redact=redact, events=events) as bot:
        if retry_failed:
            with bootstrap.open_store(settings.workspace) as store:
                console.print(f"{store.reopen_failed()} failed source posts are pending again")
        with progress_bar(console, "source posts") as advance:
            summary = bot.tick(progress=advance, stop=stop)
    for line in summary_lines(summary):
        console.print(visible(redact(line)), soft_wrap=True)
    if summary.problems:
        raise BotError("; ".join(summary.problems))
    if summary.outage:
        raise NoServiceError(
            f"{summary.outage}; {summary.source_posts_pending} source posts stay pending; run this again later"
        )


@app_bot.command()
def run(
    *,
    config: Config = None,
    feed: Feed = None,
    catalog: Catalog = None,
    workspace: Workspace = None,
    target: Target = None,
    model: Model = None,
    num_samples: NumSamples = None,
    interval: Annotated[
        float | None,
        typer.Option(help="Seconds between two passes; up to 5 times as many if nothing comes.  [default: 60]"),
    ] = None,
    sandbox: Sandbox = False,
) -> None:
    """Repeat `once` until SIGTERM or Ctrl-C; the current step ends within 5 seconds.

    Example: deephypebot bot run --feed feed.jsonl --catalog artists.jsonl.gz --interval 30
    """
    from bot.observe.telemetry import telemetry
    from bot.settings import load

    settings = load(
        config,
        feed=feed,
        catalog=catalog,
        workspace=workspace,
        target=target,
        model=model,
        num_samples=num_samples,
        interval_s=interval,
    )
    if settings.feed is not None and not settings.feed.is_file():
        raise InputError(f"the feed {settings.feed} does not exist; give another one with --feed")
    with telemetry() as events:
        if sandbox:
            from bot.entrypoints.trial import sandboxed

            with sandboxed(settings) as trial:
                _run(trial.settings, None)
        else:
            _run(settings, events)


def _run(settings: BotSettings, events: EvaluationEvents | None) -> None:
    from bot.bootstrap import build as bootstrap
    from bot.entrypoints.foreground import beat, log_pass, stop_signals
    from bot.observe.log import Redactor, open_log
    from bot.observe.watch import watched
    from bot.observe.watchdog import watched_by_systemd
    from bot.services.summary import Summary

    redact = Redactor(settings.secrets())
    log = open_log(redact)
    build = bootstrap.build(settings, redact=redact, notice=lambda what: log.info("notice", what=what), events=events)
    with stop_signals() as stop, build as bot, watched(settings, events) as pulse, watched_by_systemd(pulse):
        log.info("reading", every_s=settings.interval_s, database=str(settings.database), post_to=settings.post.to)

        def report(result: Summary | BotError) -> None:
            log_pass(log, result)
            beat(pulse, result, redact=redact)

        bot.run(interval_s=settings.interval_s, stop=stop, report=report, live=pulse.live)
    log.info("stopped; nothing is lost")


@app_bot.command()
def status(config: Config = None, workspace: Workspace = None, target: Target = None) -> None:
    """Show the bot's state: sources, source posts, candidates, board, posts, bill, gateway, last error, odd items.

    Of accepted posts it says what they wait for: the time to take them back, the gap, hours, the limit of a day, a
    curator.

    The exit code is 1 if the last pass failed or the database cannot be written.

    Example: deephypebot bot status --workspace workspace
    """
    from bot.adapters.sqlite.probe import write_problem
    from bot.bootstrap import build as bootstrap
    from bot.bootstrap import posting
    from bot.settings import load

    settings = load(config, workspace=workspace, target=target)
    with bootstrap.open_store(settings.workspace) as store:
        state, pauses, restored = store.state(), store.pauses(), store.restored()
        unwritable = write_problem(settings.database)  # while the store is open, so that no restore comes between
        waits = posting.post_waits(settings).read(store)
    commentary = bootstrap.open_commentary(settings, timeout_s=2.0)
    with contextlib.closing(commentary):
        reachable = commentary.is_reachable()
    show(
        status_table(
            state,
            pauses=[pause for pause in pauses if pause.until > datetime.now(UTC)],
            restored=restored,
            has_board=settings.sheet.is_on,
            places=bootstrap.describe_places(settings, state.cursors),
            target=settings.target,
            reachable=reachable,
            now=datetime.now(UTC),
            waits=waits,
        )
    )
    if unwritable:
        raise StoreError(f"{unwritable}; make room, or give the file to the user who runs the bot")
    if state.pass_failed:
        raise BotError(f"the last pass failed: {state.last_error}")


@app_bot.command()
def check(
    config: Config = None,
    feed: Feed = None,
    catalog: Catalog = None,
    workspace: Workspace = None,
    target: Target = None,
) -> None:
    """List complete and missing settings, and try each credential by a real call that costs next to nothing.

    Nothing is written or posted. The exit code is 1 if a part that is set up does not work.

    Example: deephypebot bot check --config deephypebot.toml
    """
    from bot.entrypoints import check_command
    from bot.observe.log import Redactor
    from bot.settings import load

    settings = load(config, feed=feed, catalog=catalog, workspace=workspace, target=target)
    with Console(stderr=True).status("checking"):
        results = list(check_command.check(settings, redact=Redactor(settings.secrets())))
    show(check_table(results))
    failed = [result.part for result in results if result.is_failure]
    if failed:
        raise BotError(f"{', '.join(failed)}: see above")


@app_bot.command()
def parse(
    catalog: Annotated[
        Path | None,
        typer.Option(help="Artists, which separate `Title - Artist` from `Artist - Title`."),
    ] = None,
) -> None:
    """Read JSON lines with a `text` from standard input, write JSON lines with its `songs`.

    A line keeps its other keys. A song has artists, title, featured, version and confidence, and for a cover version
    cover_of. The bot itself uses songs with a confidence of at least 0.5.

    Example: echo '{"text": "Now playing: Ona Vell - Slow Lamp"}' | deephypebot bot parse
    """
    from bot.adapters.lookups.catalog import FileCatalog

    find = FileCatalog(catalog).find if catalog is not None else None
    is_artist = None if find is None else lambda name: find(name) is not None
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
        document["songs"] = [song.as_document() for song in parse_songs(document["text"], is_artist=is_artist)]
        # ASCII: the line may contain half a surrogate pair, which cannot be encoded otherwise.
        sys.stdout.write(json.dumps(document) + "\n")


app_bot.command()(backup)
app_bot.command()(restore)
