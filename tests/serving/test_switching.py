"""Twenty changes of traffic under full load: no request fails, and a unit moves only where its range did."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from handlers.contract import BATCHES_CONTRACT, FIRST_CONTRACT
from serving.client import CommentaryClient
from serving.registry.client import Registry
from serving.traffic.exposures import Role
from serving.traffic.policy import AssignedBy, TrafficPolicy
from serving.traffic.ramp import Ramp
from serving.traffic.reading import ExposureFiles
from serving.traffic.splits import policy_after, ramp_changes, shadow_changes, split_changes
from tests.serving.support import (
    ONE_ATTEMPT,
    EchoRegistry,
    ServiceProcess,
    running_service,
    unit_load,
    wait_until,
)

pytestmark = pytest.mark.integration

MODEL = "twenty"


@dataclass
class Control:
    """Changes of the registry, and the policy that follows from it now."""

    registry: Registry
    client: CommentaryClient
    policies: dict[str, TrafficPolicy] = field(default_factory=dict)
    """Policies that held so far, by their revisions; not those between two steps of a ramp."""

    def note_policy(self) -> None:
        # Read once: a ramp may take a step between two readings.
        policy = self.policy
        self.policies[policy.revision] = policy

    @property
    def policy(self) -> TrafficPolicy:
        return policy_after(MODEL, self.registry.versions(MODEL), (), time.time())

    def split(self, **weights: float) -> None:
        versions = self.registry.versions(MODEL)
        named = {name.removeprefix("v"): weight for name, weight in weights.items()}
        self.registry.write_tags(MODEL, split_changes(MODEL, versions, named, salt=None, now=time.time()))

    def ramp(self, version: str, last: float) -> None:
        versions, now = self.registry.versions(MODEL), time.time()
        ramp = Ramp(first=10, last=last, step=10, every_s=1, start_s=int(now))
        self.registry.write_tags(MODEL, ramp_changes(MODEL, versions, version, ramp, now=now))

    def shadow(self, version: str, *, on: bool) -> None:
        versions = self.registry.versions(MODEL)
        self.registry.write_tags(MODEL, shadow_changes(MODEL, versions, version, on=on, now=time.time()))

    def wait(self) -> None:
        """Wait until the gateway deals requests out as the registry says, all of its versions live."""

        def follows() -> bool:
            (model,) = self.client.describe(MODEL)
            wanted = self.policy
            live = {version.version for version in model.versions}
            return model.policy_revision == wanted.revision and {arm.version for arm in wanted.arms} <= live

        wait_until(follows, timeout_s=60)


@pytest.fixture(scope="module")
def service(registry: EchoRegistry, tmp_path_factory: pytest.TempPathFactory) -> Iterator[ServiceProcess]:
    # The first version is of before the gateway formed batches, the others are not.
    for contract in (FIRST_CONTRACT, BATCHES_CONTRACT, BATCHES_CONTRACT):
        registry.register(MODEL, contract=contract)
    registry.alias(MODEL, "champion", "1")
    folder = tmp_path_factory.mktemp("twenty")
    with running_service(registry.uri, folder, [MODEL]) as running:
        yield running


def changes(control: Control) -> list[Callable[[], object]]:
    """Weights, promotions, rollbacks, a ramp and a shadow: twenty changes."""
    registry = control.registry
    return [
        lambda: control.split(v1=80, v2=20),
        lambda: control.split(v1=50, v2=50),
        lambda: control.shadow("3", on=True),
        lambda: control.split(v1=70, v2=30),
        lambda: registry.promote(MODEL, "2"),
        lambda: registry.rollback(MODEL),
        lambda: control.ramp("2", 30),
        lambda: control.split(v1=20, v2=80),
        lambda: control.shadow("3", on=False),
        lambda: control.split(v1=40, v2=30, v3=30),
        lambda: control.split(v1=10, v2=45, v3=45),
        lambda: registry.promote(MODEL, "3"),
        lambda: control.split(v3=50, v1=50),
        lambda: registry.rollback(MODEL),
        lambda: control.split(v1=1, v2=99),
        lambda: control.shadow("3", on=True),
        lambda: registry.promote(MODEL, "2"),
        lambda: registry.promote(MODEL, "1"),
        lambda: registry.rollback(MODEL),
        lambda: control.split(v1=50, v2=50),
    ]


def test_twenty_changes_under_full_load_fail_no_request_and_move_only_the_units_whose_range_moved(
    service: ServiceProcess, registry: EchoRegistry
) -> None:
    with CommentaryClient(service.target, model=MODEL, retry=ONE_ATTEMPT) as client:
        control = Control(Registry(registry.uri), client)
        with unit_load(service.target, MODEL) as load:
            for change in changes(control):
                control.note_policy()
                change()
                control.wait()
                control.note_policy()
                time.sleep(0.3)
    assert load.failures == []
    assert all(load.answered.values())
    _check_arms(service.folder / "exposures", control.policies, load.num_answers)


def _check_arms(folder: Path, policies: dict[str, TrafficPolicy], num_answers: int) -> None:
    """Each answer has a row, and its version is the one that the policy of its row gives to its unit."""
    rows = [row for row in ExposureFiles(folders=[folder]) if row.role is Role.ANSWER]
    assert len(rows) == num_answers
    dealt = [row for row in rows if row.policy_revision in policies and row.assigned_by is AssignedBy.UNIT]
    assert len(dealt) > len(rows) / 4
    for row in dealt:
        assignment = policies[row.policy_revision].assign(row.unit, lambda: 0.0)
        assert assignment is not None
        assert assignment.version == row.version
