from __future__ import annotations

import math
import random
from collections import Counter
from collections.abc import Mapping
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from serving.errors import PolicyError
from serving.registry.versions import TRAFFIC_TAGS, RegisteredVersion
from serving.traffic.policy import Arm, AssignedBy, Assignment, TrafficPolicy, make_policy

START_S = 1795_982_400.0  # 2026-11-29T20:00:00Z
RAMP = "from=10 to=30 step=10 every=30m start=2026-11-29T20:00:00Z"


def entry(number: str, *, archive: str = "ab" * 32, **tags: str) -> RegisteredVersion:
    return RegisteredVersion(
        model="lcgan",
        version=number,
        aliases=(),
        run_id="",
        archive_path="lcgan.mar" if archive else "",
        archive_sha256=archive,
        sync_error="",
        traffic={f"traffic_{name}": value for name, value in tags.items()},
    )


def policy(*versions: RegisteredVersion, champion: str | None = "1", now: float = START_S) -> TrafficPolicy:
    return make_policy("lcgan", champion=champion, versions=versions, now=now)


def shares(made: TrafficPolicy) -> dict[str, float]:
    return {arm.version: round(arm.share, 9) for arm in made.arms}


def split(**percent: float) -> TrafficPolicy:
    """Make a policy of versions v1, v2 ... with shares in percent."""
    arms = tuple(Arm(version=name.removeprefix("v"), share=share / 100) for name, share in percent.items())
    return TrafficPolicy(model="lcgan", arms=arms, salt="lcgan")


def version_of(made: TrafficPolicy, unit: str) -> str:
    assigned = made.assign(unit, random.random)
    assert assigned is not None
    return assigned.version


@pytest.mark.parametrize(
    ("versions", "champion", "expected"),
    [
        ([], "1", {"1": 1.0}),
        ([], None, {}),
        ([entry("2", weight="20")], "1", {"1": 0.8, "2": 0.2}),
        ([entry("2", weight="20"), entry("10", weight="30%")], "1", {"1": 0.5, "2": 0.2, "10": 0.3}),
        ([entry("1", weight="1"), entry("2", weight="3")], "1", {"1": 0.25, "2": 0.75}),
        ([entry("1", weight="150"), entry("2", weight="50")], "1", {"1": 0.75, "2": 0.25}),
        ([entry("2", weight="100")], "1", {"2": 1.0}),
        ([entry("2", weight="0")], "1", {"1": 1.0}),
        ([entry("1", weight="0"), entry("2", weight="5")], "1", {"2": 1.0}),
        ([entry("1", weight="60"), entry("2", weight="40")], None, {"1": 0.6, "2": 0.4}),
        ([entry("2", weight="0")], None, {}),
        ([entry("2", weight=" ")], "1", {"1": 1.0}),
        ([entry("2", shadow="true")], "1", {"1": 1.0}),
    ],
)
def test_the_champion_gets_what_the_others_leave_and_otherwise_weights_are_parts_of_their_sum(
    versions: list[RegisteredVersion], champion: str | None, expected: dict[str, float]
) -> None:
    made = policy(*versions, champion=champion)
    assert shares(made) == expected
    assert list(shares(made)) == list(expected), "in the order of their numbers"


def test_another_alias_gives_no_share() -> None:
    assert shares(policy(entry("1"), entry("2"), entry("3"), champion="2")) == {"2": 1.0}


def test_a_ramp_counts_by_the_clock_and_instead_of_a_weight() -> None:
    ramped = entry("2", ramp=RAMP, weight="90")
    assert [shares(policy(ramped, now=START_S + late))["2"] for late in (-60, 0, 1800, 3600, 1e9)] == [
        0.1,
        0.1,
        0.2,
        0.3,
        0.3,
    ]
    assert policy(ramped).next_steps["2"].weight == 20
    assert policy(ramped, now=START_S + 1e9).next_steps == {}
    assert policy(ramped).reports == ("lcgan/2 has a ramp, so its tag traffic_weight does not count",)


def test_salt_shadows_and_units_are_read_and_the_salt_is_the_models_name_otherwise() -> None:
    made = policy(entry("3", shadow="True", units=" ona, tor,,ona "), entry("2", weight="20", salt="winter"))
    assert (made.shadows, made.salt) == (("3",), "winter")
    assert made.overrides == {"ona": "3", "tor": "3"}
    assert policy().salt == "lcgan"


def test_an_override_counts_before_every_share() -> None:
    for made in (policy(entry("3", units="ona")), policy(entry("3", units="ona"), entry("2", weight="50"))):
        assert made.assign("ona", random.random) == Assignment(version="3", by=AssignedBy.OVERRIDE)
        assert version_of(made, "somebody else") in ("1", "2")


@pytest.mark.parametrize(
    ("versions", "champion", "said"),
    [
        ([entry("2", weight="many")], "1", "the tag traffic_weight of lcgan/2 is 'many': it is not a number. Correct"),
        ([entry("2", weight="-1")], "1", "it is negative"),
        ([entry("2", weight="nan")], "1", "not a number"),
        ([entry("2", weight="inf")], "1", "not a number"),
        ([entry("2", weight="9" * 400)], "1", r"is '9{80}…': it is more than 1e"),
        ([entry("2", ramp=RAMP.replace("step=10", "step=0"))], "1", "traffic_ramp of lcgan/2 .* would never end"),
        ([entry("2", shadow="maybe")], "1", "traffic_shadow of lcgan/2 is 'maybe': write 'true'"),
        ([entry("1", salt="a"), entry("2", salt="b")], "1", "lcgan/1 has 'a', lcgan/2 has 'b'"),
        ([entry("1", weight="0"), entry("2", weight="0")], "1", r"\(1=0, 2=0\) sum to 0, so no version would answer"),
        ([entry("2", weight="60"), entry("3", weight="50")], "1", r"sum to 110, and leave nothing .* lcgan/1"),
        ([entry("2", weight="20")], None, "no champion, and its weights .* sum to 20 instead of 100"),
        ([entry("2", units="ona"), entry("3", units="tor,ona")], "1", "lcgan/2 and lcgan/3 both name the unit 'ona'"),
        ([entry("2", weight="20", archive="")], "1", "traffic_weight of lcgan/2 is '20': the version has no archive"),
        ([entry("2", ramp=RAMP, archive="")], "1", "traffic_ramp of lcgan/2 .* no archive"),
        ([entry("2", shadow="true", archive="")], "1", "traffic_shadow of lcgan/2 .* no archive"),
        ([entry("2", units="ona", archive="")], "1", "traffic_units of lcgan/2 .* no archive"),
    ],
)
def test_tags_that_make_no_sense_are_refused_with_tag_value_version_and_way_out(
    versions: list[RegisteredVersion], champion: str | None, said: str
) -> None:
    with pytest.raises(PolicyError, match=said):
        policy(*versions, champion=champion)


def test_a_champion_that_answers_less_than_another_is_reported() -> None:
    moved = policy(entry("1", weight="80"), entry("2", weight="20"), champion="2")
    assert shares(moved) == {"1": 0.8, "2": 0.2}
    assert moved.reports == (
        (
            "the champion lcgan/2 answers 20% of the requests, as the weights say; "
            "`deephypebot models split lcgan --end` lets it answer all"
        ),
    )
    assert policy(entry("1", weight="80"), entry("2", weight="20")).reports == ()


def test_weights_that_do_not_sum_to_100_are_reported_with_the_shares() -> None:
    (told,) = policy(entry("1", weight="3"), entry("2", weight="1")).reports
    assert told == "the weights of lcgan sum to 4 instead of 100: the shares are 1=75%, 2=25%"


tag_texts = st.one_of(
    st.sampled_from(
        ["", "true", "0", "20", "33.3", "100", "1e9", "5e-324", "nan", "-0", "ona", "a,b", RAMP, RAMP[:-1]]
    ),
    st.floats(allow_nan=True).map(str),
    st.text(max_size=12),
    st.from_regex(r"from=\S* to=\S* step=\S* every=\S* start=\S*", fullmatch=True),
)
entries = st.builds(
    lambda number, tags, archive: RegisteredVersion(
        model="lcgan",
        version=str(number),
        aliases=(),
        run_id="",
        archive_path="",
        archive_sha256=archive,
        sync_error="",
        traffic=tags,
    ),
    st.integers(1, 12),
    st.dictionaries(st.sampled_from(TRAFFIC_TAGS), tag_texts),
    st.sampled_from(["ab" * 32, "ab" * 32, "ab" * 32, ""]),
)
readings = st.lists(entries, max_size=5, unique_by=lambda each: each.version)
champions = st.none() | st.integers(1, 12).map(str)
clocks = st.floats(0, 4e9)


@given(readings, champions, clocks)
def test_tags_of_any_text_make_shares_that_sum_to_1_or_a_refusal(
    versions: list[RegisteredVersion], champion: str | None, now: float
) -> None:
    try:
        made = policy(*versions, champion=champion, now=now)
    except PolicyError:
        return
    assert all(0 < arm.share <= 1 for arm in made.arms)
    assert not made.arms or math.isclose(math.fsum(arm.share for arm in made.arms), 1)
    assert champion is None or made.arms, "a champion answers whatever the tags say"
    numbers = [int(arm.version) for arm in made.arms]
    assert numbers == sorted(set(numbers))
    for unit in ("", "ona", None):
        assert (made.assign(unit, lambda: 0.9999999999999999) is None) <= (not made.arms)


@given(readings, champions, clocks, st.randoms(use_true_random=False))
def test_the_order_of_the_versions_does_not_matter(
    versions: list[RegisteredVersion], champion: str | None, now: float, shuffler: random.Random
) -> None:
    shuffled = list(versions)
    shuffler.shuffle(shuffled)
    results: list[TrafficPolicy | str] = []
    for reading in (versions, shuffled):
        try:
            results.append(policy(*reading, champion=champion, now=now))
        except PolicyError as fault:
            results.append(str(fault))
    assert results[0] == results[1]


def deviations(made: TrafficPolicy, counts: Mapping[str, int]) -> list[float]:
    """Return how many standard deviations of a fair draw each version is away from its share."""
    total = sum(counts.values())
    return [
        abs(counts[arm.version] - total * arm.share) / math.sqrt(total * arm.share * (1 - arm.share))
        for arm in made.arms
    ]


@pytest.mark.parametrize("num_units", [100_000, pytest.param(1_000_000, marks=pytest.mark.slow)])
@pytest.mark.parametrize("name", ["{}", "user-{}", "@ona{}@music.example"])
def test_units_are_shared_out_as_fairly_as_a_draw_would(num_units: int, name: str) -> None:
    made = split(v1=90, v2=10)
    counts = Counter(version_of(made, name.format(number)) for number in range(num_units))
    assert max(deviations(made, counts)) < 4


def test_requests_without_a_unit_are_shared_out_by_the_draw() -> None:
    made, draw = split(v1=20, v2=30, v3=50), random.Random(7).random
    assigned = [made.assign(None, draw) for _ in range(20_000)]
    assert {each.by for each in assigned if each} == {AssignedBy.RANDOM}
    assert max(deviations(made, Counter(each.version for each in assigned if each))) < 4
    assert made.assign("", lambda: 0.9999999999999999) == Assignment(version="3", by=AssignedBy.RANDOM)


def test_a_unit_keeps_its_version_over_readings_of_the_same_tags() -> None:
    tags = (entry("1"), entry("2", weight="30"))
    units = [f"user-{number}" for number in range(1000)]
    first = [version_of(policy(*tags), unit) for unit in units]
    # A champion that moves while every version has a weight of its own moves no unit, and no range has an alias in it.
    weighted = (entry("2", weight="30"), entry("1", weight="70"))
    for champion in ("1", "2", "3"):
        if champion != "3":
            assert [version_of(policy(*weighted, champion=champion), unit) for unit in units] == first
    assert set(first) == {"1", "2"}


def test_a_ramp_of_two_versions_moves_only_the_units_that_it_takes() -> None:
    units = [f"user-{number}" for number in range(20_000)]
    steps = [[version_of(split(v1=100 - share, v2=share), unit) for unit in units] for share in (10, 20, 30, 60)]
    for before, after in pairwise(steps):
        moves = Counter(pair for pair in zip(before, after, strict=True) if pair[0] != pair[1])
        assert set(moves) == {("1", "2")}
    moved = sum(one != other for one, other in zip(steps[0], steps[1], strict=True))
    assert abs(moved / len(units) - 0.1) < 0.01


def test_another_salt_deals_all_units_out_again() -> None:
    units = [f"user-{number}" for number in range(2000)]
    arms = (Arm(version="1", share=0.5), Arm(version="2", share=0.5))
    one, other = (TrafficPolicy(model="lcgan", arms=arms, salt=salt) for salt in ("winter", "spring"))
    kept = sum(version_of(one, unit) == version_of(other, unit) for unit in units)
    assert abs(kept / len(units) - 0.5) < 0.06


def test_without_a_split_one_version_has_everything() -> None:
    made = policy()
    for unit in ("ona", None):
        assert made.assign(unit, random.random) == Assignment(version="1", by=AssignedBy.ALONE)
    assert policy(champion=None).assign("ona", random.random) is None


def test_a_revision_names_what_decides_about_requests_and_nothing_else() -> None:
    made = policy(entry("2", ramp=RAMP))
    assert made.revision == policy(entry("2", weight="10"), now=0).revision
    others = (
        policy(entry("2", ramp=RAMP), now=START_S + 1800),
        policy(entry("2", weight="10", salt="winter")),
        policy(entry("2", weight="10", shadow="true")),
        policy(entry("2", weight="10", units="ona")),
        policy(entry("3", weight="10")),
        policy(entry("2", weight="10"), champion="3"),
    )
    assert len({made.revision, *(other.revision for other in others)}) == 7
    assert len(made.revision) == 12
