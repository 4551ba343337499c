"""The benchmark of ranking by value."""

from __future__ import annotations

import math
from dataclasses import replace
from pathlib import Path

import pytest

from benchmarks.training.value_ranking import WAYS, Figures, Result, ValueRanking, cost, summary
from handlers.commentary import Commentator
from handlers.contract import CommentaryRequest, RankBy
from handlers.model.bundle import Bundle
from tests.handlers.acceptabilities import accepting
from tests.handlers.tiny_bundles import tiny_bundle
from tests.handlers.valuing import valuing
from tests.training.conftest import SampleCorpus
from tests.training.pipeline.small_training import SETTINGS
from training.errors import SettingError
from training.pipeline.plan import TrainPlan
from training.pipeline.training import Training
from training.progress import silent
from training.tracking.port import NullTracker

BEFORE = Figures(acceptance=0.4, distinct_2=0.5, copied=0.2)


def _result(seed: int, acceptance: float) -> Result:
    after = Figures(acceptance=acceptance, distinct_2=0.6, copied=0.1)
    return Result(curator="words", verdicts=70, seed=seed, score=BEFORE, by_way=dict.fromkeys(WAYS, after), auc=0.9)


def test_a_summary_is_the_mean_over_the_seeds_with_students_interval() -> None:
    row = summary([_result(0, 0.5), _result(1, 0.6), _result(2, 0.7)])["words, 70 verdicts, both"]
    assert row["gain"] == pytest.approx(0.2)
    half = 4.302653 * 0.1 / math.sqrt(3)
    assert (row["gain_low"], row["gain_high"]) == pytest.approx((0.2 - half, 0.2 + half))
    assert (row["distinct_2"], row["copied_before"], row["copied"]) == pytest.approx((1.2, 0.2, 0.1))


def test_where_nothing_is_learned_nothing_is_gained() -> None:
    refused = Result(curator="words", verdicts=70, seed=1, score=BEFORE)
    row = summary([_result(0, 0.5), refused])["words, 70 verdicts, value"]
    assert (row["runs"], row["refused"], row["gain"]) == (2, 1, pytest.approx(0.05))


def test_the_row_of_all_tastes_has_the_interval_over_their_means() -> None:
    others = [replace(_result(seed, 0.5), curator="openings") for seed in range(2)]
    row = summary([_result(0, 0.6), _result(1, 0.8), *others])["all tastes, 70 verdicts, both, list of 4"]
    assert row["gain"] == pytest.approx(0.2)
    half = 12.706205 * 0.2 / 2
    assert (row["gain_low"], row["gain_high"]) == pytest.approx((0.2 - half, 0.2 + half))


def test_the_cost_of_each_way_is_a_ratio_to_the_model_without_a_value_function() -> None:
    plain = accepting(tiny_bundle(seed=1, generator=True))
    ways = {str(rule): (valuing(plain), rule) for rule in RankBy}
    found = cost(plain, ways, rounds=1, loads=((1, 1), (2, 2)))
    assert list(found) == ["1 requests of 1", "2 requests of 2"]
    for row in found.values():
        assert set(row) == {"plain_ms", *(f"{rule}_ratio" for rule in RankBy)}
        assert min(row.values()) > 0


@pytest.mark.slow
def test_the_ways_choose_what_a_worker_answers_and_a_taste_is_met_more_often(
    sample_corpus: SampleCorpus, tmp_path: Path
) -> None:
    plan = TrainPlan(workspace=tmp_path / "workspace", model_store=tmp_path / "store")
    lines: list[str] = []

    def bench() -> ValueRanking:
        return ValueRanking(
            corpus=sample_corpus.corpus, settings=SETTINGS, workspace=plan.workspace, songs=20, tell=lines.append
        )

    with pytest.raises(SettingError, match=r"holds no finished training .*not done: topics"):
        bench()
    Training(
        corpus=sample_corpus.corpus, settings=SETTINGS, plan=plan, tracker=NullTracker(), watch=lambda _: silent
    ).run()
    made = bench()
    (result,) = made.run([60], [0], ["short sentences"])
    assert "short sentences, 60 verdicts, seed 0: acceptance" in lines[0]
    for way in WAYS:
        assert result.by_way[way].acceptance > result.score.acceptance
    valued = made.valued("short sentences", 60, seed=0)
    chosen = made.chosen(valued)
    requests = [replace(request, num_samples=3) for request in made.requests[:3]]

    def served(bundle: Bundle, rule: RankBy | None) -> list[str]:
        asked = [replace(request, rank_by=rule) for request in requests]
        return [sample.text for answer in Commentator(bundle).answer(asked) for sample in answer.samples]

    for way, (bundle, rule) in made.ways(valued).items():
        if way in chosen:
            assert chosen[way][:9] == served(bundle, rule)
    # With a short list, the model ranks so without being asked.
    short = made.with_checks(valued, WAYS[-1])
    assert chosen[WAYS[-1]][:9] == served(short, None)
    assert made.served[:9] == served(valued, None)
    assert isinstance(made.requests[0], CommentaryRequest)
