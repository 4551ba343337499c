"""Try `mlflow deployments -t torchserve` of several releases of MLflow, each in an environment of its own.

    python scripts/mlflow_versions.py http://127.0.0.1:5000 127.0.0.1:50051 lcgan 3.14 3.15 3.16

The tracking server and `deephypebot serve`, which follows it, have to run; the model needs a champion and one more
version, which is made a deployment and taken away again. A release may also be the path of a Python that has MLflow and
the plugin. Where an index has a release of mlflow without its mlflow-skinny, which mirrors may, it is installed beside
the parts of the release before it, and the line says so.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import venv
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

ROOT: Final = Path(__file__).parents[1]
NAME: Final = "contract-check"
NEEDED: Final = ("grpcio>=1.85.1", "protobuf>=7.35.1,<8", "googleapis-common-protos", "psutil", "rich", "typer")
"""Packages that the plugin needs beside MLflow, torch not among them."""
_VERSIONS: Final = "import mlflow, importlib.metadata as m; print(mlflow.__version__, m.version('mlflow-skinny'))"
_INSTALL_S: Final = 900
_COMMAND_S: Final = 180


@dataclass(frozen=True, kw_only=True)
class Step:
    """A command of `mlflow deployments`, and a text that it must print."""

    arguments: tuple[str, ...]
    prints: str
    fails: bool = False


def steps(model: str, version: str, requests: Path, answer: Path) -> Iterator[Step]:
    """Yield the commands in their order."""
    uri, named = f"models:/{model}/{version}", ("--name", NAME)
    yield Step(arguments=("help",), prints="create-endpoint")
    yield Step(arguments=("create", *named, "-m", uri, "-C", "weight=10"), prints="is created")
    yield Step(arguments=("create", *named, "-m", uri), prints="already", fails=True)
    yield Step(arguments=("list",), prints=NAME)
    yield Step(arguments=("get", *named), prints="share: 0.1")
    yield Step(arguments=("update", *named, "-C", "weight=40"), prints="is updated")
    yield Step(arguments=("predict", *named, "-I", str(requests), "-O", str(answer)), prints="")
    yield Step(arguments=("predict", "--endpoint", model, "-I", str(requests)), prints="token_count")
    yield Step(arguments=("get-endpoint", "--endpoint", model), prints=NAME)
    yield Step(arguments=("list-endpoints",), prints=model)
    yield Step(arguments=("update-endpoint", "--endpoint", model, "-C", "split=end"), prints="updated")
    yield Step(arguments=("delete", "--name", "../x"), prints="cannot be the name of a deployment", fails=True)
    yield Step(arguments=("delete", *named), prints="is deleted")
    yield Step(arguments=("delete", *named), prints="is deleted")


def python_of(release: str, folder: Path) -> Path:
    """Return an interpreter with a release of MLflow and this project's plugin."""
    if Path(release).exists():
        return Path(release)
    venv.create(folder, with_pip=True)
    python = folder / "bin" / "python"
    wanted = f"mlflow=={release}.*"
    fault = _install(python, wanted, *NEEDED)
    if "No matching distribution found for mlflow-" in fault:
        fault = _install(python, f"mlflow<{release}", *NEEDED) or _install(python, "--no-deps", wanted)
    fault = fault or _install(python, "--no-deps", "--editable", str(ROOT))
    if fault:
        sys.exit(f"MLflow {release} cannot be installed: {fault[-1000:]}")
    return python


def _install(python: Path, *arguments: str) -> str:
    """Install packages, and return pip's words where it fails; empty if it does not."""
    done = subprocess.run(  # noqa: S603 - pip of our own interpreter
        [str(python), "-m", "pip", "install", "--quiet", *arguments],
        check=False,
        capture_output=True,
        text=True,
        timeout=_INSTALL_S,
    )
    return done.stderr or "pip failed without a word" if done.returncode else ""


def check(python: Path, server: str, target: str, model: str, version: str) -> None:
    """Run all commands.

    Raises:
        SystemExit: one of them does something else than it should.
    """
    with tempfile.TemporaryDirectory() as folder:
        requests, answer = Path(folder) / "requests.json", Path(folder) / "answer.json"
        requests.write_text(json.dumps([{"genres": ["ambient"], "num_samples": 2, "seed": 7}]))
        for step in steps(model, version, requests, answer):
            done = subprocess.run(  # noqa: S603 - MLflow itself
                [str(python), "-m", "mlflow", "deployments", *step.arguments, "-t", f"torchserve:/{target}"],
                check=False,
                capture_output=True,
                text=True,
                timeout=_COMMAND_S,
                env={**os.environ, "MLFLOW_TRACKING_URI": server, "MLFLOW_DISABLE_TELEMETRY": "true"},
                cwd=folder,
            )
            said = done.stdout + done.stderr
            if bool(done.returncode) != step.fails or step.prints not in said:
                sys.exit(f"{' '.join(step.arguments)}: ended with {done.returncode}, without {step.prints!r}\n{said}")
        if len(json.loads(answer.read_text())["predictions"]) != 2:
            sys.exit(f"predict: two samples were asked for, got {answer.read_text()}")


def _run(python: Path, *arguments: str, timeout_s: float) -> str:
    done = subprocess.run(  # noqa: S603 - our own interpreters
        [str(python), *arguments], check=False, capture_output=True, text=True, timeout=timeout_s, cwd=ROOT.parent
    )
    if done.returncode:
        sys.exit(f"{' '.join(arguments)}: {done.stderr[-1000:]}")
    return done.stdout.strip()


def main(arguments: Sequence[str] | None = None) -> None:
    """Check each release, and print a line for it."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("server", help="address of the tracking server")
    parser.add_argument("target", help="address of the gateway")
    parser.add_argument("model", help="registered model with a champion")
    parser.add_argument("releases", nargs="+", help="releases of MLflow, such as 3.14, or paths of interpreters")
    parser.add_argument("--version", default="2", help="version that is not the champion")
    given = parser.parse_args(arguments)
    with tempfile.TemporaryDirectory(prefix="mlflow-versions-") as folder:
        for number, release in enumerate(given.releases):
            python = python_of(release, Path(folder) / str(number))
            found, skinny = _run(python, "-c", _VERSIONS, timeout_s=_COMMAND_S).split()
            check(python, given.server, given.target, given.model, given.version)
            beside = "" if skinny == found else f" (beside mlflow-skinny {skinny})"
            sys.stdout.write(f"MLflow {found}{beside}: all commands do what they should\n")
            sys.stdout.flush()


if __name__ == "__main__":
    main()
