from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from typer.testing import CliRunner

from benchmarks.cli import app_bench
from benchmarks.training.candidates import Cost, candidates_table, measure_candidates
from handlers.contract import DEFAULT_BEST_OF
from tests.handlers.acceptabilities import accepting
from tests.handlers.tiny_bundles import tiny_bundle
from training.progress import silent

LOADS = ((1, 1), (3, 2))


def test_each_size_of_a_batch_is_measured_with_every_way() -> None:
    seen: list[tuple[float, float]] = []
    threads = torch.get_num_threads()
    costs = measure_candidates(
        accepting(tiny_bundle()), rounds=4, loads=LOADS, progress=lambda done, total, _: seen.append((done, total))
    )
    assert [(cost.num_requests, cost.num_samples) for cost in costs] == list(LOADS)
    assert all(min(cost.first_s, cost.served_s, cost.without_lexicon_s) > 0 for cost in costs)
    assert seen == [(number, 5) for number in range(1, 6)], "four rounds of single requests, one of batches"
    assert torch.get_num_threads() == threads


def test_sixteen_candidates_cost_more_than_one() -> None:
    (cost,) = measure_candidates(accepting(tiny_bundle(end_bias=-2.0)), rounds=3, loads=((4, 8),), progress=silent)
    assert cost.ratio > 1.5


def test_ratios_are_of_the_same_batch() -> None:
    cost = Cost(num_requests=2, num_samples=5, first_s=0.010, served_s=0.025, without_lexicon_s=0.020)
    assert cost.document() == pytest.approx(
        {"requests": 2, "samples": 5, "first_ms": 10, "served_ms": 25, "ratio": 2.5, "lexicon": 1.25}
    )
    assert candidates_table([cost, replace(cost, num_requests=1)]).row_count == 2


def test_the_command_ends_with_the_figures(tmp_path: Path) -> None:
    accepting(tiny_bundle()).save(tmp_path, model_card="")
    result = CliRunner().invoke(app_bench, ["candidates", str(tmp_path), "--quick"], catch_exceptions=False)
    assert result.exit_code == 0
    document = json.loads(result.output.splitlines()[-1])
    assert document["name"] == "candidates"
    assert document["figures"]["best_of"] == DEFAULT_BEST_OF
    assert [each["requests"] for each in document["figures"]["costs"]] == [1, 4]
