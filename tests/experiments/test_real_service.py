"""Experiments on the real gateway and the bot's store: up to a promotion, and to versions that are taken off."""

from __future__ import annotations

import json
import random
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from typer.testing import CliRunner

from bot.bootstrap.build import build, open_store
from bot.domain.candidates import CandidateStatus, Decision, Verdict
from bot.settings import load
from experiments.cli import app_experiment
from experiments.definition import Experiment
from experiments.registry import ExperimentRegistry
from experiments.sources import Sources
from experiments.watching import Watcher
from serving.client import CommentaryClient
from serving.registry.client import Registry
from serving.traffic.exposures import Exposure, Role
from serving.traffic.reading import ExposureFiles
from tests.serving.support import EchoRegistry, ServiceProcess, ask, running_service

pytestmark = [pytest.mark.integration, pytest.mark.timeout(900)]

MODEL = "lcgan"
TASTE = {"1": 0.3, "2": 0.8}
"""Share of each version's samples that the simulated curator accepts."""


@dataclass
class Place:
    """The running service with its registry, and the workspace of the bot."""

    registry: EchoRegistry
    service: ServiceProcess

    @property
    def workspace(self) -> Path:
        return self.service.folder

    @property
    def exposures(self) -> list[Exposure]:
        return list(ExposureFiles(folders=[self.workspace / "exposures"]))

    @property
    def experiments(self) -> ExperimentRegistry:
        return ExperimentRegistry(Registry(self.registry.uri))

    def type(self, *arguments: str) -> str:
        """Type a command of `deephypebot experiment`."""
        options = ["--workspace", str(self.workspace)]
        if arguments[0] != "verdicts":
            options += ["--tracking-uri", self.registry.uri]
        if arguments[0] in ("start", "stop"):
            options += ["--target", self.service.target]
        result = CliRunner(env={"COLUMNS": "300"}).invoke(app_experiment, [*arguments, *options])
        assert result.exit_code == 0, (result.output, result.exception)
        return result.stdout

    def watcher(self) -> Watcher:
        return Watcher(sources=Sources(workspace=self.workspace), tracking_uri=self.registry.uri)

    def run_bot(self, songs: range) -> None:
        """Let the bot read these songs, and write their candidates."""
        feed = self.workspace / "feed.jsonl"
        with feed.open("a", encoding="utf-8") as file:
            for number in songs:
                file.write(json.dumps({"id": str(number), "text": f'Ona Vell - "Slow Lamp {number}"'}) + "\n")
        catalog = self.workspace / "catalog.jsonl"
        catalog.write_text(json.dumps({"artist": "Ona Vell", "genres": ["dream pop"]}) + "\n", encoding="utf-8")
        settings = load(
            workspace=self.workspace, feed=feed, catalog=catalog, target=self.service.target, model=MODEL, num_samples=4
        )
        with build(settings) as bot:
            assert not bot.tick().problems

    def curate(self, generator: random.Random) -> None:
        """Judge all that waits, by the taste of the simulated curator, who sees the texts alone."""
        with open_store(self.workspace) as store:
            waiting = list(store.rows(status=CandidateStatus.WAITING))
            assert all(row.candidate.variant == "" for row in waiting), "waiting candidates tell no version"
            store.decide(
                Verdict(
                    candidate_id=row.candidate.id,
                    decision=Decision.ACCEPT if _is_liked(row.candidate.sample.text, generator) else Decision.REJECT,
                    who="ann",
                )
                for row in waiting
            )


def _is_liked(text: str, generator: random.Random) -> bool:
    """Whether the curator accepts a text; these name the version in words that only this curator understands."""
    version = text.partition(" by ")[2].partition(" ")[0]
    return generator.random() < TASTE[version]


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Place]:
    """The service with four versions: the champion, a better one, one that fails every fifth time, a slow one."""
    registry = EchoRegistry.on_sqlite(tmp_path_factory.mktemp("registry"))
    for fails_every, slow_s in ((0, 0.03), (0, 0.03), (5, 0.03), (0, 0.09)):
        registry.register(MODEL, signs=True, fails_every=fails_every, slow_s=slow_s)
    registry.alias(MODEL, "champion", "1")
    with running_service(registry.uri, tmp_path_factory.mktemp("service"), [MODEL]) as service:
        yield Place(registry=registry, service=service)


def ask_songs(place: Place, songs: range, name: str) -> None:
    """Ask for songs as the bot does, without keeping the samples."""
    with CommentaryClient(place.service.target, model=MODEL) as client:
        for number in songs:
            client.generate_interleaved(ask(title="A song", unit=f"{name}-{number}", num_samples=4, seed=number))


@pytest.mark.parametrize(("version", "harm"), [("3", "failed requests"), ("4", "time of its answers")])
def test_a_sabotaged_version_is_off_within_200_exposures(place: Place, version: str, harm: str) -> None:
    name = f"sabotage-{version}"
    assert "follows" in place.type("start", name, "--treatment", version)
    open_store(place.workspace, create=True).close()
    watcher = place.watcher()
    asked, step = 0, 10
    while place.experiments.get(name).is_running:
        assert asked < 200, "it still has requests after 200 exposures"
        ask_songs(place, range(asked, asked + step), name)
        asked += step
        assert watcher.run_once()
    ended: Experiment = place.experiments.get(name)
    rows = Counter((row.version, row.role) for row in place.exposures if row.experiment == name)
    print(f"{name}: off after {asked} exposures: {ended.taken_off[version]}")  # noqa: T201 - the figure of the test
    assert harm in ended.taken_off[version]
    assert rows["1", Role.ANSWER] == asked
    assert rows[version, Role.ANSWER] + rows[version, Role.FAILURE] == asked
    assert place.registry.tag(MODEL, version, "traffic_experiment") == ""
    assert place.registry.tag(MODEL, version, "experiment_reason").startswith(f"{name}: lcgan/{version} was taken off")


def test_sticky_units_have_the_versions_that_their_hashes_give_under_the_experiments_own_policy(place: Place) -> None:
    assert "follows" in place.type("start", "sticky", "--treatment", "2", "--design", "sticky")
    with CommentaryClient(place.service.target, model=MODEL) as client:
        for number in range(120):
            client.generate(ask(title="A song", unit=f"sticky-{number % 60}"))
            client.generate(ask(title="A song", unit=f"sticky-{number % 60}"), version="2")
    open_store(place.workspace, create=True).close()
    evidence = Sources(workspace=place.workspace).evidence(place.experiments.get("sticky"))
    assert evidence.units is not None
    assert sum(evidence.units.observed.values()) == 60
    assert min(evidence.units.observed.values()) > 15
    assert (evidence.units.mismatches, evidence.notes) == (0, ()), "the revision of the policy is known"
    assert len(evidence.calls) == 120, "pinned requests do not count"
    assert "sticky is over" in place.type("stop", "sticky")
    assert place.experiments.registry.versions(MODEL)[1].traffic == {}


def test_an_experiment_goes_from_its_start_to_a_promotion_by_itself(place: Place) -> None:
    assert "follows" in place.type("start", "story", "--treatment", "2", "--auto")
    generator = random.Random(7)
    watcher = place.watcher()
    songs = 0
    while place.experiments.get("story").is_running:
        assert songs < 200, "nothing was decided"
        place.run_bot(range(songs, songs + 10))
        songs += 10
        place.curate(generator)
        assert watcher.run_once()
    print(f"story: {songs} songs: {place.experiments.get('story').outcome}")  # noqa: T201 - the figure of the test
    assert Registry(place.registry.uri).resolve(MODEL).version == "2"
    with open_store(place.workspace) as store:
        candidates = [row.candidate for row in store.rows()]
    assert len(candidates) == 4 * songs
    assert Counter(each.model_version for each in candidates) == {"1": 2 * songs, "2": 2 * songs}
    assert {each.experiment for each in candidates} == {"story"}
    assert {each.exposure_id for each in candidates} <= {row.id for row in place.exposures}
    places = Counter((each.number, each.model_version) for each in candidates)
    assert all(places[number, version] for number in range(1, 5) for version in ("1", "2")), "the order tells nothing"
    report = json.loads((place.workspace / "experiments" / "story" / "report.json").read_text(encoding="utf-8"))
    assert (report["state"], report["songs"]["whole"]) == ("stopped", songs)
    assert [arm["calls"] for arm in report["arms"]] == [songs, songs]
    assert "lcgan/2 was promoted" in place.type("status", "story")
    assert f"{4 * songs} verdicts" in place.type("verdicts", "--out", str(place.workspace / "verdicts.jsonl"))
