"""Splits, ramps and shadows on the real service: everything is changed under load, and nothing fails."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from itertools import cycle

import pytest

from serving.client import CommentaryClient, LiveModel
from serving.registry.client import Registry
from serving.registry.versions import SYNC_ERROR_TAG
from serving.traffic.policy import TrafficPolicy
from serving.traffic.splits import policy_after
from tests.serving.support import ONE_ATTEMPT, EchoRegistry, ServiceProcess, ask, repeatedly, wait_until
from tests.serving.test_traffic_cli import invoke

pytestmark = pytest.mark.integration

MODEL = "omega"
UNITS = [f"user-{number}" for number in range(60)]


@dataclass
class UnitLoad:
    """What units that ask without pause saw."""

    last: dict[str, tuple[float, str]] = field(default_factory=dict)
    """Start of the last answered request of each unit, and the version that answered."""
    num_answers: int = 0
    failures: list[str] = field(default_factory=list)


@contextmanager
def asking_units(target: str) -> Iterator[UnitLoad]:
    load = UnitLoad()

    def step_of(units: list[str]) -> Callable[[], None]:
        waiting = cycle(units)

        def step() -> None:
            unit, started = next(waiting), time.monotonic()
            try:
                answer = client.generate(ask(unit=unit))
            except Exception as fault:  # noqa: BLE001 - whatever it is, it is a failed request
                load.failures.append(repr(fault))
            else:
                load.last[unit] = (started, answer.model.version)
                load.num_answers += 1
            time.sleep(0.002)

        return step

    steps = [step_of(UNITS[start::4]) for start in range(4)]
    with CommentaryClient(target, model=MODEL, retry=ONE_ATTEMPT, timeout_s=30) as client, repeatedly(steps):
        yield load


@dataclass
class Operator:
    """A person with the commands and MLflow's page."""

    registry: EchoRegistry
    service: ServiceProcess
    client: CommentaryClient
    load: UnitLoad
    num_changes: int = 0

    def command(self, *arguments: str) -> str:
        """Run a command of `models`, and check who answers then."""
        output = self.run(*arguments)
        self.check()
        return output

    def run(self, *arguments: str) -> str:
        """Run a command of `models`, which waits for the gateway."""
        result = invoke("models", *arguments, "--tracking-uri", self.registry.uri, "--target", self.service.target)
        assert result.exit_code == 0, result.output
        assert "gateway: " in result.stdout
        return result.stdout

    def tag(self, version: str, tag: str, value: str) -> None:
        """Set a tag in MLflow's page and wait until the gateway has followed."""
        self.registry.client.set_model_version_tag(MODEL, version, tag, value)
        wait_until(self.has_followed, timeout_s=60)
        self.check()

    def has_followed(self) -> bool:
        """Whether the gateway has the registry's policy, and all its versions are live."""
        live, wanted = self.live(), self.wanted()
        return live.policy_revision == wanted.revision and wanted.versions <= {each.version for each in live.versions}

    def wanted(self) -> TrafficPolicy:
        return policy_after(MODEL, Registry(self.registry.uri).versions(MODEL), (), time.time())

    def live(self) -> LiveModel:
        (model,) = self.client.describe(MODEL)
        return model

    def shares(self) -> dict[str, float]:
        return {each.version: round(each.share, 6) for each in self.live().versions if each.share}

    def check(self) -> None:
        """Check that each unit now has the version of the registry's policy, and that no request failed."""
        self.num_changes += 1
        since = time.monotonic()
        wait_until(lambda: all(self.load.last.get(unit, (0.0, ""))[0] > since for unit in UNITS), timeout_s=60)
        policy = self.wanted()
        expected = {unit: assigned.version for unit in UNITS if (assigned := policy.assign(unit, lambda: 0.0))}
        assert {unit: version for unit, (_, version) in self.load.last.items()} == expected
        assert self.load.failures == []


def test_twenty_changes_under_load_fail_no_request_and_each_unit_has_its_version(
    service: ServiceProcess, registry: EchoRegistry
) -> None:
    second, third = registry.register(MODEL), registry.register(MODEL)
    assert (second, third) == ("2", "3")
    with (
        CommentaryClient(service.target, model=MODEL, timeout_s=30) as client,
        asking_units(service.target) as load,
    ):
        person = Operator(registry, service, client, load)
        person.command("split", MODEL, "1=90", "2=10")
        of_ten = {unit for unit, (_, version) in load.last.items() if version == "2"}
        person.command("split", MODEL, "1=80", "2=20")
        of_twenty = {unit for unit, (_, version) in load.last.items() if version == "2"}
        assert of_ten < of_twenty
        person.command("shadow", f"{MODEL}/3")
        assert person.shares() == {"1": 0.8, "2": 0.2}
        person.command("split", MODEL, "1=1", "2=1", "3=1")
        person.command("split", MODEL, "1=50", "2=50", "--salt", "winter")
        person.command("split", MODEL, "--end")
        assert person.shares() == {"1": 1.0}
        # Nobody writes while a ramp runs. Whoever looks late may miss a step, but never finds a lower share.
        person.run("ramp", f"{MODEL}/2", "--to", "60", "--step", "20", "--every", "3s")
        seen = [0.0]
        while seen[-1] < 0.6:
            seen.append(wait_until(lambda: person.shares().get("2", 0.0)))
        assert seen == sorted(seen)
        assert set(seen) <= {0.0, 0.2, 0.4, 0.6}
        person.check()
        person.command("promote", f"{MODEL}/2")
        assert person.shares() == {"2": 1.0}
        person.command("split", MODEL, "1=30")
        assert person.shares() == {"1": 0.3, "2": 0.7}
        person.command("rollback", MODEL)
        assert person.shares() == {"1": 1.0}
        person.command("shadow", f"{MODEL}/3", "--off")

        person.tag("2", "traffic_weight", "25%")
        assert person.shares() == {"1": 0.75, "2": 0.25}
        person.tag("3", "traffic_weight", "25")
        person.tag("1", "traffic_weight", "150")
        assert person.shares() == {"1": 0.75, "2": 0.125, "3": 0.125}
        person.tag("3", "traffic_units", ",".join(UNITS[:3]))
        # A tag that makes no sense changes nothing, and is told.
        before = person.live().policy_revision
        registry.client.set_model_version_tag(MODEL, "2", "traffic_weight", "2o")
        wait_until(lambda: "'2o'" in service.log())
        assert person.live().policy_revision == before
        person.tag("2", "traffic_weight", "30")
        # An alias that is moved in MLflow's page ends no split.
        registry.alias(MODEL, "champion", "2")
        wait_until(lambda: person.live().champion == "2" and person.has_followed(), timeout_s=60)
        person.check()
        # A champion loses the weight of its own to a command.
        person.command("split", MODEL, "1=40", "3=10")
        assert person.shares() == {"1": 0.4, "2": 0.5, "3": 0.1}
        person.command("split", MODEL, "--end")
        assert person.shares() == {"2": 1.0}
        person.command("rollback", MODEL)
        assert person.shares() == {"1": 1.0}
        assert person.num_changes >= 20
    assert load.failures == []
    assert load.num_answers > 1000


def test_a_version_that_is_refused_costs_no_request_and_the_command_says_why(
    service: ServiceProcess, registry: EchoRegistry
) -> None:
    broken = registry.register(MODEL, broken=True)
    with (
        CommentaryClient(service.target, model=MODEL, timeout_s=30) as client,
        asking_units(service.target) as load,
    ):
        person = Operator(registry, service, client, load)
        before = person.shares()
        with pytest.raises(Exception, match="was refused"):
            person.command("split", MODEL, f"{broken}=40")
        assert registry.tag(MODEL, broken, SYNC_ERROR_TAG)
        since = time.monotonic()
        wait_until(lambda: all(load.last.get(unit, (0.0, ""))[0] > since for unit in UNITS))
        assert {version for _, version in load.last.values()} == {person.live().champion}
        person.command("split", MODEL, "--end")
        assert person.shares() == before
    assert load.failures == []
