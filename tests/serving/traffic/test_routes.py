from __future__ import annotations

import pytest

from serving.registry.contents import ArchiveInfo
from serving.traffic.experiment import ExperimentArms, ExperimentDesign
from serving.traffic.policy import Arm, AssignedBy, Assignment, TrafficPolicy
from serving.traffic.route import Route, make_route
from serving.traffic.routes import NotReadyError, RoutingTable, UnknownRouteError
from serving.workers.descriptions import WorkerDescription


def route(version: str, model: str = "lcgan") -> Route:
    info = ArchiveInfo(
        model=model,
        version=version,
        sha256="ab" * 32,
        topics=("sound", "news"),
        desired_topic="sound",
        num_genres=12,
        batch_size=8,
    )
    return make_route(info, workers=1, aliases=("champion",))


@pytest.fixture
def table() -> RoutingTable:
    table = RoutingTable(("lcgan", "cvae"))
    for version in ("2", "10"):
        table.add(route(version))
    table.switch("lcgan", "2")
    return table


def test_a_request_without_a_pin_goes_to_the_champion(table: RoutingTable) -> None:
    assert table.assign("lcgan", None)[0].info.version == "2"


def test_a_pin_finds_its_version(table: RoutingTable) -> None:
    assert table.assign("lcgan", "10")[0].info.version == "10"


def test_a_model_that_is_not_served_is_unknown_and_the_served_ones_are_named(table: RoutingTable) -> None:
    with pytest.raises(UnknownRouteError, match=r"'gan'.*lcgan, cvae"):
        table.assign("gan", None)


def test_a_missing_version_is_late_before_the_registry_was_followed_and_unknown_after(table: RoutingTable) -> None:
    with pytest.raises(NotReadyError, match="lcgan 3 is being loaded"):
        table.assign("lcgan", "3")
    table.settle("lcgan")
    with pytest.raises(UnknownRouteError, match="'3'; live: 2, 10"):
        table.assign("lcgan", "3")


def test_a_model_without_a_champion_says_how_to_get_one(table: RoutingTable) -> None:
    with pytest.raises(NotReadyError):
        table.assign("cvae", None)
    table.settle("cvae")
    with pytest.raises(UnknownRouteError, match="models promote cvae"):
        table.assign("cvae", None)


def test_only_a_live_version_can_become_champion(table: RoutingTable) -> None:
    with pytest.raises(ValueError, match="lcgan 3 is not live"):
        table.switch("lcgan", "3")


def test_a_removed_champion_answers_no_more(table: RoutingTable) -> None:
    table.settle("lcgan")
    table.remove("lcgan", "2")
    assert table.champion("lcgan") is None
    with pytest.raises(UnknownRouteError):
        table.assign("lcgan", None)


def test_while_torchserve_is_gone_everything_is_late(table: RoutingTable) -> None:
    table.settle("lcgan")
    table.suspend()
    for version in (None, "2"):
        with pytest.raises(NotReadyError):
            table.assign("lcgan", version)


def split(model: str = "lcgan", **shares: float) -> TrafficPolicy:
    """Make a policy of versions v2, v10 ... with shares."""
    arms = tuple(Arm(version=name.removeprefix("v"), share=share) for name, share in shares.items())
    return TrafficPolicy(model=model, arms=arms, salt=model, overrides={"ona": "10"})


UNITS = [f"user-{number}" for number in range(500)]


def answering(table: RoutingTable) -> dict[str, Assignment]:
    assigned = {unit: table.assign("lcgan", None, unit) for unit in UNITS}
    assert all(route.info.version == assignment.version for route, assignment in assigned.values())
    return {unit: assignment for unit, (_, assignment) in assigned.items()}


def test_without_a_policy_the_champion_answers_alone_and_a_pin_its_version(table: RoutingTable) -> None:
    assert table.policy("lcgan") is None
    assert table.assign("lcgan", None, "ona")[1] == Assignment(version="2", by=AssignedBy.ALONE)
    assert table.assign("lcgan", "10", "ona")[1] == Assignment(version="10", by=AssignedBy.PIN)


def test_a_policy_deals_requests_out_and_a_pin_counts_before_it() -> None:
    draws = iter((0.1, 0.9))
    table = RoutingTable(("lcgan",), draw=lambda: next(draws))
    for version in ("2", "10"):
        table.add(route(version))
    table.switch("lcgan", "2")
    policy = split(v2=0.7, v10=0.3)
    table.set_policy("lcgan", policy)
    assert table.policy("lcgan") is policy
    assert {(each.version, each.by) for each in answering(table).values()} == {
        ("2", AssignedBy.UNIT),
        ("10", AssignedBy.UNIT),
    }
    assert table.assign("lcgan", None, "ona")[1] == Assignment(version="10", by=AssignedBy.OVERRIDE)
    assert [table.assign("lcgan", None, None)[1].version for _ in range(2)] == ["2", "10"]
    assert table.assign("lcgan", "2", "ona")[1] == Assignment(version="2", by=AssignedBy.PIN)


def test_units_of_a_version_that_is_not_live_go_to_the_champion_and_no_other_unit_moves(table: RoutingTable) -> None:
    table.set_policy("lcgan", split(v2=0.5, v3=0.2, v10=0.3))
    without = answering(table)
    table.add(route("3"))
    complete = answering(table)
    late = {unit for unit, assignment in complete.items() if assignment.version == "3"}
    assert late
    for unit in UNITS:
        if unit in late:
            assert without[unit] == Assignment(version="2", by=AssignedBy.FALLBACK)
        else:
            assert without[unit] == complete[unit]
    table.remove("lcgan", "10")
    assert {each.by for unit, each in answering(table).items() if complete[unit].version == "10"} == {
        AssignedBy.FALLBACK
    }


def test_without_a_champion_the_live_version_with_the_largest_share_answers_for_the_missing(
    table: RoutingTable,
) -> None:
    table.set_policy("lcgan", split(v2=0.6, v3=0.1, v10=0.3))
    table.add(route("3"))
    table.remove("lcgan", "2")
    assert {(each.version, each.by) for each in answering(table).values()} == {
        ("3", AssignedBy.UNIT),
        ("10", AssignedBy.UNIT),
        ("10", AssignedBy.FALLBACK),
    }


def test_a_promotion_that_the_policy_knows_first_loses_no_request(table: RoutingTable) -> None:
    table.set_policy("lcgan", split(v3=1.0))
    assert table.assign("lcgan", None, "tor")[1] == Assignment(version="2", by=AssignedBy.FALLBACK)
    table.add(route("3"))
    assert table.assign("lcgan", None, "tor")[1] == Assignment(version="3", by=AssignedBy.ALONE)
    table.switch("lcgan", "3")
    table.remove("lcgan", "2")
    assert table.assign("lcgan", None, "tor")[1] == Assignment(version="3", by=AssignedBy.ALONE)


def test_a_policy_without_live_versions_answers_as_if_there_were_none(table: RoutingTable) -> None:
    table.set_policy("cvae", split("cvae", v1=1.0))
    with pytest.raises(NotReadyError):
        table.assign("cvae", None, "ona")
    table.settle("cvae")
    with pytest.raises(UnknownRouteError, match="models promote cvae"):
        table.assign("cvae", None, "ona")


def test_a_policy_outlasts_a_restart_of_torchserve(table: RoutingTable) -> None:
    table.set_policy("lcgan", split(v2=0.5, v10=0.5))
    before = answering(table)
    table.suspend()
    for version in ("2", "10"):
        table.add(route(version))
    table.switch("lcgan", "2")
    assert answering(table) == before


def test_a_description_lists_versions_in_the_order_of_their_numbers(table: RoutingTable) -> None:
    lcgan, cvae = table.describe()
    assert [version.version for version in lcgan.versions] == ["2", "10"]
    assert (lcgan.champion, cvae.champion, cvae.versions) == ("2", "", ())


def test_a_decode_is_as_wide_as_the_worker_says_and_as_a_processors_before_it_says_so(table: RoutingTable) -> None:
    held, _ = table.assign("lcgan", None)
    assert held.slots == 128
    held.worker = WorkerDescription(slots=1024)
    assert held.slots == 1024


def test_a_version_whose_workers_do_not_answer_is_answered_for_and_keeps_its_units(table: RoutingTable) -> None:
    table.set_policy("lcgan", split(v2=0.5, v10=0.5))
    complete = answering(table)
    mute, _ = table.assign("lcgan", "10")
    mute.answers = False
    for unit, each in answering(table).items():
        if complete[unit].version == "10":
            assert each == Assignment(version="2", by=AssignedBy.FALLBACK)
        else:
            assert each == complete[unit]
    # A pin means this version and no other.
    assert table.assign("lcgan", "10", "tor") == (mute, Assignment(version="10", by=AssignedBy.PIN))
    mute.answers = True
    assert answering(table) == complete


def test_previous_answers_when_no_worker_of_the_champion_does_and_else_nobody_takes_its_place(
    table: RoutingTable,
) -> None:
    champion, _ = table.assign("lcgan", "2")
    champion.answers = False
    assert table.assign("lcgan", None) == (champion, Assignment(version="2", by=AssignedBy.ALONE))
    before, _ = table.assign("lcgan", "10")
    before.aliases = ("previous",)
    assert table.assign("lcgan", None) == (before, Assignment(version="10", by=AssignedBy.FALLBACK))
    before.answers = False
    assert table.assign("lcgan", None) == (champion, Assignment(version="2", by=AssignedBy.ALONE))


def test_the_arms_of_an_experiment_are_described(table: RoutingTable) -> None:
    arms = ExperimentArms(name="shorter", design=ExperimentDesign.INTERLEAVED, versions=("10", "11"))
    table.set_policy("lcgan", TrafficPolicy(model="lcgan", arms=(Arm(version="2", share=1.0),), experiment=arms))
    lcgan, cvae = table.describe()
    assert (lcgan.experiment, lcgan.experiment_design) == ("shorter", "interleaved")
    assert {each.version: each.arm for each in lcgan.versions} == {"2": False, "10": True}
    assert (cvae.experiment, cvae.experiment_design) == ("", "")
