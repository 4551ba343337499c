"""Folder of a demo, and runs of its commands."""

from __future__ import annotations

import os
import subprocess
import sys
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import psutil
import pytest
from prometheus_client.parser import text_string_to_metric_families

from handlers.contract import COMPILED_VARIABLE
from tests.serving.support import ServiceProcess, running_service
from training.sample import CATALOG_FILE, FEED_FILE, POSTS_FILE, make_sample, write_sample

DEMO_TIMEOUT_S = 900


@dataclass(frozen=True, kw_only=True)
class Place:
    """Folder of a demo, with posts, workspace and model store."""

    root: Path

    @property
    def workspace(self) -> Path:
        return self.root / "workspace"

    @property
    def model_store(self) -> Path:
        return self.root / "model_store"

    @property
    def options(self) -> list[str]:
        return ["--workspace", str(self.workspace), "--model-store", str(self.model_store)]

    @property
    def tracking_uri(self) -> str:
        return f"sqlite:///{self.workspace}/mlflow.db"

    def write_posts(self, num_posts: int) -> None:
        write_sample(make_sample(seed=11, num_posts=num_posts), self.root)

    def demo_arguments(self) -> list[str]:
        files = ["--posts", str(self.root / POSTS_FILE), "--catalog", str(self.root / CATALOG_FILE)]
        return ["demo", *files, "--feed", str(self.root / FEED_FILE), "--preset", "demo", *self.options]

    def processes(self) -> list[psutil.Process]:
        """Every process alive that names this place in its command line, or works below it."""
        return [process for process in psutil.process_iter() if self._owns(process)]

    def half_written(self) -> list[Path]:
        """Temporary siblings that an atomic writing left behind; a corpus under way stays, to be gone on with."""
        found = (path for path in self.root.rglob(".*") if "mlartifacts" not in path.parts)
        return [path for path in found if not path.name.endswith(".building")]

    def _owns(self, process: psutil.Process) -> bool:
        try:
            if process.pid == os.getpid() or process.status() == psutil.STATUS_ZOMBIE:
                return False
            return str(self.root) in " ".join([*process.cmdline(), process.cwd()])
        except psutil.Error:
            return False


def command(*arguments: str) -> list[str]:
    return [sys.executable, "-m", "deephypebot", *arguments]


def environment() -> dict[str, str]:
    """Ours without what would lead a command elsewhere, and wide enough for tables."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("MLFLOW_", "DEEPHYPEBOT_"))}
    decoded_by = {COMPILED_VARIABLE: os.environ[COMPILED_VARIABLE]}
    return {**kept, **decoded_by, "COLUMNS": "160", "PYTHONUNBUFFERED": "1"}


def run(*arguments: str, timeout: float = 180) -> str:
    """Run one of our commands to its good end; gives what it printed."""
    done = subprocess.run(
        command(*arguments), env=environment(), capture_output=True, text=True, timeout=timeout, check=False
    )
    if done.returncode != 0:
        pytest.fail(f"{arguments} ended with {done.returncode}:\n{done.stdout[-3000:]}\n{done.stderr[-3000:]}")
    return done.stdout


@contextmanager
def serving(place: Place, *options: str) -> Iterator[ServiceProcess]:
    """`deephypebot serve` for the length of the block; it must end well."""
    folder = place.root / "service"
    (folder / "ready.json").unlink(missing_ok=True)
    with running_service(place.tracking_uri, folder, ["lcgan", "cvae"], *options) as service:
        yield service


def scrape(url: str) -> dict[str, dict[frozenset[tuple[str, str]], float]]:
    """Values by name and labels, the host's left out."""
    with urllib.request.urlopen(url, timeout=10) as page:  # noqa: S310 - our own TorchServe's
        text = page.read().decode()
    found: dict[str, dict[frozenset[tuple[str, str]], float]] = {}
    for family in text_string_to_metric_families(text):
        for sample in family.samples:
            labels = frozenset((name, value) for name, value in sample.labels.items() if name != "Hostname")
            found.setdefault(sample.name, {})[labels] = sample.value
    return found
