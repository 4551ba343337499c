"""The command itself: its map of commands, version, help and shell completion."""

from __future__ import annotations

import importlib
import inspect
import json
import os
import subprocess
import sys
import textwrap
import threading
from collections.abc import Iterator
from importlib import metadata
from typing import Any

import pytest
import typer
from typer.testing import CliRunner

import deephypebot
from deephypebot import COMMANDS, SUBGROUPS, Entry, build_app

PARTS = {f"{group} {name}": entry for group, parts in SUBGROUPS.items() for name, entry in parts.items()}


def run(*arguments: str) -> str:
    done = CliRunner().invoke(build_app(arguments), arguments)
    assert done.exit_code == 0, done.output
    return done.output


def complete(*words: str, kind: str = "bash") -> list[str]:
    """Ask for the words that may follow, as the shell's completion script does; the last word is incomplete."""
    line = " ".join(["deephypebot", *words])
    variables = {"_DEEPHYPEBOT_COMPLETE": f"complete_{kind}"}
    if kind == "bash":
        variables |= {"COMP_WORDS": line, "COMP_CWORD": str(len(words))}
    else:
        variables |= {"_TYPER_COMPLETE_ARGS": line, "_TYPER_COMPLETE_FISH_ACTION": "get-args"}
    program = "import sys; sys.argv[0] = 'deephypebot'; from deephypebot import main; main()"
    done = subprocess.run(
        [sys.executable, "-c", program], env={**os.environ, **variables}, capture_output=True, text=True, check=False
    )
    assert done.stderr == ""
    return done.stdout.split()


def first_line(entry: Entry) -> str:
    target = getattr(importlib.import_module(entry.module), entry.attribute)
    text = target.info.help if isinstance(target, typer.Typer) else target.__doc__
    return inspect.cleandoc(str(text)).splitlines()[0]


@pytest.mark.parametrize(("name", "entry"), [*COMMANDS.items(), *PARTS.items()])
def test_the_list_of_commands_has_the_first_line_of_each_ones_help(name: str, entry: Entry) -> None:
    assert entry.help == first_line(entry), name


def test_the_version_is_that_of_the_distribution() -> None:
    assert run("--version").startswith(f"deephypebot {metadata.version('deephypebot')} (Python 3.")


@pytest.mark.parametrize(
    "command", ["", "serve", "generate", "models", "models promote", "bot", "bot bench", "bench serve"]
)
def test_h_is_short_for_help_everywhere(command: str) -> None:
    words = command.split()
    assert run(*words, "-h") == run(*words, "--help") != ""


@pytest.mark.parametrize("width", [60, 80, 140])
def test_help_is_wrapped_at_the_width_of_the_terminal_alone(width: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", str(width))
    lines = run("serve", "--help").splitlines()
    shown = [line.strip() for line in lines[: next(n for n, line in enumerate(lines) if "Options" in line)]]
    start = next(n for n, line in enumerate(shown) if line.startswith("The command starts"))
    end = shown.index("", start)
    words = " ".join(shown[start:end]).split()
    assert shown[start:end] == textwrap.wrap(" ".join(words), width - 2)
    # Examples are lines of their own, indented, and can be copied as they are.
    assert any(line.rstrip() == "     deephypebot serve" for line in lines)


@pytest.mark.parametrize("command", ["", "models", "queue", "bot", "bot bench", "bench", "corpus", "blind"])
def test_a_group_alone_shows_its_help_and_has_not_failed(command: str) -> None:
    words = command.split()
    assert run(*words) == run(*words, "--help") != ""


@pytest.mark.parametrize("encoding", ["ascii", "latin-1", "utf-8"])
def test_every_character_can_be_printed_and_json_stays_json(encoding: str) -> None:
    text = "Für Elise – 夜 \N{MUSICAL SYMBOL G CLEF} \ud83d"
    program = (
        "import json, sys, types, deephypebot\n"
        f"text = {text!r}\n"
        "def listed(): print(json.dumps({'text': text}, ensure_ascii=False)); print(text, file=sys.stderr)\n"
        "sys.modules['written'] = types.SimpleNamespace(listed=listed)\n"
        "deephypebot.COMMANDS['generate'] = deephypebot.Entry('written', 'listed', '', '')\n"
        "sys.argv = ['deephypebot', 'generate']; deephypebot.main()"
    )
    done = subprocess.run(
        [sys.executable, "-c", program],
        env={**os.environ, "PYTHONIOENCODING": encoding},
        capture_output=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout.decode(encoding)) == {"text": text}
    told = done.stderr.decode(encoding)
    assert told.isascii() if encoding == "ascii" else told.startswith("Für Elise")


@pytest.mark.slow
def test_libraries_keep_their_remarks_to_themselves() -> None:
    program = (
        "import deephypebot; deephypebot._quieten_libraries()\n"
        "import logging, warnings, mlflow\n"
        "from mlflow.environment_variables import MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR as bar\n"
        "from mlflow.environment_variables import MLFLOW_SUPPRESS_PRINTING_URL_TO_STDOUT as address\n"
        "assert not bar.get() and address.get()\n"
        "for name in ('mlflow.store', 'alembic.runtime', 'numexpr.utils'): logging.getLogger(name).info('did')\n"
        "warnings.warn('\\x1b[33mAdd type hints to the `predict` method')\n"
        "logging.getLogger('mlflow').warning('it fails')"
    )
    loud = {name: value for name, value in os.environ.items() if not name.startswith("MLFLOW_")}
    done = subprocess.run([sys.executable, "-c", program], env=loud, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout) == (0, "")
    assert [line.partition("WARNING")[2] for line in done.stderr.splitlines()] == [" mlflow: it fails"]


def variables_of(command: Any, path: str) -> Iterator[tuple[str, str]]:
    """Environment variables that the options of a command and of its parts take their defaults from, with its name."""
    for parameter in command.params:
        if parameter.envvar:
            yield path, parameter.envvar
    for name, part in getattr(command, "commands", {}).items():
        yield from variables_of(part, f"{path} {name}")


def test_the_variables_of_all_options_are_these_and_one_name_means_one_thing_everywhere() -> None:
    found: dict[str, set[str]] = {}
    for name in COMMANDS:
        for path, variable in variables_of(typer.main.get_command(build_app([name])).commands[name], name):  # type: ignore[attr-defined] # a group
            found.setdefault(variable, set()).add(path)
    ours = {
        "WORKSPACE", "MODEL_STORE", "TARGET", "FEED", "CATALOG", "EXPOSURES", "GATEWAY_HOST", "GATEWAY_PORT",
        "TORCHSERVE_METRICS_PORT", "GATEWAY_METRICS_PORT", "MODELS", "STUDIO_HOST", "STUDIO_TOKEN", "INSECURE_LISTEN",
        "TLS_CERT", "TLS_KEY", "TLS_CLIENT_CA", "CLIENTS_FILE", "CA", "CLIENT_CERT", "CLIENT_KEY", "TOKEN_FILE",
        "HTTP_PORT", "ACCESS_LOG", "WEBHOOK_SECRET_FILE", "GATEWAY_METRICS_HOST", "TRUSTED_KEYS", "SIGNING_KEY",
        "WORKER_HOST",
    }  # fmt: skip
    assert set(found) == {f"DEEPHYPEBOT_{name}" for name in ours} | {"MLFLOW_TRACKING_URI"}
    assert found["DEEPHYPEBOT_MODEL_STORE"] == {
        "demo", "train", "archive", "serve", "generate-many", "experiment replay"
    }  # fmt: skip


def test_a_group_can_be_built_again_without_a_trace_of_the_first_time() -> None:
    assert run("bot", "--help") == run("bot", "--help")
    assert run("bot", "--help").count("bench ") == 1


def test_help_imports_no_package_behind_a_command() -> None:
    program = (
        "import sys; from deephypebot import build_app; build_app(['--help'])\n"
        "print([name for name in sys.modules if name.partition('.')[0] in "
        "('training', 'handlers', 'serving', 'bot', 'loadtest', 'benchmarks', 'torch', 'mlflow', 'grpc')])"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


@pytest.mark.slow
def test_a_shell_completes_commands() -> None:
    assert complete("") == list(COMMANDS)
    assert complete("ge") == ["generate", "generate-many"]


@pytest.mark.slow
def test_a_shell_completes_what_a_command_that_is_imported_late_has() -> None:
    assert complete("models", "ro") == ["rollback"]
    assert complete("generate", "--num") == ["--num-samples"]
    assert complete("bot", "bench", "dr") == ["drain"]
    assert "--gateway-metrics-port" in complete("serve", "--")


@pytest.mark.slow
def test_other_shells_complete_as_well() -> None:
    assert "promote" in " ".join(complete("models", "pro", kind="zsh"))
    assert complete("models", "pro", kind="fish")[0].startswith("promote")


def test_a_command_that_is_not_installed_has_nothing_to_complete_and_no_complaint() -> None:
    program = (
        "import sys; sys.modules['numpy'] = None; sys.modules['grpc'] = None; sys.argv[0] = 'deephypebot'\n"
        "import deephypebot\n"
        "deephypebot.COMMANDS['generate'] = deephypebot.Entry('no_such_module', 'x', 'bot', 'x')\n"
        "deephypebot.main()"
    )
    line = {"_DEEPHYPEBOT_COMPLETE": "complete_bash", "COMP_WORDS": "deephypebot generate --", "COMP_CWORD": "2"}
    done = subprocess.run(
        [sys.executable, "-c", program], env={**os.environ, **line}, capture_output=True, text=True, check=False
    )
    assert (done.returncode, done.stdout, done.stderr) == (1, "", "")


@pytest.mark.parametrize(("missing", "extras"), [("torch", "serve"), ("ray", "serve,ray")])
def test_a_package_that_is_not_installed_is_told_with_the_extras_that_bring_it(
    missing: str, extras: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def build(_arguments: object) -> Any:
        raise ModuleNotFoundError(f"No module named {missing!r}", name=missing)

    monkeypatch.setattr(deephypebot, "build_app", build)
    for name in ("_write_whatever_comes", "_quieten_libraries"):
        monkeypatch.setattr(deephypebot, name, lambda: None)
    for module, name in ((sys, "excepthook"), (threading, "excepthook"), (sys, "unraisablehook")):
        monkeypatch.setattr(module, name, getattr(module, name))  # put back after the test
    monkeypatch.setattr(sys, "argv", ["deephypebot", "generate-many"])
    with pytest.raises(SystemExit) as ended:
        deephypebot.main()
    assert ended.value.code == 1
    assert f"generate-many needs {missing}, which is not installed: pip install 'deephypebot[{extras}]'" in (
        capsys.readouterr().err
    )
