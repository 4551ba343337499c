from __future__ import annotations

import random
from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from serving.errors import PolicyError
from serving.traffic.experiment import EXAMPLE, ExperimentArms, ExperimentDesign, ExperimentMark
from serving.traffic.policy import AssignedBy, Assignment
from tests.serving.traffic.test_policy import entry, policy, shares

STICKY = EXAMPLE.replace("interleaved", "sticky")


def test_a_mark_is_read_as_it_is_written() -> None:
    mark = ExperimentMark.parse(EXAMPLE)
    assert mark == ExperimentMark(
        name="shorter", design=ExperimentDesign.INTERLEAVED, since=datetime(2026, 11, 30, 6, tzinfo=UTC)
    )
    assert str(mark) == EXAMPLE
    assert ExperimentMark.parse(EXAMPLE.replace("06:00:00Z", "08:00:00+02:00")) == mark


@given(
    name=st.from_regex(r"[a-z0-9-]{1,40}", fullmatch=True),
    design=st.sampled_from(ExperimentDesign),
    since=st.datetimes(datetime(2000, 1, 1), datetime(2100, 1, 1), timezones=st.just(UTC)),  # noqa: DTZ001
)
def test_every_mark_survives_its_tag(name: str, design: ExperimentDesign, since: datetime) -> None:
    mark = ExperimentMark(name=name, design=design, since=since.replace(microsecond=0))
    assert ExperimentMark.parse(str(mark)) == mark


@given(st.text(max_size=60))
def test_any_other_text_is_a_value_error(text: str) -> None:
    try:
        ExperimentMark.parse(text)
    except ValueError:
        return
    assert len(text.split()) == 3


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "it has a name, design and since"),
        ("shorter", "it has a name, design and since"),
        (EXAMPLE + " design=sticky", "each once"),
        (EXAMPLE.replace("design", "plan"), "each once"),
        (EXAMPLE.replace("interleaved", "both"), "design must be interleaved or sticky, got 'both'"),
        (EXAMPLE.replace("2026-11-30T06:00:00Z", "today"), "since must be a time in UTC"),
        (EXAMPLE.replace("06:00:00Z", "06:00:00"), "since must have a time zone"),
        (EXAMPLE.replace("shorter", "Shorter!"), "'Shorter!' is not a name of an experiment"),
        (EXAMPLE.replace("shorter", "s" * 41), "use 1 to 40 lower-case letters"),
    ],
)
def test_a_tag_that_cannot_be_read_is_refused_with_the_way_out(text: str, said: str) -> None:
    with pytest.raises(ValueError, match=said):
        ExperimentMark.parse(text)
    if text:
        with pytest.raises(PolicyError, match=f"the tag traffic_experiment of lcgan/2 .*{said}.* Correct the tag, or"):
            policy(entry("1", experiment=EXAMPLE), entry("2", experiment=text))


def test_an_interleaved_experiment_changes_nothing_for_requests_that_do_not_ask_for_it() -> None:
    made = policy(entry("2", experiment=EXAMPLE), entry("10", experiment=EXAMPLE), champion="1")
    assert made.experiment == ExperimentArms(name="shorter", design=ExperimentDesign.INTERLEAVED, versions=("2", "10"))
    assert made.interleaved is made.experiment
    assert shares(made) == {"1": 1.0}
    assert made.assign("ona", random.random) == Assignment(version="1", by=AssignedBy.ALONE)
    assert made.versions == {"1", "2", "10"}, "the gateway needs the arms live"
    assert made.reports == ()


def test_an_interleaved_experiment_stands_beside_a_split() -> None:
    made = policy(entry("2", experiment=EXAMPLE, weight="20"), entry("1", experiment=EXAMPLE), champion="1")
    assert shares(made) == {"1": 0.8, "2": 0.2}


def test_a_revision_names_the_experiment_and_policies_without_one_keep_theirs() -> None:
    revisions = [
        policy(*(entry(version, experiment=text) for version in versions)).revision
        for versions, text in (
            (("1", "2"), ""),
            (("1", "2"), EXAMPLE),
            (("1", "3"), EXAMPLE),
            (("1", "2"), STICKY),
            (("1", "2"), EXAMPLE.replace("shorter", "longer")),
        )
    ]
    assert len(set(revisions)) == 5
    assert revisions[0] == policy(entry("1"), entry("2")).revision
    # The start tells when verdicts begin to count, and decides about no request.
    later = EXAMPLE.replace("06:00", "07:00")
    assert policy(entry("1", experiment=later), entry("2", experiment=later)).revision == revisions[1]


def test_answers_that_chance_dealt_to_an_arm_belong_to_a_sticky_experiment() -> None:
    made = policy(entry("1", experiment=STICKY), entry("2", experiment=STICKY, weight="50"), champion="1")
    assert made.interleaved is None
    told = {by: made.experiment_of(Assignment(version="2", by=by)) for by in AssignedBy}
    assert {by for by, name in told.items() if name} == {AssignedBy.UNIT, AssignedBy.RANDOM}
    assert made.experiment_of(Assignment(version="3", by=AssignedBy.UNIT)) == ""
    interleaved = policy(entry("1", experiment=EXAMPLE), entry("2", experiment=EXAMPLE))
    told = {by: interleaved.experiment_of(Assignment(version="2", by=by)) for by in AssignedBy}
    assert {by for by, name in told.items() if name} == {AssignedBy.INTERLEAVED}


def test_a_sticky_experiment_whose_arms_have_no_share_is_reported() -> None:
    (told,) = policy(entry("1", experiment=STICKY), entry("2", experiment=STICKY), champion="1").reports
    assert "lcgan/2 has none: give it one (`deephypebot models split lcgan" in told
    assert "`deephypebot experiment stop shorter`" in told


@pytest.mark.parametrize(
    ("first", "second", "said"),
    [
        (EXAMPLE, EXAMPLE.replace("shorter", "longer"), "name 2 experiments .*stop one .*experiment stop NAME"),
        (EXAMPLE, STICKY, "name two designs .*write the same on all versions"),
        (EXAMPLE, "", "the experiment shorter has one version .*experiment stop shorter.*on another version"),
    ],
)
def test_marks_that_make_no_experiment_are_refused_with_the_way_out(first: str, second: str, said: str) -> None:
    with pytest.raises(PolicyError, match=said):
        policy(entry("1", experiment=first), entry("2", experiment=second))


def test_an_arm_is_never_a_shadow() -> None:
    with pytest.raises(PolicyError, match=r"traffic_shadow of lcgan/2 .*experiment shorter \(traffic_experiment\)"):
        policy(entry("1", experiment=EXAMPLE), entry("2", experiment=EXAMPLE, shadow="true"))


def test_an_arm_without_an_archive_is_refused() -> None:
    with pytest.raises(PolicyError, match=r"traffic_experiment of lcgan/2 .* no archive"):
        policy(entry("1", experiment=EXAMPLE), entry("2", experiment=EXAMPLE, archive=""))


def test_a_version_that_takes_part_is_made_live_also_while_its_tag_cannot_be_read() -> None:
    assert entry("2", experiment=EXAMPLE).should_be_live
    assert entry("2", experiment="nonsense").should_be_live
    assert not entry("2", experiment=" ").should_be_live
