"""The whole path on a tracking server with PostgreSQL and an object store: train, serve, promote, verdicts, no secrets.

`make stores` runs it. Clients speak to the server alone: they have neither a driver nor the store's keys.
"""

from __future__ import annotations

import contextlib
import itertools
import json
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import pytest
from cryptography.fernet import Fernet
from mlflow import MlflowClient
from typer.testing import CliRunner

from experiments.cli import app_experiment
from experiments.tracking.mlflow_store import logged_model_id
from serving.client import CommentaryClient
from tests.experiments.tracking.world import World, stored_verdicts, verdict
from tests.experiments.tracking_server import tracking_server
from tests.serving.support import EchoRegistry, ServiceProcess, ask, free_port, running_service, wait_until
from tests.stores.servers import BUCKET, ObjectStore, Postgres, object_store, postgres, python_of_servers, why_not
from tests.training.conftest import SampleCorpus
from tests.training.pipeline.small_training import STAGES, clean_environment, train_command

pytestmark = [pytest.mark.integration, pytest.mark.fault, pytest.mark.timeout(600)]

WEBHOOK_SECRET = "0123456789abcdef"  # noqa: S105 - of this test
WEBHOOK_S = 62
POLL_S = 120
"""Pause between two readings of the registry; within a test only a webhook brings a change earlier."""


@dataclass(kw_only=True)
class Site:
    """A tracking server and its stores, with a training's versions in it."""

    folder: Path
    database: Postgres
    objects: ObjectStore
    uri: str
    door: int
    """Port of the gateway's HTTP door, to which MLflow's webhook posts."""

    @property
    def webhook_secret(self) -> Path:
        return self.folder / "webhook.secret"

    @property
    def client(self) -> MlflowClient:
        return MlflowClient(self.uri, self.uri)

    @property
    def registry(self) -> EchoRegistry:
        experiment = self.client.get_experiment_by_name("deephypebot")
        assert experiment is not None
        return EchoRegistry(
            uri=self.uri, client=self.client, experiment_id=experiment.experiment_id, folder=self.folder / "echo"
        )

    def run(self, *words: str) -> str:
        """Run a command of the product, with a log that is looked at in the end."""
        done = subprocess.run(
            [sys.executable, "-m", "deephypebot", *words, "--tracking-uri", self.uri],
            check=False, capture_output=True, text=True, env=clean_environment(), timeout=400,
        )  # fmt: skip
        with (self.folder / "commands.log").open("a") as log:
            log.write(done.stdout + done.stderr)
        assert done.returncode == 0, done.stderr
        return done.stdout


@pytest.fixture(scope="module")
def site(sample_corpus: SampleCorpus, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    if reason := why_not():
        pytest.skip(reason)
    folder = tmp_path_factory.mktemp("stores")
    (folder / "workspace").mkdir()
    with contextlib.ExitStack() as stack:
        database = stack.enter_context(postgres())
        objects = stack.enter_context(object_store(folder))
        uri = stack.enter_context(
            tracking_server(
                folder / "workspace",
                free_port(),
                python=python_of_servers(),
                MLFLOW_BACKEND_STORE_URI=database.uri,
                MLFLOW_ARTIFACTS_DESTINATION=f"s3://{BUCKET}/artifacts",
                MLFLOW_WEBHOOK_SECRET_ENCRYPTION_KEY=Fernet.generate_key().decode(),
                MLFLOW_WEBHOOK_ALLOWED_SCHEMES="http,https",
                MLFLOW_WEBHOOK_ALLOW_PRIVATE_IPS="true",
                **objects.variables,
            )
        )
        site = Site(folder=folder, database=database, objects=objects, uri=uri, door=free_port())
        site.webhook_secret.write_text(WEBHOOK_SECRET)
        site.webhook_secret.chmod(0o600)
        # Before the training, since MLflow takes up to a minute to use a new webhook.
        address = f"http://127.0.0.1:{site.door}"
        site.run("models", "webhook", "add", address, "--webhook-secret-file", str(site.webhook_secret))
        since = time.monotonic()
        words = train_command(sample_corpus, folder)
        assert "cvae" in site.run(*words)
        time.sleep(max(0.0, WEBHOOK_S - (time.monotonic() - since)))
        yield site


@pytest.fixture(scope="module")
def service(site: Site) -> Iterator[ServiceProcess]:
    secret = ("--webhook-secret-file", str(site.webhook_secret))
    options = ("--http-port", str(site.door), *secret, "--poll", str(POLL_S))
    with running_service(site.uri, site.folder / "service", ["lcgan"], *options) as service:
        yield service


def test_a_training_is_tracked_in_the_database_and_its_archives_are_in_the_bucket(site: Site) -> None:
    experiment = site.client.get_experiment_by_name("deephypebot")
    assert experiment is not None
    runs = site.client.search_runs([experiment.experiment_id])
    assert sorted(str(run.info.run_name).partition(" ")[0] for run in runs) == sorted([*STAGES, "demo"])
    assert {str(run.info.status) for run in runs} == {"FINISHED"}
    assert {(each.name, str(each.version)) for each in site.client.search_model_versions()} == {
        ("cvae", "1"),
        ("lcgan", "1"),
    }
    assert {"lcgan_1.mar", "cvae_1.mar"} <= site.objects.names()
    assert not (site.folder / "workspace" / "mlartifacts").exists(), "nothing went to a folder instead"
    assert not (site.folder / "workspace" / "mlflow.db").exists()


def test_an_archive_of_the_bucket_is_the_one_that_was_packed(site: Site) -> None:
    site.run("archive", "lcgan/1", "--out", str(site.folder / "fetched"), "--workspace", str(site.folder / "other"))
    fetched, packed = site.folder / "fetched" / "lcgan_1.mar", site.folder / "store" / "lcgan_1.mar"
    assert fetched.read_bytes() == packed.read_bytes()


def answers(client: CommentaryClient, version: str) -> bool:
    return client.generate(ask(seed=7)).model.version == version


def test_a_webhook_brings_a_promotion_and_a_rollback_to_a_service_long_before_its_poll(
    site: Site, service: ServiceProcess
) -> None:
    second = site.registry.register("lcgan")
    with CommentaryClient(service.target, model="lcgan") as client:
        assert client.generate(ask(seed=7)).model.version == "1"
        took = []
        for words, version in ((("promote", f"lcgan/{second}"), second), (("rollback", "lcgan"), "1")):
            site.run("models", *words)
            began = time.monotonic()
            wait_until(partial(answers, client, version), timeout_s=90)
            took.append(time.monotonic() - began)
    assert max(took) < POLL_S / 2
    assert "lcgan" in site.run("models", "list")


def test_verdicts_reach_the_database_once_and_can_be_searched_there(site: Site) -> None:
    version = site.client.get_model_version("lcgan", "1")
    model_id = logged_model_id(version.model_id, version.source)
    assert model_id
    folder = site.folder / "bot"
    folder.mkdir()
    world = World(folder=folder, uri=site.uri, model_ids={"1": model_id}, seconds=itertools.count())
    songs = world.add_songs([["1"]] * 6)
    world.decide(*(verdict(each, number > 1) for number, (each,) in enumerate(songs)))
    for expected in ("6 songs with verdicts are in MLflow now", "every verdict is in MLflow already"):
        done = CliRunner().invoke(
            app_experiment, ["sync", "--workspace", str(folder), "--tracking-uri", site.uri], catch_exceptions=False
        )
        assert done.exit_code == 0, done.output
        assert expected in " ".join(done.output.split())
    assert world.feedback() == stored_verdicts(world.store_path)
    experiment = site.client.get_experiment_by_name("deephypebot")
    assert experiment is not None
    # The searches of docs/guides/mlflow.md, which MLflow turns into SQL of the database.
    best = site.client.search_logged_models(
        [experiment.experiment_id],
        filter_string="metrics.`verdicts.judged` >= 5",
        order_by=[{"field_name": "metrics.verdicts.acceptance", "ascending": False}],
    )
    assert [each.model_id for each in best] == [model_id]
    rejected = site.client.search_traces(
        locations=[experiment.experiment_id],
        filter_string="feedback.accepted = 'false' AND tags.`deephypebot.version` = 'lcgan/1'",
        max_results=200,
    )
    assert len(rejected) == 2


def test_an_unchanged_training_finds_its_versions_again(site: Site, sample_corpus: SampleCorpus) -> None:
    report = site.folder / "again.json"
    site.run(*train_command(sample_corpus, site.folder, f"--json={report}"))
    assert {(each["model"], str(each["version"])) for each in json.loads(report.read_text())["versions"]} == {
        ("cvae", "1"),
        ("lcgan", "1"),
    }


def test_no_log_and_no_command_line_has_a_secret(site: Site, service: ServiceProcess) -> None:
    secrets = {"password": site.database.password, "key": site.objects.secret_key, "webhook": WEBHOOK_SECRET}
    logs = [path for path in site.folder.rglob("*") if path.is_file() and path.suffix in {".log", ".jsonl"}]
    assert {"server.log", "commands.log", "serve.log"} <= {path.name for path in logs}
    lines = subprocess.run(["ps", "-eo", "args"], check=True, capture_output=True, text=True).stdout
    for name, secret in secrets.items():
        for path in logs:
            assert secret not in path.read_text(errors="replace"), f"{path} has the {name}"
        assert secret not in lines, f"a command line has the {name}"
    assert service.process.poll() is None
