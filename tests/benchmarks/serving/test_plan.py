"""Plans, phases, arrivals and what programs are told."""

from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest

from benchmarks.serving.calls import Asked, LoadSettings, Phase, arrivals
from benchmarks.serving.plan import Plan, Serving, SweepPlan, read_numbers, read_peers
from benchmarks.serving.programs.settings import ServerSettings
from handlers.contract import CommentaryRequest, ContractError

SERVING = Serving(workers=2, threads=1, batch_size=32, delay_ms=5)
PLAN = Plan(serving=SERVING, asked=Asked())


def test_no_two_requests_of_a_round_have_the_same_seed_whatever_the_phase() -> None:
    phases = PLAN.closed(0)
    seeds = [{PLAN.asked.request(phase.first + number).seed for number in range(5000)} for phase in phases]
    assert len(set.union(*seeds)) == 5000 * len(phases)


@pytest.mark.parametrize("number", [0, 7, 123_456_789_012])
def test_a_payload_is_the_requests_json(number: int) -> None:
    asked = Asked(samples=3, max_tokens=9)
    assert CommentaryRequest.from_json(asked.payload(number)) == asked.request(number)


def test_rounds_differ_by_their_requests_and_servers_of_one_round_do_not() -> None:
    assert PLAN.closed(1) == PLAN.closed(1)
    assert {phase.first for phase in PLAN.closed(0)}.isdisjoint(phase.first for phase in PLAN.closed(1))


def test_the_open_loop_goes_beyond_the_capacity() -> None:
    rates = [phase.rate for phase in PLAN.open(100.0)]
    assert rates == sorted(rates)
    assert rates[-1] > 100


def test_arrivals_are_the_same_for_the_same_seed_and_others_for_another() -> None:
    assert arrivals(50.0, 5.0, 3) == arrivals(50.0, 5.0, 3)
    assert arrivals(50.0, 5.0, 3) != arrivals(50.0, 5.0, 4)


def test_arrivals_are_a_poisson_process() -> None:
    times = arrivals(200.0, 100.0, 1)
    gaps = [later - earlier for earlier, later in pairwise(times)]
    mean = sum(gaps) / len(gaps)
    variance = sum((gap - mean) ** 2 for gap in gaps) / len(gaps)
    assert times == sorted(times)
    assert times[-1] < 100
    assert mean == pytest.approx(1 / 200, rel=0.03)
    # An exponential's standard deviation is its mean.
    assert variance**0.5 == pytest.approx(mean, rel=0.05)


@pytest.mark.parametrize("values", [{}, {"clients": 1, "rate": 1.0}])
def test_a_phase_has_clients_or_a_rate(values: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match="clients or a rate"):
        Phase(**values)


@pytest.mark.parametrize("name", ["workers", "threads", "batch_size", "delay_ms"])
def test_serving_with_nothing_is_refused_by_name(name: str) -> None:
    values: dict[str, int] = {"workers": 2, "threads": 1, "batch_size": 32, "delay_ms": 5, name: 0}
    with pytest.raises(ValueError, match=f"{name} must be at least 1, got 0"):
        Serving(**values)


def test_unknown_peers_are_named() -> None:
    with pytest.raises(ValueError, match="got triton"):
        Plan(serving=SERVING, asked=Asked(), peers=read_peers("grpc,triton"))


@pytest.mark.parametrize("clients", [(), (0, 1), (8, 1), (1, 1)])
def test_clients_must_ascend_from_one(clients: tuple[int, ...]) -> None:
    with pytest.raises(ValueError, match="ascending"):
        Plan(serving=SERVING, asked=Asked(), clients=clients)


def test_a_number_of_samples_that_no_request_may_have_is_refused() -> None:
    with pytest.raises(ContractError, match="num_samples"):
        Asked(samples=1000)


def test_numbers_that_are_none_are_refused() -> None:
    with pytest.raises(ValueError, match="whole numbers"):
        read_numbers("1,many")


def test_a_sweep_always_gives_all_cores_to_the_workers() -> None:
    servings = SweepPlan(cores=8).servings()
    assert {serving.workers * serving.threads for serving in servings} == {8}
    assert len(set(servings)) == len(servings)


def test_what_programs_are_told_arrives_as_it_was() -> None:
    load = LoadSettings(
        protocol="grpc",
        address="127.0.0.1:1",
        out="o",
        phases=(*PLAN.closed(0), *PLAN.open(9.5)),
        asked=Asked(samples=3),
    )
    server = ServerSettings(
        model=Path("m"), archive=Path("a"), scratch=Path("s"), ready=Path("r"), port=1, workers=2, threads=1,
        batch_size=3, delay_ms=4,
    )  # fmt: skip
    assert LoadSettings.from_json(load.to_json()) == load
    assert ServerSettings.from_json(server.to_json()) == server
