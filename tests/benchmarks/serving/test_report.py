"""Figures, tables and the picture of a run whose measurements are known."""

import io
import json
import math
from pathlib import Path

import pytest
from rich.console import Console

from benchmarks.serving.archive import Archive
from benchmarks.serving.calls import Asked
from benchmarks.serving.measures import Level
from benchmarks.serving.plan import Plan, Serving, SweepPlan
from benchmarks.serving.plot import plot_curve
from benchmarks.serving.report import figures, tables
from benchmarks.serving.run import EngineSpeed, Measured
from benchmarks.serving.sweep import Tried, best
from foundation.result_line import ResultFileError, finish

SERVING = Serving(workers=2, threads=1, batch_size=32, delay_ms=5)


def a_level(samples_per_s: float, p50_ms: float = 50.0) -> Level:
    return Level(
        samples_per_s=samples_per_s, requests_per_s=samples_per_s / 5, p50_ms=p50_ms, p90_ms=2 * p50_ms,
        p99_ms=3 * p50_ms, max_ms=4 * p50_ms, decode_ms=p50_ms - 8, queue_ms=8.0, batch_requests=2.0, batch_rows=10.0,
        answered=99, errors={},
    )  # fmt: skip


@pytest.fixture
def measured() -> Measured:
    """Two rounds: the machine was twice as fast in the second. LitServe broke in it, BentoML never started."""
    plan = Plan(serving=SERVING, asked=Asked(), clients=(1, 64), rounds=2, peers=("litserve", "bentoml", "grpc"))
    archive = Archive(path=Path("lcgan_1.mar"), model="lcgan", version="1", batch_size=32, delay_ms=5)
    latencies = (50.0, 55, 60, 2000)
    return Measured(
        plan=plan,
        archive=archive,
        engine=[EngineSpeed(samples_per_s=500, lone_ms=40.0), EngineSpeed(samples_per_s=1000, lone_ms=20.0)],
        servers={
            "torchserve": [(a_level(90, 47.0), a_level(450)), (a_level(180, 27.0), a_level(900))],
            "gateway": [(a_level(80), a_level(440)), (a_level(170), a_level(880))],
            "litserve": [(a_level(70), a_level(300))],
            "grpc": [(a_level(99), a_level(400)), (a_level(199), a_level(800))],
        },
        absent={"litserve": "it broke", "bentoml": "bentoml cannot be installed: no network"},
        open=tuple(a_level(100 * place, latency) for place, latency in enumerate(latencies, 1)),
        offered=(20.0, 40.0, 60.0, 120.0),
    )


def test_ratios_are_taken_within_rounds(measured: Measured) -> None:
    found = figures(measured)
    assert found["vs_engine"] == pytest.approx(0.9)
    assert found["vs_grpc"] == pytest.approx(1.125)
    assert found["overhead_ms_p50"] == pytest.approx(7.0)


def test_a_peer_that_broke_later_is_compared_in_the_rounds_it_has(measured: Measured) -> None:
    assert figures(measured)["vs_litserve"] == pytest.approx(450 / 300)


def test_a_peer_that_never_ran_has_no_ratio_but_a_reason(measured: Measured) -> None:
    found = figures(measured)
    assert math.isnan(found["vs_bentoml"])
    assert "no network" in found["absent"]["bentoml"]


def test_the_knee_is_told_in_requests_per_second(measured: Measured) -> None:
    assert figures(measured)["knee_rps"] == 60.0


def test_tables_show_every_server_and_why_one_is_missing(measured: Measured) -> None:
    shown = io.StringIO()
    for table in tables(measured):
        Console(file=shown, width=120).print(table)
    for text in ("engine alone", "TorchServe", "our gateway", "LitServe", "bare grpc.aio", "no network", "knee"):
        assert text in shown.getvalue()


def test_the_last_line_is_json_without_nan(
    measured: Measured, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    finish("serve", figures(measured), tmp_path / "out.json")
    line = capsys.readouterr().out.splitlines()[-1]
    document = json.loads(line, parse_constant=pytest.fail)
    assert document["name"] == "serve"
    assert document["figures"]["vs_bentoml"] is None
    assert document["machine"]["cores"] >= 1
    assert json.loads((tmp_path / "out.json").read_text()) == document


def test_a_result_that_cannot_be_written_is_told_with_the_way_out(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(ResultFileError, match="--json"):
        finish("serve", {}, tmp_path / "file" / "out.json")


def test_the_picture_is_a_png(measured: Measured, tmp_path: Path) -> None:
    plot_curve(measured, tmp_path / "curve.png")
    assert (tmp_path / "curve.png").read_bytes().startswith(b"\x89PNG")


def test_the_best_way_to_serve_is_the_quickest_for_one_client_among_the_fastest() -> None:
    ways = SweepPlan(cores=2).servings()[:3]
    tried = [
        Tried(serving=way, samples_per_s=rate, p50_ms=p50, batch_rows=100)
        for way, rate, p50 in zip(ways, (1000.0, 985.0, 900.0), (60.0, 50.0, 40.0), strict=True)
    ]
    assert best(tried) is tried[1]
