"""What commands print and write when an address holds a password: everything is searched for it."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

SECRET = "planted-Hush7"  # noqa: S105 - planted

PROGRAM = """
import contextlib, json, os, sys, traceback
import deephypebot

for address, words in json.loads(sys.argv[1]):
    os.environ["MLFLOW_TRACKING_URI"] = address
    sys.argv[1:] = words
    print("$", words[0], file=sys.stderr)
    try:
        deephypebot.main()
    except SystemExit as ended:
        print("exit", ended.code, file=sys.stderr)
    except BaseException:
        sys.excepthook(*sys.exc_info())
"""
ADDRESSES = (
    f"sqlite:///nowhere/mlflow.db?password={SECRET}",
    f"postgresql://ann:{SECRET}@127.0.0.1:9/mlflow",
    f"http://ann:{SECRET}@127.0.0.1:9/mlflow",
)


@pytest.mark.slow
def test_no_command_prints_or_writes_the_password_of_its_registry(tmp_path: Path) -> None:
    commands = [
        ["models", "list"],
        ["models", "promote", "lcgan/2"],
        ["models", "webhook", "list"],
        ["archive", "lcgan/2"],
        ["experiment", "list"],
        ["interpolate", "one", "two"],
    ]
    calls = [(address, words) for address in ADDRESSES for words in commands]
    # Before a server that is away, it would wait.
    calls.append((ADDRESSES[0], ["serve", "--port", "0", "--models", "lcgan"]))
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("MLFLOW_", "DEEPHYPEBOT_"))}
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM, json.dumps(calls)],
        cwd=tmp_path,
        env={**kept, "MLFLOW_HTTP_REQUEST_MAX_RETRIES": "0", "MLFLOW_DISABLE_TELEMETRY": "true"},
        capture_output=True,
        text=True,
        check=True,
        timeout=100,
    )
    assert done.stderr.count("$ ") == len(calls)
    assert "***" in done.stderr
    assert SECRET not in done.stdout + done.stderr
    assert [path for path in tmp_path.rglob("*") if path.is_file() and SECRET.encode() in path.read_bytes()] == []


def test_no_program_is_started_with_the_address_of_the_registry_as_an_option() -> None:
    root = Path(__file__).parents[1]
    paths = [
        path for package in ("serving", "training", "experiments", "bot") for path in (root / package).rglob("*.py")
    ]
    named = {
        str(path.relative_to(root)): line.strip()
        for path in (*paths, root / "deephypebot.py", root / "deephypebot_demo.py")
        for line in path.read_text().splitlines()
        if '"--tracking-uri"' in line
    }
    # The option itself, and a command that is printed.
    assert set(named) == {"serving/options.py", "training/cli.py"}
    assert "redacted(tracking_uri)" in named["training/cli.py"]
