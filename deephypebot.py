"""The command `deephypebot`, and nothing else: a map of the packages' commands, each imported when it is called."""

from __future__ import annotations

import errno
import importlib
import os
import sys
import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import typer
from rich.console import Console

_OUR_PACKAGES: Final = (
    "foundation", "training", "handlers", "serving", "bot", "loadtest", "benchmarks", "deephypebot_demo",
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class _Entry:
    """Where a command lives, the extra that installs what it needs, and its line of help."""

    module: str
    attribute: str
    extra: str
    help: str


# Groups within a group that another package has: nothing imports `benchmarks`.
_SUBGROUPS: Final = {"bot": {"bench": ("benchmarks.bot.cli", "app_bench")}}

# In the order of the path from posts to queue.
_COMMANDS: Final = {
    "demo": _Entry("deephypebot_demo", "demo", "train,serve,bot,loadtest", "The whole path, posts to queue, at once."),
    "corpus": _Entry("training.corpus.cli", "app_corpus", "train", "Posts -> a clean, split corpus."),
    "train": _Entry("training.cli", "train", "train", "Corpus -> registered models and their archives."),
    "evaluate": _Entry("training.evaluation.cli", "evaluate", "train", "What models write, beside real text."),
    "interpolate": _Entry("training.evaluation.cli", "interpolate", "train", "A walk between two sentences."),
    "bench": _Entry("benchmarks.cli", "app_bench", "train,serve", "Measurements, beside what they are compared with."),
    "models": _Entry("serving.cli", "app_models", "serve", "Versions: list, promote, rollback, status."),
    "archive": _Entry("serving.cli", "archive", "serve", "One registered version -> one .mar."),
    "serve": _Entry("serving.cli", "serve", "serve", "TorchServe, registry sync and gateway, in the foreground."),
    "generate": _Entry("serving.cli", "generate", "bot", "Ask a running server for samples."),
    "bot": _Entry(
        "bot.entrypoints.cli", "app_bot", "bot", "Timelines -> queue -> posts: run, once, check, status, parse."
    ),
    "queue": _Entry(
        "bot.entrypoints.queue_cli", "app_queue", "bot", "The curator's queue: list, accept, reject, undo, export."
    ),
    "studio": _Entry("bot.studio.cli", "studio", "bot", "The curator's page, in the browser."),
}


def build_app(arguments: Sequence[str]) -> typer.Typer:
    """The command-line application for some arguments: the command that they name in full, the others by their help.

    So `deephypebot --help` imports nothing, and the bot's host does without the packages of the other commands.
    """
    app = typer.Typer(
        help="Train, register, serve, compare and improve small text generators that write about music.",
        no_args_is_help=True,
        add_completion=False,
        pretty_exceptions_enable=False,
    )
    app.callback()(_no_options)
    wanted = next((argument for argument in arguments if not argument.startswith("-")), None)
    for name, entry in _COMMANDS.items():
        if name != wanted:
            app.command(name, help=entry.help)(_no_options)
            continue
        target = getattr(importlib.import_module(entry.module), entry.attribute)
        if isinstance(target, typer.Typer):
            for part, (module, attribute) in _SUBGROUPS.get(name, {}).items():
                target.add_typer(getattr(importlib.import_module(module), attribute), name=part)
            app.add_typer(target, name=name, no_args_is_help=True)
        else:
            app.command(name)(target)
    return app


def _no_options() -> None:
    """Stand for a command that is listed, not called."""


def main() -> None:
    """Run the command line; errors that our packages raise on purpose end in one line and exit code 1."""
    # MLflow would send usage figures out, and say in many lines that there is no git on a machine without it.
    os.environ.setdefault("MLFLOW_DISABLE_TELEMETRY", "true")
    os.environ.setdefault("GIT_PYTHON_REFRESH", "quiet")
    # MLflow asks for type hints (its own classes lack them) to infer schemas from; our signature is more exact.
    warnings.filterwarnings("ignore", message=".*[Tt]ype hint", category=UserWarning)
    # torch's idle threads would otherwise spin on cores that the workers, the gateway and a load test share.
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
    arguments = sys.argv[1:]
    try:
        build_app(arguments)()
    except ModuleNotFoundError as error:
        missing = (error.name or "").partition(".")[0]
        entry = _COMMANDS.get(arguments[0]) if arguments else None
        if missing in _OUR_PACKAGES or entry is None:
            raise
        _fail(f"{arguments[0]} needs {missing}, which is not installed: pip install 'deephypebot[{entry.extra}]'")
    except OSError as error:
        if error.errno != errno.ENOSPC:
            raise
        _fail(f"{error}; make room, and run the same command again: what is whole is kept")
    except Exception as error:
        # Whatever is not ours is a fault in the program, and its trace is wanted.
        if type(error).__module__.partition(".")[0] not in _OUR_PACKAGES:
            raise
        _fail(str(error))


def _fail(message: str) -> None:
    Console(stderr=True).print(f"[bold red]error:[/] {_escaped(message)}", soft_wrap=True, highlight=False)
    raise SystemExit(1)


def _escaped(message: str) -> str:
    return message.replace("[", r"\[")


if __name__ == "__main__":
    main()
