from __future__ import annotations

import json
import zipfile
from pathlib import Path

import pytest

from benchmarks.serving.archive import as_version, read_archive
from benchmarks.serving.gateway_goals import GOALS, Measured, figures, tables
from benchmarks.serving.measures import Level
from benchmarks.serving.parts import part_costs
from benchmarks.serving.variants import read_variants
from handlers.contract import CONTRACT, CONTRACT_FIELD
from serving.registry.contents import read_contents
from tests.serving.support import build_archive


def _level(samples_per_s: float, p50_ms: float, **errors: int) -> Level:
    return Level(
        samples_per_s=samples_per_s,
        requests_per_s=samples_per_s / 5,
        p50_ms=p50_ms,
        p90_ms=p50_ms,
        p99_ms=p50_ms,
        max_ms=p50_ms,
        decode_ms=1,
        queue_ms=1,
        batch_requests=1,
        batch_rows=5,
        answered=10,
        errors=errors,
    )


@pytest.fixture
def measured() -> Measured:
    """Three rounds; the machine was slower in the second one, for all."""
    rounds = (1.0, 0.5, 1.0)
    return Measured(
        servers={
            "torchserve": [(_level(100 * each, 40), _level(1000 * each, 400)) for each in rounds],
            "gateway": [(_level(110 * each, 39), _level(980 * each, 410)) for each in rounds],
            "gateway without drift": [(_level(110 * each, 37), _level(1000 * each, 400)) for each in rounds],
            "gateway, traced": [(_level(110 * each, 39.1), _level(970.2 * each, 412)) for each in rounds],
            "gateway, traced, no collector": [
                (_level(110 * each, 39.15), _level(975.1 * each, 411)) for each in rounds
            ],
            "gateway, TLS": [(_level(110 * each, 39.3), _level(960.4 * each, 414)) for each in rounds],
            "gateway, tokens": [(_level(110 * each, 39), _level(980 * each, 410)) for each in rounds],
            "gateway, Open Inference Protocol": [(_level(110 * each, 39), _level(980 * each, 410)) for each in rounds],
            "gateway, traces, TLS, tokens, access log, HTTP door": [
                (_level(110 * each, 39.4), _level(940.8 * each, 416)) for each in rounds
            ],
            "gateway, pool of workers": [(_level(110 * each, 38.5), _level(989.8 * each, 405)) for each in rounds],
            "gateway, HTTP/JSON": [(_level(110 * each, 40), _level(940.8 * each, 416)) for each in rounds],
            "gateway, interleaved": [(_level(90 * each, 52), _level(784 * each, 500)) for each in rounds],
            "gateway with a shadow": [(_level(110 * each, 39.2),) for each in rounds],
            "grpc": [(_level(100 * each, 41), _level(900 * each, 420, UNAVAILABLE=1)) for each in rounds],
        },
        cpu_ms={"gateway": [0.5, 0.4, 0.6], "gateway, TLS": [0.6, 0.6, 0.7]},
        family_cpu_ms={"gateway": [9.0, 9.5, 9.25], "gateway, pool of workers": [8.0, 8.5, 8.25]},
        ready_s={"gateway": [6.0, 9.0, 7.0], "gateway, pool of workers": [4.0, 5.0, 3.0]},
        family_mib={"gateway": [900.0, 901.0, 902.0], "gateway, pool of workers": [700.0, 702.0, 701.0]},
        parts_us={"exposure": 15.0},
        memory_mib=[100.0, 108.0, 103.0],
        memory_requests=200_000,
    )


def test_ratios_and_differences_are_taken_within_a_round(measured: Measured) -> None:
    found = figures(measured)
    assert found["vs_torchserve"] == pytest.approx(0.98)
    assert found["vs_grpc"] == pytest.approx(980 / 900)
    assert found["added_ms_p50"] == pytest.approx(-1)
    assert found["shadow_ms_p50"] == pytest.approx(0.2)
    assert found["drift_rate"] == pytest.approx(0.98)
    assert found["drift_p50"] == pytest.approx(39 / 37)
    assert (found["traced_rate"], found["traced_ms_p50"]) == pytest.approx((0.99, 0.1))
    assert (found["away_rate"], found["away_ms_p50"]) == pytest.approx((0.995, 0.15))
    assert found["interleaved_rate"] == pytest.approx(0.8)
    assert found["interleaved_p50"] == pytest.approx(52 / 39)
    assert found["growth_mib"] == pytest.approx(3)
    assert (found["tls_rate"], found["tls_ms_p50"]) == pytest.approx((0.98, 0.3))
    assert (found["http_rate"], found["http_ms_p50"]) == pytest.approx((0.96, 1.0))
    assert (found["together_rate"], found["together_ms_p50"]) == pytest.approx((0.96, 0.4))
    assert (found["pool_rate"], found["pool_ms_p50"]) == pytest.approx((1.01, -0.5))
    assert found["family_cpu_ms"] == {"gateway": 9.25, "gateway, pool of workers": 8.25}
    assert found["ready_s"] == {"gateway": 7.0, "gateway, pool of workers": 4.0}
    assert found["family_mib"]["gateway, pool of workers"] == 701
    assert found["gateway_cpu_ms"] == 0.5
    assert found["cpu_ms"]["gateway, TLS"] == 0.6
    assert found["errors"] == 3


def test_every_goal_is_a_figure_and_says_whether_it_is_met(measured: Measured) -> None:
    found = figures(measured)
    assert all(goal.is_met(found[goal.figure]) for goal in GOALS)
    by_name = {goal.figure: goal for goal in GOALS}
    assert not by_name["vs_torchserve"].is_met(0.94)
    assert not by_name["added_ms_p50"].is_met(1.1)
    assert [table.row_count for table in tables(measured)] == [len(GOALS), 14, 2]


def test_variants_that_were_not_measured_have_neither_figures_nor_goals(measured: Measured) -> None:
    chosen = read_variants("tls, tokens")
    assert chosen == ("gateway", "gateway, TLS", "gateway, tokens")
    few = Measured(
        servers={name: measured.servers[name] for name in chosen}, cpu_ms=measured.cpu_ms, parts_us={"x": 1.0}
    )
    assert {name for name in figures(few) if name.endswith("_rate")} == {"tls_rate", "tokens_rate"}
    assert [table.row_count for table in tables(few)] == [2, 3, 2]


def test_a_variant_that_does_not_exist_is_refused_with_those_that_do() -> None:
    with pytest.raises(ValueError, match=r"takes torchserve, gateway, .*; got nothing"):
        read_variants("tls,nothing")


def test_every_part_has_a_cost_above_nothing() -> None:
    costs = part_costs(repeats=1, calls=64)
    assert set(costs) == {
        *(
            "assignment",
            "exposure",
            "figures",
            "drift",
            "access",
            "spans",
            "request_conversions",
            "answer_conversions",
            "admission",
        ),
    }
    assert all(cost > 0 for cost in costs.values())


def test_an_archive_under_another_number_is_that_version_for_the_registry(tmp_path: Path) -> None:
    built = build_archive(tmp_path, "lcgan", "1", **{CONTRACT_FIELD: CONTRACT})
    copy = as_version(read_archive(built), "7", tmp_path)
    assert read_contents(copy, model="lcgan", version="7", sha256="ab" * 32).version == "7"
    with zipfile.ZipFile(copy) as opened:
        assert json.loads(opened.read("config.json"))["version"] == "7"
        assert opened.testzip() is None
