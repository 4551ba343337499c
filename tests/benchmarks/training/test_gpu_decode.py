from __future__ import annotations

import math
from pathlib import Path

import pytest
from typer.testing import CliRunner

from benchmarks.cli import app_bench
from benchmarks.training.decode import bench_sequences, endless, random_bundle
from benchmarks.training.gpu_decode import GpuBenchPlan, gpu_table, measure_gpu_decoding
from handlers.decoding.engine import Engine
from tests.handlers.decoding.gpu.interpreter import DEVICE, HAS_TRITON
from training.errors import SettingError
from training.settings import CvaeSettings

SMALL = CvaeSettings(max_vocabulary=100, embedding_size=8, hidden_size=8, z_size=4, genre_size=4)
PLAN = GpuBenchPlan(sequences=2, steps=8, saturated=(1, 3), rounds=1, sentence=2, edge=32, copied=1000)

pytestmark = [pytest.mark.skipif(not HAS_TRITON, reason="Triton is for Linux"), pytest.mark.slow]


def test_every_figure_is_there_and_positive_and_has_its_line() -> None:
    speed = measure_gpu_decoding(random_bundle(SMALL), PLAN, DEVICE)
    numbers = [each for name, each in speed.figures().items() if name != "precision"]
    values = [value for each in numbers for value in (each.values() if isinstance(each, dict) else [each])]
    assert len(values) == 11
    assert all(isinstance(value, float) and value > 0 and math.isfinite(value) for value in values)
    assert set(speed.tokens_per_s) == {1, 3}
    assert gpu_table(speed, PLAN).row_count == 11


def test_rounds_take_every_row_that_was_let_in_some_steps_on() -> None:
    engine = Engine(endless(random_bundle(SMALL)), device=DEVICE, slots=3, kernels=True)
    stepper = engine.fill(bench_sequences(2, 20))
    stepper.run_round()
    stepper.launch_round()
    assert engine._gpu is not None
    assert engine._gpu._memory.ints_S[:4, 0].tolist() == [2 * stepper.steps_per_round] * 2 + [0, 0]
    with pytest.raises(ValueError, match="only GPU kernels have slots that outlive a decode"):
        Engine(random_bundle(SMALL), kernels=False).fill(bench_sequences(1, 2))


@pytest.mark.skipif(DEVICE.type == "cuda", reason="there is a GPU")
def test_a_gpu_that_is_not_there_is_named(tmp_path: Path) -> None:
    done = CliRunner().invoke(app_bench, ["decode", "--device", "cuda:3", "--json", str(tmp_path / "x.json")])
    assert isinstance(done.exception, SettingError)
    assert "--device cuda:3 cannot be used here" in str(done.exception)
    assert not (tmp_path / "x.json").exists()
