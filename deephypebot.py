"""The command `deephypebot`: a map of the packages' commands, each imported when it is called."""

from __future__ import annotations

import codecs
import copy
import errno
import importlib
import importlib.util
import inspect
import io
import json
import logging
import os
import platform
import sys
import threading
import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Annotated, Any, Final

import typer
from rich.console import Console
from typer.core import TyperGroup

from foundation.redaction import redacted, show_uncaught, show_uncaught_of_thread, show_unraisable
from foundation.version import project_version

_OUR_PACKAGES: Final = (
    "foundation", "training", "handlers", "serving", "bot", "bulk", "experiments", "loadtest", "benchmarks",
    "deephypebot_demo",
)  # fmt: skip
_OF_OPTIONS: Final = ("ray",)
"""Packages that an option of some commands needs, each in an extra of its own name."""
_ESCAPED: Final = "deephypebot-escaped"
"""Name of the error handler for characters that a stream cannot encode."""
_QUIET: Final = {
    "MLFLOW_DISABLE_TELEMETRY": "true",
    "MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR": "false",
    "MLFLOW_SUPPRESS_PRINTING_URL_TO_STDOUT": "true",
    "MLFLOW_LOGGING_LEVEL": "WARNING",
    # MLflow says in many lines that there is no git on a machine without it.
    "GIT_PYTHON_REFRESH": "quiet",
    # torch's idle threads would otherwise spin on cores that the workers, the gateway and a load test share.
    "OMP_WAIT_POLICY": "PASSIVE",
}
_TALKATIVE: Final = ("alembic", "numexpr", "mlflow")
"""Loggers of libraries that report at INFO what they did without trouble."""
_COMPLETION: Final = "_DEEPHYPEBOT_COMPLETE"
"""Variable that a shell's completion script sets when it asks for the words that may come next."""


@dataclass(frozen=True, slots=True)
class Entry:
    """One command: its module, the extra that installs what it needs, and its line of help."""

    module: str
    attribute: str
    extra: str
    help: str


# In the order of the path from posts to queue.
COMMANDS: Final = {
    "demo": Entry(
        "deephypebot_demo", "demo", "train,serve,bot,loadtest", "Run the whole path, from posts to a load test."
    ),
    "corpus": Entry("training.corpus.cli", "app_corpus", "train", "Make training corpora from posts."),
    "train": Entry(
        "training.cli", "train", "train", "Train topics, CVAE and LC-GAN; register the models and pack their archives."
    ),
    "evaluate": Entry("training.evaluation.cli", "evaluate", "train", "Evaluate models against held-out text."),
    "blind": Entry(
        "training.evaluation.readers.cli",
        "app_blind",
        "train",
        "Sheets for blind readers, and sums of ratings.",
    ),
    "interpolate": Entry("training.evaluation.cli", "interpolate", "train", "Interpolate between two sentences."),
    "bench": Entry("benchmarks.cli", "app_bench", "train,serve", "Benchmarks with baselines."),
    "models": Entry(
        "serving.models_cli", "app_models", "serve", "Registered versions: list, promote, roll back, split, status."
    ),
    "exposures": Entry(
        "serving.exposures_cli", "app_exposures", "serve", "Record of who got which version: list, summary, export."
    ),
    "experiment": Entry(
        "experiments.cli",
        "app_experiment",
        "experiments",
        "Versions compared by the curators' verdicts, blind and side by side.",
    ),
    "archive": Entry("serving.cli", "archive", "serve", "Fetch the archive of one registered version."),
    "serve": Entry("serving.cli", "serve", "serve", "Serve the registry's champions through a gRPC gateway."),
    "keys": Entry("serving.keys_cli", "app_keys", "serve", "Keys that sign archives: new, show, sign, verify."),
    "tokens": Entry("serving.tokens_cli", "app_tokens", "serve", "Clients that may ask a gateway, and their tokens."),
    "generate": Entry("serving.generate_cli", "generate", "bot", "Ask a running gateway for sentences about a song."),
    "generate-many": Entry(
        "bulk.cli", "generate_many", "serve", "Write samples for a file of songs, without a server."
    ),
    "bot": Entry("bot.entrypoints.cli", "app_bot", "bot", "From timelines to a queue of candidates to posts."),
    "queue": Entry(
        "bot.entrypoints.queue_cli", "app_queue", "bot", "The queue of candidates and the curator's verdicts."
    ),
    "studio": Entry("bot.studio.cli", "studio", "bot", "Curate in the browser."),
}

# Groups within a group of another package.
SUBGROUPS: Final = {
    "bot": {"bench": Entry("benchmarks.bot.cli", "app_bench", "bot", "Benchmarks of the bot's parts.")},
}


class _Group(TyperGroup):
    """A group that shows its help when it is called alone, as an answer and not as an error."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        """Take a call without arguments as one for help."""
        return super().parse_args(ctx, args or ([] if ctx.resilient_parsing else ["--help"]))

    def get_command(self, ctx: Any, cmd_name: str) -> Any:
        """Return a command whose help is wrapped at the width of the terminal, not at that of the source."""
        command = super().get_command(ctx, cmd_name)
        if command is not None and command.help:
            command.help = _unwrapped(command.help)
        return command


def _unwrapped(text: str) -> str:
    """Return a docstring with each paragraph in one line; examples, which are indented, keep theirs.

    Typer takes the indentation of the text after the first paragraph away once more. Where it would be that of the
    examples, markup without any effect stands in front of it.
    """
    lines: list[str] = []
    for line in inspect.cleandoc(text).split("\n"):
        if line.startswith(" "):
            lines.append(f"[b][/b]{line}")
        elif line and lines and lines[-1] and not lines[-1].startswith("["):
            lines[-1] += f" {line}"
        else:
            lines.append(line)
    return "\n".join(lines)


def build_app(arguments: Sequence[str]) -> typer.Typer:
    """Build the command-line application for some arguments: the command that they name in full, the others by help.

    So `deephypebot --help` imports nothing, and the bot's host does without the packages of the other commands.
    """
    app = typer.Typer(
        cls=_Group,
        help="Train, register, serve, compare and improve small text generators that write about music.",
        context_settings={"help_option_names": ["-h", "--help"]},
        pretty_exceptions_enable=False,
    )
    app.callback()(_options)
    words = [argument for argument in arguments if not argument.startswith("-")]
    for name, entry in COMMANDS.items():
        _add(app, name, entry, words, SUBGROUPS.get(name, {}))
    return app


def _add(app: typer.Typer, name: str, entry: Entry, words: Sequence[str], parts: dict[str, Entry]) -> None:
    """Add a command or a group: whole if it is the next of the words, by its line of help otherwise."""
    if words[:1] != [name]:
        app.command(name, help=entry.help)(_listed)
        return
    target = getattr(importlib.import_module(entry.module), entry.attribute)
    if not isinstance(target, typer.Typer):
        app.command(name)(target)
        return
    group = copy.copy(target)  # the package's own group stays as it is
    group.registered_commands, group.registered_groups = [*target.registered_commands], [*target.registered_groups]
    for part, part_entry in parts.items():
        _add(group, part, part_entry, words[1:], {})
    app.add_typer(group, name=name, cls=_Group)


def _show_version(value: bool) -> None:
    if value:
        typer.echo(f"deephypebot {project_version()} (Python {platform.python_version()})")
        raise typer.Exit


def _options(
    *,
    version: Annotated[
        bool, typer.Option("--version", callback=_show_version, is_eager=True, help="Show the version and exit.")
    ] = False,
) -> None:
    """Take the options that stand before a command."""


def _listed() -> None:
    """Stand for a command that is listed, not called."""


def main() -> None:
    """Run the command line; errors that our packages raise on purpose end in one line and exit code 1."""
    _write_whatever_comes()
    sys.excepthook, threading.excepthook, sys.unraisablehook = show_uncaught, show_uncaught_of_thread, show_unraisable
    _quieten_libraries()
    completing = _COMPLETION in os.environ
    arguments = _words_to_complete() if completing else sys.argv[1:]
    try:
        build_app(arguments)()
    except ModuleNotFoundError as error:
        missing = (error.name or "").partition(".")[0]
        entry = COMMANDS.get(arguments[0]) if arguments else None
        if completing:  # a command whose extra is not installed has no words to offer
            raise SystemExit(1) from error
        if missing in _OUR_PACKAGES and importlib.util.find_spec(missing) is None:
            _fail(f"this command needs the package {missing}, which this installation leaves out")
        if missing in _OUR_PACKAGES or entry is None:
            raise
        extras = f"{entry.extra},{missing}" if missing in _OF_OPTIONS else entry.extra
        _fail(f"{arguments[0]} needs {missing}, which is not installed: pip install 'deephypebot[{extras}]'")
    except OSError as error:
        if error.errno != errno.ENOSPC:
            raise
        _fail(f"{error}; make room, and run the same command again: what is whole is kept")
    except Exception as error:
        # Whatever is not ours is a fault in the program, and its trace is wanted.
        if type(error).__module__.partition(".")[0] not in _OUR_PACKAGES:
            raise
        _fail(str(error))


def _write_whatever_comes() -> None:
    """Let standard output and error take every character: one that their encoding lacks is written as in JSON.

    The lines of `--json` stay JSON, and those for people are readable but for that character.
    """

    def escaped(error: UnicodeError) -> tuple[str, int]:
        if not isinstance(error, UnicodeEncodeError):
            raise error
        return json.dumps(error.object[error.start : error.end])[1:-1], error.end

    codecs.register_error(_ESCAPED, escaped)
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):  # not where a test or a notebook has put its own
            stream.reconfigure(errors=_ESCAPED)


def _quieten_libraries() -> None:
    """Keep what libraries say about themselves out of the output, and MLflow from the internet.

    The environment is read when MLflow is imported, by the processes that a command starts as well.
    """
    for name, value in _QUIET.items():
        os.environ.setdefault(name, value)
    # MLflow asks for type hints (its own classes lack them) to infer schemas from; our signature is more exact.
    warnings.filterwarnings("ignore", message=".*[Tt]ype hint", category=UserWarning)
    for library in _TALKATIVE:
        logging.getLogger(library).setLevel(logging.WARNING)


def _words_to_complete() -> list[str]:
    """Words of the line that a shell completes, from the variables that typer's completion scripts set."""
    return (os.environ.get("COMP_WORDS") or os.environ.get("_TYPER_COMPLETE_ARGS", "")).split()[1:]


def _fail(message: str) -> None:
    Console(stderr=True).print(f"[bold red]error:[/] {_escaped(redacted(message))}", soft_wrap=True, highlight=False)
    raise SystemExit(1)


def _escaped(message: str) -> str:
    return message.replace("[", r"\[")


if __name__ == "__main__":
    main()
