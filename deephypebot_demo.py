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
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from types import FrameType
from typing import Annotated, Final, NoReturn

import typer
from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn

from bot.entrypoints.queue_picture import QUEUE_PICTURE, write_queue_picture
from foundation.commands import command
from foundation.defaults import DEFAULT_MODEL, GATEWAY_PORT
from foundation.terminal import show
from loadtest.report import report_table
from loadtest.runner import Load, run_headless
from training.lock import held_alone
from training.sample import CATALOG_FILE, FEED_FILE, POSTS_FILE, make_sample, write_sample

_SEED: Final = 7
_SAMPLE_POSTS: Final = 2500
_FEW: Final = 20
"""Posts that a genre needs in a small corpus."""
_SAMPLES: Final = 5
_LOAD_SECONDS: Final = 10
_READY_S: Final = 180.0
_STOP_S: Final = 30.0
_MODELS: Final = (DEFAULT_MODEL, "cvae")
"""Models that the demo serves where they have champions, the one that the bot asks first."""


class DemoError(Exception):
    """A step of the demo failed; its own message is printed above."""


@dataclass(frozen=True, slots=True, kw_only=True)
class _Input:
    """Input files and settings of the demo."""

    posts: Path
    catalog: Path
    feed: Path
    preset: str
    min_posts_per_genre: int | None
    """Number that was asked for, if any."""
    reading: tuple[str, ...] = ()
    """Options of `corpus build` by which the posts are read."""
    corpus: str
    """Name of the corpus's folder: that of the sample is never used for other posts."""


@dataclass(frozen=True, slots=True, kw_only=True)
class _Place:
    """Folders that the demo writes to."""

    workspace: Path
    model_store: Path

    @property
    def options(self) -> list[str]:
        """Options for commands that register or serve."""
        return ["--workspace", str(self.workspace), "--model-store", str(self.model_store)]

    @property
    def workspace_option(self) -> list[str]:
        """The option for commands that read or write the workspace alone."""
        return ["--workspace", str(self.workspace)]


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
    min_posts_per_genre: Annotated[
        int | None,
        typer.Option(
            min=1, help="Posts that a genre needs in the corpus; by default 20 for the preset demo, 50 otherwise."
        ),
    ] = None,
    text_column: Annotated[
        str | None, typer.Option(help="Column of a post's text; by default masked_content, text or content.")
    ] = None,
    encoding: Annotated[
        str | None, typer.Option(help="Encoding of posts and catalog, such as cp1252; by default UTF-8.")
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
    A champion that you chose stays the champion, whatever a later run trains.

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

    def waiting(holder: str) -> None:
        _say(console, f"another demo ({holder}) uses {workspace}; this one begins when it has ended")

    try:
        with _terminable(), held_alone(workspace / "demo.lock", waiting):
            sources = _sources(console, place, (posts, catalog, feed), preset, min_posts_per_genre)
            sources = replace(sources, reading=_reading(text_column, encoding))
            _run(console, place, sources, budget=budget, port=port, keep=keep)
    except KeyboardInterrupt:
        _say(console, "stopped; the same command continues with the step that was interrupted")
        raise


def _run(console: Console, place: _Place, sources: _Input, *, budget: str | None, port: int, keep: bool) -> None:
    started = time.monotonic()
    corpus = _corpus(console, place, sources)
    versions = place.workspace / "train.json"
    training = ["train", str(corpus), "--preset", sources.preset, "--json", str(versions), *place.options]
    _step(console, "Train, register and pack", [*training, *(["--budget", budget] if budget else [])])
    trained = json.loads(versions.read_text(encoding="utf-8"))["versions"]
    models = _models_with_champions(console, trained)
    with _serving(console, place, models, port=GATEWAY_PORT if keep and port == 0 else port) as target:
        _ask(console, place, sources, target, models[0])
        _load_test(console, place, target, models)
        newest = max(int(each["version"]) for each in trained if each["model"] == DEFAULT_MODEL)
        for line in _closing(place, corpus, sources.preset, time.monotonic() - started, newest, serves=keep):
            _say(console, line)
        if keep:
            _wait_for_interrupt(console, target)


def _models_with_champions(console: Console, trained: Sequence[Mapping[str, str]]) -> list[str]:
    """Return the models that can be served; a version that is worse than its predecessor or its prior is not one."""
    champions = {each["model"] for each in trained if each["champion"]}
    found: list[str] = [model for model in _MODELS if model in champions]
    if not found:
        raise DemoError("no version became a champion, so there is nothing to serve; the reasons are above")
    for model in (each for each in _MODELS if each not in found):
        _say(console, f"{model} has no champion, for the reason above; {found[0]} answers instead")
    return found


def _sources(
    console: Console,
    place: _Place,
    given: tuple[Path | None, Path | None, Path | None],
    preset: str | None,
    min_posts_per_genre: int | None,
) -> _Input:
    """Return the files to use, after writing the sample if one of them comes from it."""
    posts, catalog, feed = given
    folder = place.workspace / "sample"
    if posts is None or catalog is None or feed is None:
        _begin(console, "Invent posts, a catalog and a feed")
        write_sample(make_sample(seed=_SEED, num_posts=_SAMPLE_POSTS), folder)
        _say(console, f"{_SAMPLE_POSTS} posts in {folder}")
    chosen = preset or ("reference" if posts else "demo")
    return _Input(
        posts=posts or folder / POSTS_FILE,
        catalog=catalog or folder / CATALOG_FILE,
        feed=feed or folder / FEED_FILE,
        preset=chosen,
        min_posts_per_genre=min_posts_per_genre,
        corpus="sample" if posts is None and catalog is None else "posts",
    )


def _reading(text_column: str | None, encoding: str | None) -> tuple[str, ...]:
    given = (("--text-column", text_column), ("--encoding", encoding))
    return tuple(word for option, value in given if value is not None for word in (option, value))


def _corpus(console: Console, place: _Place, sources: _Input) -> Path:
    """Build the corpus of the posts and the catalog, unless it exists and no option of its build was given."""
    out = place.workspace / "corpora" / sources.corpus
    digests = {hashlib.sha256(path.read_bytes()).hexdigest() for path in (sources.posts, sources.catalog)}
    if digests <= _inputs_of(out) and sources.min_posts_per_genre is None and not sources.reading:
        _begin(console, "Corpus")
        _say(console, f"{out} exists already")
        return out
    least = sources.min_posts_per_genre or (_FEW if sources.preset == "demo" else None)
    few = [] if least is None else ["--min-posts-per-genre", str(least)]
    build = ["corpus", "build", str(sources.posts), "--out", str(out), "--catalog", str(sources.catalog), *few]
    build += sources.reading
    _step(console, "Corpus", build)
    return out


def _inputs_of(corpus: Path) -> set[str]:
    """Return the hashes of the files that a corpus was built from; none without a corpus."""
    funnel = corpus / "funnel.json"
    if not funnel.exists():
        return set()
    return {each["sha256"] for each in json.loads(funnel.read_text(encoding="utf-8"))["inputs"]}


def _ask(console: Console, place: _Place, sources: _Input, target: str, model: str) -> None:
    files = ["--feed", str(sources.feed), "--catalog", str(sources.catalog)]
    asked = ["--target", target, "--model", model, "--num-samples", str(_SAMPLES)]
    once = ["bot", "once", *files, *asked, *place.workspace_option]
    _step(console, "The bot reads the feed and asks for commentary", once)
    _step(console, "The queue", ["queue", "list", "--limit", "30", *place.workspace_option])
    write_queue_picture(place.workspace, place.workspace / QUEUE_PICTURE)


def _load_test(console: Console, place: _Place, target: str, models: Sequence[str]) -> None:
    _begin(console, "Load test")
    users = tuple(f"{model.title()}User" for model in models)
    load = Load(target=target, users=8, seconds=_LOAD_SECONDS, num_samples=_SAMPLES, user_classes=users)
    with _bar(console, "locust, 8 users", _LOAD_SECONDS) as advance:
        report = run_headless(load, place.workspace / "loadtest", on_progress=advance)
    show(report_table(report), console=console)


@contextmanager
def _serving(console: Console, place: _Place, models: Sequence[str], *, port: int) -> Iterator[str]:
    """Run `deephypebot serve` for the length of the block, and yield its address once the champions answer."""
    ready = place.workspace / "serving" / "ready.json"
    ready.unlink(missing_ok=True)
    chosen = ["--port", str(port), "--models", ",".join(models)]
    serve = ["serve", *chosen, "--ready-file", str(ready), "--stop-with-parent", *place.options]
    _begin(console, "TorchServe, registry sync and gateway")
    _show(console, serve)
    log_path = place.workspace / "serving" / "serve.log"
    log_path.parent.mkdir(parents=True, exist_ok=True)
    with log_path.open("wb") as log:
        # A session of its own: Ctrl-C in the terminal reaches this process alone, which stops the server in order.
        child = subprocess.Popen(  # noqa: S603 - a command of the project
            _python(serve), stdout=log, stderr=subprocess.STDOUT, start_new_session=True
        )
        try:
            yield _wait_ready(console, child, ready, log_path)
        finally:
            _say(console, "stopping the server")
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
    _say(console, f"ready at {target} after {time.monotonic() - started:.1f} s")
    return target


def _step(console: Console, title: str, arguments: list[str]) -> None:
    """Run one command and wait for it; it shares the terminal, so its bars are visible and Ctrl-C reaches it."""
    _begin(console, title)
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
    console.print(f"$ {command(*arguments)}", style="dim", soft_wrap=True, markup=False, highlight=False)


def _begin(console: Console, step: str) -> None:
    if console.is_terminal:
        console.rule(step, align="left")
    else:
        _say(console, step)


def _say(console: Console, line: str) -> None:
    """Print a line as it is: a command or a path that wraps cannot be pasted."""
    console.print(line, soft_wrap=True, markup=False, highlight=False)


@contextmanager
def _bar(console: Console, what: str, seconds: float) -> Iterator[_Advance]:
    if not console.is_terminal:  # the bar would be one line, after its end
        _say(console, f"{what}, about {seconds:.0f} s at most")
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
    _say(console, f"serving at {target}; Ctrl-C ends it")
    try:
        signal.pause()
    except KeyboardInterrupt:
        console.print()


def _closing(place: _Place, corpus: Path, preset: str, seconds: float, newest: int, *, serves: bool) -> Iterator[str]:
    """Yield the lines at the end: where everything is, and commands to go on with, which can be pasted."""
    workspace = place.workspace
    yield f"Done in {seconds / 60:.1f} minutes"
    for name, path in (
        ("corpus", corpus),
        ("runs, metrics, versions", workspace / "mlflow.db"),
        ("topics, to explore", next(iter(sorted(workspace.glob("stages/topics-*/topics.html"))), workspace / "stages")),
        ("archives", place.model_store),
        ("queue", workspace / "bot.db"),
        ("picture of the queue", workspace / QUEUE_PICTURE),
        ("load test", workspace / "loadtest" / "report.html"),
    ):
        yield f"  {name:<24}{path}"
    yield "Next:"
    elsewhere = workspace != Path("workspace")
    here = place.workspace_option if elsewhere else []
    stored = here + (["--model-store", str(place.model_store)] if place.model_store != Path("model_store") else [])
    store = ["--backend-store-uri", f"sqlite:///{workspace}/mlflow.db"]
    store += ["--artifacts-destination", str(workspace / "mlartifacts")]
    report = ["--report", str(workspace / "report"), *here]
    second = ["train", str(corpus), "--preset", preset, "--set", "lcgan.distance_weight=0.6", *stored]
    for why, line in (
        *([] if serves else [("serve the champions again; then, in another terminal:", command("serve", *stored))]),
        ("ask for samples", command("generate", "--genres", "dream pop", "-n", "5")),
        ("read and decide, in the browser", command("studio", *here)),
        ("read and decide, in the terminal", command("queue", "list", *here)),
        ("look at the runs", command("ui", *store, program="mlflow")),
        (
            "compare with real text",
            command("evaluate", str(corpus), "--model", f"models:/{DEFAULT_MODEL}@champion", *report),
        ),
        ("train another version", command(*second)),
        ("make it the champion", command("models", "promote", DEFAULT_MODEL, newest + 1, *here)),
    ):
        yield f"  {why}"
        yield f"    {line}"
