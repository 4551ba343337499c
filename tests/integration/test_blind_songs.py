"""An interleaved experiment from the post to the evidence: the real service, the bot, its sheet and its studio."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest
from typer.testing import CliRunner

from bot.adapters.sqlite.store import SqliteStore
from bot.bootstrap import build as bootstrap
from bot.entrypoints.queue_cli import app_queue
from bot.sandbox.server import SandboxServer
from bot.sections import SheetSettings
from bot.settings import BotSettings
from bot.studio.server import local_parts, running
from experiments.collecting import collect
from experiments.definition import Experiment
from serving.client import CommentaryClient
from serving.registry.versions import EXPERIMENT_TAG
from serving.traffic.experiment import ExperimentDesign
from serving.traffic.reading import ExposureFiles
from tests.bot.helpers.sheets_board import fields_of
from tests.bot.helpers.studio_world import Client
from tests.serving.support import EchoRegistry, ServiceProcess, running_service, wait_until

pytestmark = [pytest.mark.integration, pytest.mark.timeout(240)]

MODEL = "judged"
MARK = "autumn design=interleaved since=2026-11-30T06:00:00Z"
SONGS = 6


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ServiceProcess]:
    """The service with two versions in an experiment; each text names its version."""
    registry = EchoRegistry.on_sqlite(tmp_path_factory.mktemp("registry"))
    for _ in range(2):
        registry.client.set_model_version_tag(MODEL, registry.register(MODEL, signs=True), EXPERIMENT_TAG, MARK)
    registry.alias(MODEL, "champion", "1")
    with running_service(registry.uri, tmp_path_factory.mktemp("service"), [MODEL]) as process:
        wait_until(lambda: arms_of(process) == {"1", "2"})
        yield process


def arms_of(service: ServiceProcess) -> set[str]:
    with CommentaryClient(service.target) as client:
        (model,) = client.describe(MODEL)
    return {each.version for each in model.versions if each.arm}


@pytest.fixture
def settings(service: ServiceProcess, sandbox: SandboxServer, tmp_path: Path) -> BotSettings:
    """Settings of a bot that reads six posts and shows its candidates on the sandbox's sheet."""
    google = sandbox.settings.google
    (tmp_path / "key.json").write_text(json.dumps(google.service_account))
    posts = [{"id": f"p{number}", "text": f"Listen to Ona Vell’s “Song {number}”"} for number in range(SONGS)]
    (tmp_path / "feed.jsonl").write_text("".join(json.dumps(post) + "\n" for post in posts), encoding="utf-8")
    (tmp_path / "artists.jsonl").write_text(json.dumps({"artist": "Ona Vell", "genres": ["pop"]}) + "\n")
    return BotSettings(
        workspace=tmp_path / "workspace",
        feed=tmp_path / "feed.jsonl",
        catalog=tmp_path / "artists.jsonl",
        target=service.target,
        model=MODEL,
        num_samples=4,
        sheet=SheetSettings(
            credentials=tmp_path / "key.json",
            spreadsheet=google.spreadsheet_id,
            worksheet="queue",
            base_url=sandbox.settings.url,
        ),
    )


@pytest.fixture
def sandbox() -> Iterator[SandboxServer]:
    with SandboxServer(enforce_limits=False) as server:
        yield server


def tick(settings: BotSettings) -> None:
    with bootstrap.build(settings) as bot:
        summary = bot.tick()
    assert (summary.problems, summary.outage) == ([], "")


def shown(settings: BotSettings, sandbox: SandboxServer) -> str:
    """Everything that a curator may see of the queue."""
    pages = []
    with local_parts(settings, who="ana") as parts, running(parts, port=0) as address:
        studio = Client(address)
        pages = [studio.get(path).text for path in ("/", "/?status=all", "/models", "/posted")]
    workspace = ("--workspace", str(settings.workspace))
    for command in (("list",), ("list", "--json"), ("export",), ("show", "p0.1.1", "p0.1.2")):
        pages.append(CliRunner(env={"COLUMNS": "200"}).invoke(app_queue, [*command, *workspace]).output)
    return "\n".join([*pages, json.dumps(sandbox.control.sheet("queue"))])


def test_both_versions_of_a_song_are_judged_blind_and_the_evidence_knows_them(
    service: ServiceProcess, settings: BotSettings, sandbox: SandboxServer
) -> None:
    began = datetime.now(UTC)
    tick(settings)
    with SqliteStore(settings.database) as store:
        candidates = [row.candidate for row in store.rows()]
    assert Counter(each.model_version for each in candidates) == {"1": 2 * SONGS, "2": 2 * SONGS}
    # The worker wrote its version into the text: each candidate has the version that wrote it.
    assert all(f" by {each.model_version} from " in each.sample.text for each in candidates)
    telling = {each.archive_sha256[:12] for each in candidates} | {each.exposure_id for each in candidates}
    assert len(telling) == 2 + 2 * SONGS
    page = shown(settings, sandbox)
    assert [secret for secret in telling if secret in page] == []
    assert {row["variant"] for row in fields_of(sandbox)} == {""}

    for candidate in candidates[: 4 * 3 + 2]:  # three songs, and half of the fourth
        sandbox.control.edit("queue", candidate.id, "status", "accepted" if candidate.number % 2 else "rejected")
    tick(settings)
    tick(settings)
    variants = {row["candidate_id"]: row.get("variant", "") for row in fields_of(sandbox)}
    assert [variants[each.id] for each in candidates] == [
        *(f"{MODEL} {each.model_version}" for each in candidates[:12]),
        *[""] * (len(candidates) - 12),
    ]

    experiment = Experiment(
        name="autumn", model=MODEL, control="1", treatments=("2",), design=ExperimentDesign.INTERLEAVED, started=began
    )
    with SqliteStore(settings.database) as store:
        rows = list(ExposureFiles(folders=[service.folder / "exposures"]))
        evidence = collect(experiment, store, rows)
    assert [song.is_whole for song in evidence.songs] == [True] * 3 + [False] * (SONGS - 3)
    exposed = {row.id: row.version for row in rows}
    for song in evidence.songs:
        assert song.versions == {"1", "2"}
        assert {exposed[sample.exposure_id] for sample in song.samples} == {"1", "2"}
        assert all(exposed[sample.exposure_id] == sample.version for sample in song.samples)
