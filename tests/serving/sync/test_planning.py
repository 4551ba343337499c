from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from serving.sync.planning import Action, Drain, Live, Load, Switch, Wanted, plan

pytestmark = pytest.mark.slow

VERSIONS = st.frozensets(st.sampled_from("12345"), max_size=5)


@st.composite
def wanted_states(draw: st.DrawFn) -> Wanted:
    versions = draw(VERSIONS)
    champion = draw(st.none() | st.sampled_from(sorted(versions))) if versions else None
    return Wanted(champion=champion, versions=versions)


@st.composite
def live_states(draw: st.DrawFn) -> Live:
    wanted = draw(wanted_states())
    return Live(champion=wanted.champion, versions=wanted.versions)


def apply(action: Action, live: Live) -> Live:
    match action:
        case Load(version=version):
            assert version not in live.versions
            return Live(champion=live.champion, versions=live.versions | {version})
        case Switch(version=version):
            assert version in live.versions
            return Live(champion=version, versions=live.versions)
        case Drain(version=version):
            assert version in live.versions
            champion = None if live.champion == version else live.champion
            return Live(champion=champion, versions=live.versions - {version})


def walk(actions: tuple[Action, ...], live: Live) -> list[Live]:
    states = [live]
    for action in actions:
        states.append(apply(action, states[-1]))
    return states


@given(wanted=wanted_states(), live=live_states())
def test_a_plan_carried_out_gives_what_is_wanted(wanted: Wanted, live: Live) -> None:
    end = walk(plan(wanted, live, unwanted_before=live.versions), live)[-1]
    assert end.versions == wanted.versions
    assert end.champion == wanted.champion or (wanted.champion is None and end.champion in wanted.versions)


@given(wanted=wanted_states(), live=live_states())
def test_nothing_is_left_to_do_after_a_plan(wanted: Wanted, live: Live) -> None:
    end = walk(plan(wanted, live, unwanted_before=live.versions), live)[-1]
    assert plan(wanted, end, unwanted_before=end.versions) == ()


@given(wanted=wanted_states(), live=live_states(), refused=VERSIONS, unwanted_before=VERSIONS)
def test_at_no_moment_is_a_served_model_without_a_champion(
    wanted: Wanted, live: Live, refused: frozenset[str], unwanted_before: frozenset[str]
) -> None:
    if live.champion is None or wanted.champion is None:
        return
    for state in walk(plan(wanted, live, refused=refused, unwanted_before=unwanted_before), live):
        assert state.champion is not None
        assert state.champion in state.versions


@given(wanted=wanted_states(), live=live_states(), refused=VERSIONS, unwanted_before=VERSIONS)
def test_refused_versions_are_left_alone_and_drains_are_confirmed(
    wanted: Wanted, live: Live, refused: frozenset[str], unwanted_before: frozenset[str]
) -> None:
    actions = plan(wanted, live, refused=refused, unwanted_before=unwanted_before)
    loaded = {action.version for action in actions if isinstance(action, Load)}
    drained = {action.version for action in actions if isinstance(action, Drain)}
    assert not loaded & refused
    assert drained <= unwanted_before - wanted.versions


@given(wanted=wanted_states(), live=live_states())
def test_drains_come_last_and_the_champion_is_loaded_first(wanted: Wanted, live: Live) -> None:
    actions = plan(wanted, live, unwanted_before=live.versions)
    kinds = [type(action) for action in actions]
    if Drain in kinds:
        assert set(kinds[kinds.index(Drain) :]) == {Drain}
    if Load(version=wanted.champion or "") in actions:
        assert actions[:2] == (Load(version=wanted.champion or ""), Switch(version=wanted.champion or ""))


def test_a_promotion_loads_switches_and_drains_in_this_order() -> None:
    wanted = Wanted(champion="3", versions=frozenset("23"))
    live = Live(champion="2", versions=frozenset("12"))
    assert plan(wanted, live, unwanted_before={"1"}) == (Load(version="3"), Switch(version="3"), Drain(version="1"))


def test_a_champion_whose_successor_is_refused_stays() -> None:
    wanted = Wanted(champion="3", versions=frozenset("3"))
    live = Live(champion="1", versions=frozenset("1"))
    assert plan(wanted, live, refused={"3"}, unwanted_before={"1"}) == ()


def test_a_champion_outside_the_wanted_versions_is_a_mistake_of_the_caller() -> None:
    with pytest.raises(ValueError, match="champion 2"):
        Wanted(champion="2", versions=frozenset("1"))
