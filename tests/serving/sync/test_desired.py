from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from serving.errors import PolicyError
from serving.registry.versions import ModelSnapshot, RegisteredVersion
from serving.sync.desired import Desired, next_desired
from serving.sync.planning import Attempts, Drain, Live, Load, Switch, plan

GRACE_S = 15.0
EMPTY = ModelSnapshot(model="lcgan", versions=(), registered=False)


def version(number: str, *aliases: str, sha256: str = "", **traffic: str) -> RegisteredVersion:
    return RegisteredVersion(
        model="lcgan",
        version=number,
        aliases=aliases,
        run_id="",
        archive_path="",
        archive_sha256=sha256 or number * 4,
        sync_error="",
        traffic=traffic,
    )


def reading(*versions: RegisteredVersion, existing: str = "", **values: Any) -> ModelSnapshot:
    found = frozenset(existing) | {entry.version for entry in versions}
    return ModelSnapshot(model="lcgan", versions=versions, existing=found, **values)


def check(champion: str | None, versions: tuple[RegisteredVersion, ...]) -> None:
    for entry in versions:
        if entry.traffic.get("traffic_weight") == "x" and entry.version != champion:
            raise PolicyError(f"{entry.name} has the weight x", version=entry.version)


@dataclass
class Model:
    """A model whose loads succeed at once, unless the version is bad."""

    desired: Desired = field(default_factory=lambda: Desired(model="lcgan"))
    live: Live = field(default_factory=lambda: Live(champion=None, versions=frozenset()))
    bad: frozenset[str] = frozenset()
    now_s: float = 100.0
    drained: list[str] = field(default_factory=list)

    def read(self, snapshot: ModelSnapshot, after_s: float = 1.0) -> Desired:
        self.now_s += after_s
        self.desired = next_desired(self.desired, snapshot, self.live, check=check, now_s=self.now_s, grace_s=GRACE_S)
        self.settle()
        return self.desired

    def settle(self) -> None:
        while actions := plan(
            self.desired.wanted,
            self.live,
            attempts=Attempts(refused=self.bad),
            released=self.desired.released(self.now_s, GRACE_S),
        ):
            match actions[0]:
                case Load(version=number):
                    self.live = replace(self.live, versions=self.live.versions | {number})
                case Switch(version=number):
                    self.live = replace(self.live, champion=number)
                case Drain(version=number):
                    assert number != self.live.champion
                    self.live = replace(self.live, versions=self.live.versions - {number})
                    self.drained.append(number)

    def restart_torchserve(self) -> None:
        self.live = Live(champion=None, versions=frozenset())
        self.settle()


@st.composite
def readings(draw: st.DrawFn) -> ModelSnapshot:
    existing = draw(st.frozensets(st.sampled_from("1234"), max_size=4))
    if not existing:
        return EMPTY if draw(st.booleans()) else reading()
    holders = {alias: draw(st.none() | st.sampled_from(sorted(existing))) for alias in ("champion", "previous")}
    entries = [
        version(
            number,
            *(alias for alias, holder in holders.items() if holder == number),
            **draw(st.sampled_from([{}, {"traffic_weight": "20"}, {"traffic_weight": "x"}])),
        )
        for number in sorted(existing)
    ]
    return reading(*(entry for entry in entries if entry.aliases or entry.traffic), existing="".join(existing))


STEPS = st.lists(st.tuples(readings(), st.sampled_from([0.3, 1.0, 8.0, 20.0])), max_size=12)


@pytest.mark.slow
@given(steps=STEPS, bad=st.frozensets(st.sampled_from("234")))
def test_whatever_readings_come_a_model_that_answers_goes_on_and_a_new_champion_was_named(
    steps: list[tuple[ModelSnapshot, float]], bad: frozenset[str]
) -> None:
    model = Model(bad=bad)
    model.read(reading(version("1", "champion")))
    for snapshot, after_s in steps:
        before = model.live.champion
        model.read(snapshot, after_s)
        assert model.live.champion in model.live.versions
        if model.live.champion != before:
            assert snapshot.champion is not None
            assert model.live.champion == snapshot.champion.version


@pytest.mark.slow
@given(steps=STEPS)
def test_nothing_is_drained_unless_all_readings_of_a_grace_period_left_it_out(
    steps: list[tuple[ModelSnapshot, float]],
) -> None:
    model = Model()
    model.read(reading(version("1", "champion")))
    asked_s: dict[str, float] = {"1": model.now_s}
    for snapshot, after_s in steps:
        before = len(model.drained)
        model.read(snapshot, after_s)
        for number in model.drained[before:]:
            assert model.now_s - asked_s[number] >= GRACE_S
        asked_s.update({entry.version: model.now_s for entry in snapshot.versions})


@pytest.mark.slow
@given(steps=STEPS)
def test_a_torchserve_that_is_started_again_answers_with_the_same_version(
    steps: list[tuple[ModelSnapshot, float]],
) -> None:
    model = Model()
    model.read(reading(version("1", "champion")))
    for snapshot, after_s in steps:
        model.read(snapshot, after_s)
        before = model.live.champion
        model.restart_torchserve()
        assert model.live.champion == before


def test_an_alias_that_is_moved_in_two_clicks_changes_the_champion_and_nothing_else() -> None:
    model = Model()
    model.read(reading(version("1", "champion"), version("2", "challenger")))
    for _ in range(10):
        desired = model.read(reading(version("2", "challenger"), existing="12"))
        assert model.live == Live(champion="1", versions=frozenset("12"))
    assert desired.faults.keys() == {"1"}
    assert "lost the alias 'champion'" in desired.faults["1"]
    desired = model.read(reading(version("2", "champion"), existing="12"))
    assert model.live == Live(champion="2", versions=frozenset("12"))
    assert desired.faults == {}


def test_a_version_leaves_when_a_grace_period_of_readings_did_not_ask_for_it() -> None:
    model = Model()
    model.read(reading(version("1", "previous"), version("2", "champion")))
    model.read(reading(version("2", "champion")))
    model.read(reading(version("2", "champion")), 14.9)
    assert model.drained == []
    model.read(reading(version("1", "challenger"), version("2", "champion")))
    model.read(reading(version("2", "champion")))
    model.read(reading(version("2", "champion")), 15.0)
    assert model.drained == ["1"]


def test_one_reading_releases_nothing_however_late_it_comes() -> None:
    model = Model()
    model.read(reading(version("1", "previous"), version("2", "champion")))
    model.read(reading(version("2", "champion")), 3600.0)
    assert model.drained == []


@pytest.mark.parametrize(
    "empty", [EMPTY, reading(), reading(existing="123")], ids=["no model", "no version", "no alias"]
)
def test_an_empty_registry_changes_nothing_until_it_is_confirmed_and_then_the_champion_stays(
    empty: ModelSnapshot,
) -> None:
    model = Model()
    split = {"traffic_weight": "20"}
    model.read(reading(version("1", "champion"), version("2", "previous"), version("3", **split)))
    before = model.desired
    for _ in range(15):
        desired = model.read(empty)
        assert (desired.tagged, desired.asked, desired.faults) == (before.tagged, before.asked, {})
    assert model.drained == []
    desired = model.read(empty)
    assert sorted(model.drained) == ["2", "3"]
    assert model.live == Live(champion="1", versions=frozenset("1"))
    assert desired.tagged == ()
    assert len(desired.faults) == 1
    model.read(reading(version("1", "champion"), version("2", "previous")))
    assert model.live == Live(champion="1", versions=frozenset("12"))


def test_a_champion_whose_version_was_deleted_keeps_answering_and_the_model_gets_the_reason() -> None:
    model = Model()
    model.read(reading(version("1", "champion"), version("2", "previous")))
    for _ in range(40):
        desired = model.read(reading(version("2", "previous")))
    assert model.live == Live(champion="1", versions=frozenset("12"))
    assert "lcgan/1 does not exist in the registry any more" in desired.faults[""]
    model.read(reading(version("2", "champion")))
    model.read(reading(version("2", "champion")), 15.0)
    model.read(reading(version("2", "champion")), 15.0)
    assert (model.live, model.drained) == (Live(champion="2", versions=frozenset("2")), ["1"])


def test_a_refused_champion_that_loses_its_alias_is_forgotten_and_the_one_that_answers_is_held() -> None:
    model = Model(bad=frozenset("2"))
    model.read(reading(version("1", "champion"), version("2")))
    model.read(reading(version("1", "previous"), version("2", "champion")))
    assert model.live.champion == "1"
    model.read(reading(version("1", "previous"), existing="12"))
    assert model.desired.champion == "1"


def test_after_a_start_with_a_bad_champion_previous_answers_until_the_champion_is_proven() -> None:
    model = Model(bad=frozenset("2"))
    model.read(reading(version("1", "previous"), version("2", "champion")))
    assert model.live == Live(champion="1", versions=frozenset("1"))
    model.bad = frozenset()
    model.settle()
    assert model.live == Live(champion="2", versions=frozenset("12"))


def test_tags_that_cannot_be_followed_leave_the_last_good_split_and_its_versions_live() -> None:
    model = Model()
    good = (version("1", "champion"), version("2", traffic_weight="20"))
    model.read(reading(*good))
    for _ in range(40):
        desired = model.read(reading(version("1", "champion"), version("3", traffic_weight="x"), existing="123"))
    assert desired.tagged == good
    assert {"1", "2"} <= model.live.versions
    assert desired.faults == {"3": "lcgan/3 has the weight x; until then the last good split stays"}
    desired = model.read(reading(version("1", "champion"), existing="123"))
    assert (desired.tagged, desired.faults) == ((version("1", "champion"),), {})


def test_a_split_ends_at_once_with_its_tag_and_after_a_grace_period_with_its_version() -> None:
    model = Model()
    good = (version("1", "champion"), version("2", traffic_weight="20"))
    model.read(reading(*good))
    assert model.read(reading(version("1", "champion"), existing="12")).tagged == (version("1", "champion"),)
    model.read(reading(*good))
    desired = model.read(reading(version("1", "champion")))
    assert desired.tagged == good
    assert "lcgan/2 had a part in the traffic and does not exist any more" in desired.faults[""]
    desired = model.read(reading(version("1", "champion")), 15.0)
    assert (desired.tagged, desired.faults) == ((version("1", "champion"),), {})


def test_another_archive_under_the_same_number_is_reported_and_what_answers_stays_what_it_is() -> None:
    model = Model()
    model.read(reading(version("1", "champion", sha256="aaaa")))
    for _ in range(3):
        desired = model.read(reading(version("1", "champion", sha256="bbbb")))
        assert desired.known["1"].archive_sha256 == "aaaa"
        (told,) = desired.reports
        assert "another archive for lcgan/1" in told
