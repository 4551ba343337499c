from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from serving.sync.planning import Action, Attempts, Drain, Limits, Live, Load, Switch, Wanted, plan

pytestmark = pytest.mark.slow

VERSIONS = st.frozensets(st.sampled_from("12345"), max_size=5)
AGES = st.dictionaries(st.sampled_from("12345"), st.sampled_from([0.0, 5.0, 60.0]), max_size=3)


@st.composite
def wanted_states(draw: st.DrawFn) -> Wanted:
    versions = draw(VERSIONS)
    champion = draw(st.none() | st.sampled_from(sorted(versions))) if versions else None
    fallbacks = draw(st.lists(st.sampled_from("12345"), max_size=2, unique=True))
    return Wanted(champion=champion, versions=versions, fallbacks=tuple(fallbacks))


@st.composite
def live_states(draw: st.DrawFn) -> Live:
    wanted = draw(wanted_states())
    return Live(champion=wanted.champion, versions=wanted.versions)


def apply(action: Action, live: Live, attempts: Attempts) -> tuple[Live, Attempts]:
    match action:
        case Load(version=version):
            assert version not in live.versions | attempts.refused | attempts.loading.keys()
            return live, replace(attempts, loading={**attempts.loading, version: 0.0})
        case Switch(version=version):
            assert version in live.versions
            return Live(champion=version, versions=live.versions), attempts
        case Drain(version=version):
            assert version in live.versions
            assert version != live.champion
            return Live(champion=live.champion, versions=live.versions - {version}), attempts


def carry_out(
    wanted: Wanted, live: Live, *, bad: frozenset[str] = frozenset(), released: frozenset[str] | None = None
) -> tuple[list[Live], Attempts]:
    """Plan and act until nothing is left to do; a load succeeds as soon as nothing else is left, unless it is bad."""
    states, attempts = [live], Attempts()
    for _ in range(100):
        now = states[-1]
        actions = plan(wanted, now, attempts=attempts, released=now.versions if released is None else released)
        if actions:
            now, attempts = apply(actions[0], now, attempts)
        elif attempts.loading:
            loaded = min(attempts.loading)
            attempts = Attempts(
                refused=attempts.refused | ({loaded} & bad),
                loading={version: age_s for version, age_s in attempts.loading.items() if version != loaded},
            )
            now = replace(now, versions=now.versions | ({loaded} - bad))
        else:
            return states, attempts
        states.append(now)
    raise AssertionError("the plan never ends")


@given(wanted=wanted_states(), live=live_states())
def test_plans_carried_out_give_what_is_wanted(wanted: Wanted, live: Live) -> None:
    states, _ = carry_out(wanted, live)
    end = states[-1]
    if wanted.champion is None:
        assert wanted.versions <= end.versions
        assert end.champion == live.champion
        assert end.versions <= wanted.versions | {live.champion, *wanted.fallbacks}
    else:
        assert end == Live(champion=wanted.champion, versions=wanted.versions)


@given(wanted=wanted_states(), live=live_states(), bad=VERSIONS)
def test_a_model_that_answers_goes_on_answering_whatever_fails_to_load(
    wanted: Wanted, live: Live, bad: frozenset[str]
) -> None:
    states, _ = carry_out(wanted, live, bad=bad)
    if live.champion is not None:
        for state in states:
            assert state.champion is not None
            assert state.champion in state.versions


@given(wanted=wanted_states(), live=live_states(), bad=VERSIONS)
def test_of_those_that_may_stand_in_the_first_able_one_does(wanted: Wanted, live: Live, bad: frozenset[str]) -> None:
    if live.champion is not None or wanted.champion is None:
        return
    states, _ = carry_out(wanted, live, bad=bad - live.versions)
    able = [each for each in (wanted.champion, *wanted.fallbacks) if each not in bad - live.versions]
    end = states[-1].champion
    assert (end is None) == (not able)
    if end is not None and not live.versions & set(wanted.fallbacks):
        assert end == able[0]


@given(wanted=wanted_states(), live=live_states(), refused=VERSIONS, loading=AGES, released=VERSIONS)
def test_refused_versions_are_left_alone_and_only_released_ones_are_drained(
    wanted: Wanted, live: Live, refused: frozenset[str], loading: dict[str, float], released: frozenset[str]
) -> None:
    attempts = Attempts(refused=refused, loading=loading)
    actions = plan(wanted, live, attempts=attempts, released=released)
    loaded = [action.version for action in actions if isinstance(action, Load)]
    drained = {action.version for action in actions if isinstance(action, Drain)}
    assert not set(loaded) & (refused | loading.keys() | live.versions)
    assert drained <= released - wanted.versions
    others = (set(loaded) | loading.keys()) - {wanted.champion}
    assert len(others) <= max(Limits().others, len(loading.keys() - {wanted.champion})) + 1, "one may stand in"


@given(wanted=wanted_states(), loading=AGES)
def test_the_first_version_of_a_model_is_registered_alone(wanted: Wanted, loading: dict[str, float]) -> None:
    actions = plan(wanted, Live(champion=None, versions=frozenset()), attempts=Attempts(loading=loading))
    loads = [action for action in actions if isinstance(action, Load)]
    assert len(loads) <= 1
    if any(age_s < Limits().alone_s for age_s in loading.values()):
        assert loads == []


def test_the_champion_is_loaded_before_the_others_and_they_do_not_wait_for_one_that_hangs() -> None:
    wanted = Wanted(champion="3", versions=frozenset("1234"), fallbacks=("2",))
    nothing = Live(champion=None, versions=frozenset())
    assert plan(wanted, nothing) == (Load(version="3"),)
    assert plan(wanted, nothing, attempts=Attempts(loading={"3": 9.0})) == ()
    assert plan(wanted, nothing, attempts=Attempts(loading={"3": 11.0})) == (Load(version="2"),)
    live = Live(champion=None, versions=frozenset("2"))
    assert plan(wanted, live, attempts=Attempts(loading={"3": 13.0})) == (
        Switch(version="2"),
        Load(version="1"),
        Load(version="4"),
    )


def test_a_new_champion_is_loaded_although_another_version_hangs() -> None:
    wanted = Wanted(champion="5", versions=frozenset("1345"))
    live = Live(champion="1", versions=frozenset("1"))
    assert plan(wanted, live, attempts=Attempts(loading={"3": 90.0, "4": 90.0})) == (Load(version="5"),)


def test_a_promotion_loads_switches_and_drains_in_this_order() -> None:
    wanted = Wanted(champion="3", versions=frozenset("23"))
    live = Live(champion="2", versions=frozenset("12"))
    states, _ = carry_out(wanted, live, released=frozenset("1"))
    assert states == [
        live,
        Live(champion="2", versions=frozenset("12")),
        Live(champion="2", versions=frozenset("2")),
        Live(champion="2", versions=frozenset("23")),
        Live(champion="3", versions=frozenset("23")),
    ]


def test_a_champion_whose_successor_is_refused_stays() -> None:
    wanted = Wanted(champion="3", versions=frozenset("3"))
    live = Live(champion="1", versions=frozenset("1"))
    assert plan(wanted, live, attempts=Attempts(refused={"3"}), released={"1"}) == ()


def test_the_champion_takes_over_again_from_the_one_that_stood_in() -> None:
    wanted = Wanted(champion="3", versions=frozenset("23"), fallbacks=("2",))
    assert plan(wanted, Live(champion="2", versions=frozenset("23"))) == (Switch(version="3"),)


def test_a_champion_outside_the_wanted_versions_is_a_mistake_of_the_caller() -> None:
    with pytest.raises(ValueError, match="champion 2"):
        Wanted(champion="2", versions=frozenset("1"))
