"""What the tests of serving share: archives with a test handler, a real registry, and the service as a process."""

from __future__ import annotations

import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from hashlib import sha256
from itertools import cycle
from pathlib import Path
from threading import Event, Thread
from typing import TYPE_CHECKING, Any, cast

import psutil

from foundation.signatures import SigningKey
from handlers.contract import (
    ARCHIVE_SHA256_TAG,
    ARCHIVE_SIGNATURE_TAG,
    ARCHIVE_TAG,
    CommentaryRequest,
    archive_name,
)
from serving.client import CommentaryClient, RetryPolicy
from tests.threads import running
from training.worker_code import WORKER_PACKAGES

if TYPE_CHECKING:
    from mlflow.tracking import MlflowClient

HANDLER = Path(__file__).with_name("echo_handler.py")
SERVE = "import typer; from serving.cli import serve; typer.run(serve)"
ONE_ATTEMPT = RetryPolicy(max_attempts=1)
PLANTED = {
    "MLFLOW_TRACKING_PASSWORD": "planted-password-1",
    "DEEPHYPEBOT_WEBHOOK_SECRET": "planted-secret-of-webhooks",
    "AWS_SECRET_ACCESS_KEY": "planted-key-2",
    "SOME_API_TOKEN": "planted-token-3",
}
"""Secrets in the environment of every service that tests start; none of them may be seen anywhere else."""


def ask(**values: Any) -> CommentaryRequest:
    return CommentaryRequest.from_mapping({"genres": ("dream pop",), "num_samples": 1, **values})


def build_archive(
    out: Path,
    model: str,
    version: str,
    *,
    batch_size: int = 8,
    response_timeout_s: int = 120,
    **config: Any,
) -> Path:
    """A real archive whose worker is `echo_handler.py`; `reference` is the text of its reference.json."""
    reference = config.pop("reference", "")
    out.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as scratch:
        staged = Path(scratch, "files")
        ignore = shutil.ignore_patterns("__pycache__")
        for package in WORKER_PACKAGES:
            shutil.copytree(package, staged / package.name, ignore=ignore)
        document = {"model": model, "version": version, "topics": ["sound", "news"], "desired_topic": "sound"}
        (staged / "config.json").write_text(json.dumps({**document, "num_genres": 12, **config}))
        if reference:
            (staged / "reference.json").write_text(reference)
        yaml = Path(scratch, "model-config.yaml")
        yaml.write_text(
            f"minWorkers: 1\nmaxWorkers: 1\nbatchSize: {batch_size}\nmaxBatchDelay: 5\n"
            f"responseTimeout: {response_timeout_s}\n"
        )
        subprocess.run(
            [
                str(Path(sys.executable).with_name("torch-model-archiver")),
                *("--model-name", model, "--version", version, "--handler", str(HANDLER)),
                *("--extra-files", str(staged), "--config-file", str(yaml), "--export-path", scratch),
            ],
            check=True,
            env={**os.environ, "TMPDIR": scratch},  # it deletes TMPDIR/<model name>
        )
        return Path(shutil.move(Path(scratch, f"{model}.mar"), out / f"{model}_{version}.mar"))


@dataclass
class EchoRegistry:
    """A registry as training fills it, on SQLite and a folder."""

    uri: str
    client: MlflowClient = field(repr=False)
    experiment_id: str
    folder: Path
    signing_key: SigningKey | None = None
    """Key that signs every version that does not say otherwise; None signs none."""

    @classmethod
    def on_sqlite(cls, folder: Path, *, signing_key: SigningKey | None = None) -> EchoRegistry:
        """Make an empty registry in a folder; the first one of a process takes seconds."""
        os.environ.setdefault("MLFLOW_DISABLE_TELEMETRY", "true")
        from mlflow.tracking import MlflowClient

        uri = f"sqlite:///{folder / 'mlflow.db'}"
        client = MlflowClient(tracking_uri=uri, registry_uri=uri)
        experiment_id = client.create_experiment("serving", artifact_location=(folder / "artifacts").as_uri())
        return cls(uri=uri, client=client, experiment_id=experiment_id, folder=folder, signing_key=signing_key)

    def register(
        self,
        model: str,
        *,
        damage: Callable[[Path], None] = lambda _: None,
        prepare: Callable[[Path], None] = lambda _: None,
        digest: str | None = None,
        signed: bool = True,
        build: Callable[..., Path] = build_archive,
        **config: Any,
    ) -> str:
        """Register one more version; `prepare` changes its archive before the hash is taken, and `damage` after it."""
        if not self.client.search_registered_models(f"name = '{model}'"):
            self.client.create_registered_model(model)
        run_id = self.client.create_run(self.experiment_id).info.run_id
        version = str(self.client.create_model_version(model, source=f"runs:/{run_id}/model", run_id=run_id).version)
        archive = build(self.folder / "built", model, version, **config)
        prepare(archive)
        digest = digest or sha256(archive.read_bytes()).hexdigest()
        damage(archive)
        self.client.log_artifact(run_id, str(archive), "archives")
        self.client.set_model_version_tag(model, version, ARCHIVE_TAG, f"archives/{archive.name}")
        self.client.set_model_version_tag(model, version, ARCHIVE_SHA256_TAG, digest)
        if signed:
            self.sign(model, version, digest)
        return version

    def sign(self, model: str, version: str, digest: str) -> None:
        if self.signing_key is not None:
            signature = self.signing_key.sign(archive_name(model, version), digest)
            self.client.set_model_version_tag(model, version, ARCHIVE_SIGNATURE_TAG, signature)

    def alias(self, model: str, alias: str, version: str) -> None:
        self.client.set_registered_model_alias(model, alias, version)

    def tag(self, model: str, version: str, key: str) -> str:
        return str(self.client.get_model_version(model, version).tags.get(key, ""))


@dataclass
class ServiceProcess:
    """`deephypebot serve` as a process of its own."""

    process: subprocess.Popen[bytes]
    folder: Path
    ready: dict[str, Any]

    @property
    def target(self) -> str:
        return str(self.ready["target"])

    @property
    def jvm(self) -> psutil.Process:
        """TorchServe's JVM as it is now: the guard's only child that runs Java; awaited while it is replaced."""
        return cast("psutil.Process", wait_until(self._find_jvm))

    def _find_jvm(self) -> psutil.Process | None:
        for child in psutil.Process(self.process.pid).children(recursive=True):
            with suppress(psutil.Error):
                if Path(child.exe()).name == "java":
                    return child
        return None

    def workers(self, model: str = "") -> list[psutil.Process]:
        """The processes of workers, of one model or of all: each works in the folder of its unpacked archive."""
        found = []
        for child in psutil.Process(self.process.pid).children(recursive=True):
            with suppress(psutil.Error, OSError):  # it has just ended, or is not a worker
                if f'"modelName": "{model}' in Path(child.cwd(), "MAR-INF", "MANIFEST.json").read_text():
                    found.append(child)
        return found

    def family(self) -> list[psutil.Process]:
        """The service and everything below it."""
        parent = psutil.Process(self.process.pid)
        return [parent, *parent.children(recursive=True)]

    def log(self) -> str:
        return (self.folder / "serve.log").read_text()

    def stop(self, number: signal.Signals = signal.SIGTERM, timeout_s: float = 20) -> int:
        self.process.send_signal(number)
        return self.process.wait(timeout_s)


def launch_service(
    registry_uri: str,
    folder: Path,
    models: Iterable[str],
    *options: str,
    new_session: bool = False,
    temporary: Path | None = None,
    through: Sequence[str] = (),
) -> subprocess.Popen[bytes]:
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / "serve.log").open("wb") as log:
        return subprocess.Popen(
            [
                *through,  # programs that start others, as in a network of their own
                *(
                    sys.executable,
                    "-c",
                    SERVE,
                    "--port",
                    "0",
                    "--poll",
                    "0.3",
                    "--grace",
                    "2",
                    "--models",
                    ",".join(models),
                ),
                *("--tracking-uri", registry_uri, "--workspace", str(folder), "--model-store", str(folder / "store")),
                # A test runner that crashes must not leave a server behind. A second worker would take time to start.
                *("--ready-file", str(folder / "ready.json"), "--stop-with-parent", "--workers", "1", *options),
            ],
            stdout=log,
            stderr=log,
            env={**os.environ, **PLANTED, "TMPDIR": str(temporary or folder)},
            start_new_session=new_session,
        )


def wait_ready(process: subprocess.Popen[bytes], folder: Path, timeout_s: float = 120) -> ServiceProcess:
    path = folder / "ready.json"
    wait_until(lambda: path.exists() or process.poll() is not None, timeout_s=timeout_s)
    assert path.exists(), (folder / "serve.log").read_text()
    return ServiceProcess(process=process, folder=folder, ready=json.loads(path.read_text()))


@contextmanager
def running_service(
    registry_uri: str, folder: Path, models: Iterable[str], *options: str, timeout_s: float = 120
) -> Iterator[ServiceProcess]:
    """The service for the length of the block; it must end well, and leave no process."""
    process = launch_service(registry_uri, folder, models, *options)
    try:
        service = wait_ready(process, folder, timeout_s=timeout_s)
        family = service.family()
        yield service
        assert service.stop() == 0, service.log()
        assert_gone(family)
    finally:
        process.kill()
        process.wait()


def wait_until(condition: Callable[[], Any], *, timeout_s: float = 30) -> Any:
    deadline = time.monotonic() + timeout_s
    while not (value := condition()):
        assert time.monotonic() < deadline, "it did not happen in time"
        time.sleep(0.05)
    return value


def assert_gone(processes: Iterable[psutil.Process], *, timeout_s: float = 10) -> None:
    _, alive = psutil.wait_procs(list(processes), timeout=timeout_s)
    assert not alive


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@contextmanager
def repeatedly(steps: Iterable[Callable[[], None]]) -> Iterator[None]:
    """Repeat each step in a thread of its own for as long as the block runs."""
    done = Event()

    def repeat(step: Callable[[], None]) -> None:
        while not done.is_set():
            step()

    with running([Thread(target=repeat, args=(step,)) for step in steps], done):
        yield


@dataclass
class Load:
    """What a steady load saw."""

    answered: dict[str, int] = field(default_factory=dict)
    """Requests by the version that answered."""
    failures: list[str] = field(default_factory=list)
    slowest_s: float = 0.0


@contextmanager
def steady_load(target: str, model: str, *, version: str | None = None, num_threads: int = 4) -> Iterator[Load]:
    """Ask without pause and without retries for as long as the block runs."""
    load = Load()

    def step() -> None:
        started = time.monotonic()
        try:
            answer = client.generate(ask(title="load"), version=version)
        except Exception as fault:  # noqa: BLE001 - whatever it is, it is a failed request
            load.failures.append(repr(fault))
        else:
            answered = answer.model.version
            load.answered[answered] = load.answered.get(answered, 0) + 1
        load.slowest_s = max(load.slowest_s, time.monotonic() - started)
        time.sleep(0.005)

    with CommentaryClient(target, model=model, retry=ONE_ATTEMPT) as client, repeatedly([step] * num_threads):
        yield load


@dataclass
class UnitLoad:
    """What a load of units saw."""

    failures: list[str] = field(default_factory=list)
    answered: dict[str, list[str]] = field(default_factory=dict)
    """Versions that answered each unit, in the order of the answers."""

    @property
    def num_answers(self) -> int:
        return sum(map(len, self.answered.values()))


@contextmanager
def unit_load(
    target: str, model: str, *, num_units: int = 40, num_threads: int = 4, pause_s: float = 0.0
) -> Iterator[UnitLoad]:
    """Ask for one unit after the other, without retries, for as long as the block runs; a unit has one thread."""
    load = UnitLoad(answered={f"unit-{number}": [] for number in range(num_units)})
    units = list(load.answered)

    def step_of(waiting: Iterator[str]) -> Callable[[], None]:
        def step() -> None:
            unit = next(waiting)
            try:
                answer = client.generate(ask(title="load", unit=unit), timeout_s=20)
            except Exception as fault:  # noqa: BLE001 - whatever it is, it is a failed request
                load.failures.append(repr(fault))
            else:
                load.answered[unit].append(answer.model.version)
            time.sleep(pause_s)

        return step

    steps = [step_of(cycle(units[number::num_threads])) for number in range(num_threads)]
    with CommentaryClient(target, model=model, retry=ONE_ATTEMPT) as client, repeatedly(steps):
        yield load
