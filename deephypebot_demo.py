"""The command `deephypebot demo`: a run of the other commands, from posts to a queue of commentary.

It stands above the packages, as the command map does, and uses of them the command lines, the generator of the sample
and the runner of the load test. Every step is a process of its own whose command is printed first, so that it can be
repeated by hand.
"""

from __future__ import annotations

import hashlib
import json
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from types import FrameType
from typing import Annotated, Final, NoReturn

import typer
from rich.console import Console
from rich.panel import Panel
from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn
from rich.table import Table

from foundation.defaults import GATEWAY_PORT
from loadtest.report import report_table
from loadtest.runner import Load, run_headless
from training.sample import CATALOG_FILE, FEED_FILE, POSTS_FILE, make_sample, write_sample

_SEED: Final = 7
_SAMPLE_POSTS: Final = 2500
_SAMPLES: Final = 5
_LOAD_SECONDS: Final = 10
_READY_S: Final = 180.0
_STOP_S: Final = 30.0


class DemoError(Exception):
    """A step of the demo failed; its own message is printed above."""


@dataclass(frozen=True, slots=True, kw_only=True)
class _Input:
    """Input files and preset of the demo."""

    posts: Path
    catalog: Path
    feed: Path
    preset: str


@dataclass(frozen=True, slots=True, kw_only=True)
class _Place:
    """Folders that the demo writes to."""

    workspace: Path
    model_store: Path

    @property
    def options(self) -> list[str]:
        """Options for commands that register or serve."""
        return ["--workspace", str(self.workspace), "--model-store", str(self.model_store)]


def demo(
    *,
    posts: Annotated[Path | None, typer.Option(help="Posts to train on; by default an invented sample.")] = None,
    catalog: Annotated[
        Path | None, typer.Option(help="Artists with their genres, JSONL; by default the sample's.")
    ] = None,
    feed: Annotated[Path | None, typer.Option(help="Feed of the bot, JSONL; by default the sample's.")] = None,
    budget: Annotated[str | None, typer.Option(help="Time for the training, such as 90s or 10m.")] = None,
    preset: Annotated[
        str | None,
        typer.Option(help="Preset of the training; by default demo for the sample and reference for --posts."),
    ] = None,
    keep: Annotated[bool, typer.Option("--keep", help="Keep serving at the end, until Ctrl-C.")] = False,
    port: Annotated[int, typer.Option(help="Port of the gateway; 0 takes any free one.")] = 0,
    workspace: Annotated[Path, typer.Option(envvar="DEEPHYPEBOT_WORKSPACE", help="Folder for all results.")] = Path(
        "workspace"
    ),
    model_store: Annotated[Path, typer.Option(envvar="DEEPHYPEBOT_MODEL_STORE", help="Folder for archives.")] = Path(
        "model_store"
    ),
) -> None:
    """Run the whole path, from posts to a load test.

    The steps: posts, corpus, training, registry, archives, TorchServe, bot, queue, and a short load test. Results of an
    earlier run on the same input are reused. Ctrl-C leaves no process behind, and the next run continues from there.

        deephypebot demo

        deephypebot demo --posts posts.jsonl.gz --catalog artists.jsonl.gz --feed tweets.jsonl --budget 20m
    """
    console = Console()
    for path in (posts, catalog, feed):
        if path is not None and not path.is_file():
            raise DemoError(f"the file {path} does not exist")
    if posts is not None and (catalog is None or feed is None):
        raise DemoError(
            "--posts needs --catalog and --feed as well, since the songs of the sample are not in your catalog"
        )
    place = _Place(workspace=workspace, model_store=model_store)
    started = time.monotonic()
    with _terminable():
        sources = _sources(console, place, given=(posts, catalog, feed), preset=preset)
        corpus = _corpus(console, place, sources)
        training = ["train", str(corpus), "--preset", sources.preset, "--champion", *place.options]
        _step(console, "Train, register and pack", [*training, *(["--budget", budget] if budget else [])])
        with _serving(console, place, port=GATEWAY_PORT if keep and port == 0 else port) as target:
            _ask(console, place, sources, target)
            _load_test(console, place, target)
            console.print(_closing(place, corpus, time.monotonic() - started, target if keep else None))
            if keep:
                _wait_for_interrupt(console, target)


def _sources(
    console: Console, place: _Place, *, given: tuple[Path | None, Path | None, Path | None], preset: str | None
) -> _Input:
    """Return the files to use, after writing the sample if one of them comes from it."""
    posts, catalog, feed = given
    folder = place.workspace / "sample"
    if posts is None or catalog is None or feed is None:
        console.rule("Invent posts, a catalog and a feed", align="left")
        write_sample(make_sample(seed=_SEED, num_posts=_SAMPLE_POSTS), folder)
        console.print(f"{_SAMPLE_POSTS} posts in {folder}")
    return _Input(
        posts=posts or folder / POSTS_FILE,
        catalog=catalog or folder / CATALOG_FILE,
        feed=feed or folder / FEED_FILE,
        preset=preset or ("reference" if posts else "demo"),
    )


def _corpus(console: Console, place: _Place, sources: _Input) -> Path:
    """Build the corpus of the posts and the catalog, unless it exists."""
    name = "sample" if sources.preset == "demo" else "posts"
    out = place.workspace / "corpora" / name
    digests = {hashlib.sha256(path.read_bytes()).hexdigest() for path in (sources.posts, sources.catalog)}
    if digests <= _inputs_of(out):
        console.rule("Corpus", align="left")
        console.print(f"{out} exists already")
        return out
    few = ["--min-posts-per-genre", "20"] if sources.preset == "demo" else []
    build = ["corpus", "build", str(sources.posts), "--out", str(out), "--catalog", str(sources.catalog), *few]
    _step(console, "Corpus", build)
    return out


def _inputs_of(corpus: Path) -> set[str]:
    """Return the hashes of the files that a corpus was built from; none without a corpus."""
    funnel = corpus / "funnel.json"
    if not funnel.exists():
        return set()
    return {each["sha256"] for each in json.loads(funnel.read_text(encoding="utf-8"))["inputs"]}


def _ask(console: Console, place: _Place, sources: _Input, target: str) -> None:
    workspace = ["--workspace", str(place.workspace)]
    files = ["--feed", str(sources.feed), "--catalog", str(sources.catalog)]
    once = ["bot", "once", *files, "--target", target, "--num-samples", str(_SAMPLES), *workspace]
    _step(console, "The bot reads the feed and asks for commentary", once)
    _step(console, "The queue", ["queue", "list", "--limit", "30", *workspace])


def _load_test(console: Console, place: _Place, target: str) -> None:
    console.rule("Load test", align="left")
    load = Load(target=target, users=8, seconds=_LOAD_SECONDS, num_samples=_SAMPLES)
    with _bar(console, "locust, 8 users", _LOAD_SECONDS) as advance:
        report = run_headless(load, place.workspace / "loadtest", on_progress=advance)
    console.print(report_table(report))


@contextmanager
def _serving(console: Console, place: _Place, *, port: int) -> Iterator[str]:
    """Run `deephypebot serve` for the length of the block, and yield its address once both champions answer."""
    ready = place.workspace / "serving" / "ready.json"
    ready.unlink(missing_ok=True)
    command = ["serve", "--port", str(port), "--ready-file", str(ready), "--stop-with-parent", *place.options]
    console.rule("TorchServe, registry sync and gateway", align="left")
    _show(console, command)
    log_path = place.workspace / "serving" / "serve.log"
    log_path.parent.mkdir(parents=True, exist_ok=True)
    with log_path.open("wb") as log:
        # A session of its own: Ctrl-C in the terminal reaches this process alone, which stops the server in order.
        child = subprocess.Popen(  # noqa: S603 - a command of the project
            _python(command), stdout=log, stderr=subprocess.STDOUT, start_new_session=True
        )
        try:
            yield _wait_ready(console, child, ready, log_path)
        finally:
            console.print("stopping the server")
            _stop(child)


def _wait_ready(console: Console, child: subprocess.Popen[bytes], ready: Path, log: Path) -> str:
    started = time.monotonic()
    with _bar(console, "starting", _READY_S) as advance:
        while not ready.exists():
            if child.poll() is not None:
                lines = log.read_text(encoding="utf-8", errors="replace").strip().splitlines()
                raise DemoError("\n".join(["the server ended before it was ready:", *lines[-12:]]))
            if time.monotonic() - started > _READY_S:
                raise DemoError(f"the server was not ready after {_READY_S:.0f} s; see {log}")
            advance(time.monotonic() - started)
            time.sleep(0.1)
    target = str(json.loads(ready.read_text(encoding="utf-8"))["target"])
    console.print(f"ready at {target} after {time.monotonic() - started:.1f} s")
    return target


def _step(console: Console, title: str, arguments: list[str]) -> None:
    """Run one command and wait for it; it shares the terminal, so its bars are visible and Ctrl-C reaches it."""
    console.rule(title, align="left")
    _show(console, arguments)
    child = subprocess.Popen(_python(arguments))  # noqa: S603 - a command of the project
    try:
        code = child.wait()
    except KeyboardInterrupt:
        # The command got the same Ctrl-C and needs a moment to end in order.
        _stop(child)
        raise
    if code != 0:
        raise DemoError(f"`deephypebot {arguments[0]}` ended with status {code}; its message is above")


def _stop(child: subprocess.Popen[bytes]) -> None:
    if child.poll() is None:
        child.terminate()
    try:
        child.wait(timeout=_STOP_S)
    except subprocess.TimeoutExpired:
        child.kill()
        child.wait()


def _python(arguments: Sequence[str]) -> list[str]:
    return [sys.executable, "-m", "deephypebot", *arguments]


def _show(console: Console, arguments: Sequence[str]) -> None:
    console.print(f"$ deephypebot {' '.join(arguments)}", style="dim", soft_wrap=True, markup=False, highlight=False)


@contextmanager
def _bar(console: Console, what: str, seconds: float) -> Iterator[_Advance]:
    columns = (TextColumn("{task.description:<20}"), BarColumn(), TimeElapsedColumn())
    with Progress(*columns, console=console, transient=True) as bars:
        yield _Advance(bars, what, seconds)


class _Advance:
    """Progress of a bar that stands for an expected time."""

    def __init__(self, bars: Progress, what: str, seconds: float) -> None:
        self._bars = bars
        self._task = bars.add_task(what, total=seconds)

    def __call__(self, seconds: float) -> None:
        self._bars.update(self._task, completed=seconds)


@contextmanager
def _terminable() -> Iterator[None]:
    """Make SIGTERM end the demo as Ctrl-C does, through every `finally`."""

    def interrupt(number: int, frame: FrameType | None) -> NoReturn:
        del number, frame
        raise KeyboardInterrupt

    before = signal.signal(signal.SIGTERM, interrupt)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)


def _wait_for_interrupt(console: Console, target: str) -> None:
    console.print(f"serving at {target}; Ctrl-C ends it")
    try:
        signal.pause()
    except KeyboardInterrupt:
        console.print()


def _closing(place: _Place, corpus: Path, seconds: float, target: str | None) -> Panel:
    made = Table.grid(padding=(0, 2))
    for what, where in (
        ("corpus", corpus),
        ("runs, metrics, registry", place.workspace / "mlflow.db"),
        ("archives", f"{place.model_store}/*.mar"),
        ("queue", place.workspace / "bot.db"),
        ("load test", place.workspace / "loadtest" / "report.html"),
    ):
        made.add_row(what, str(where))
    made.add_row("", "")
    following = [
        (f"mlflow ui --backend-store-uri sqlite:///{place.workspace}/mlflow.db", "look at the runs"),
        ("deephypebot queue list", "read the candidates; then queue accept ID"),
    ]
    if target is None:
        following.insert(0, ("deephypebot serve", "serve the champions again, then in another terminal:"))
    following += [
        ('deephypebot generate --genres "dream pop" -n 5', "ask for samples"),
        (f"deephypebot train {corpus} --preset demo --set lcgan.distance_weight=0.3", "train a second version"),
        ("deephypebot models promote lcgan 2", "make it the champion"),
    ]
    for command, why in following:
        made.add_row(why, f"[bold]{command}[/]")
    return Panel(made, title=f"Done in {seconds / 60:.1f} minutes", title_align="left", expand=False)
