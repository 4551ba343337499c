"""Rule of values: what each part of it decides."""

from __future__ import annotations

from typing import Any

from handlers.contract import RankBy
from handlers.ranking.value_rule import Valued, best_by_value


def _candidate(index: int, **values: Any) -> Valued:
    plain = {"finished": True, "text": f"{index} hums", "log_odds": 0.0, "copies": 0, "score": 0.0}
    return Valued(index=index, **{**plain, **values})


def test_the_highest_log_odds_win_and_the_first_of_equals() -> None:
    sample = [_candidate(0), _candidate(1, log_odds=0.4), _candidate(2, log_odds=0.4)]
    assert best_by_value([sample], RankBy.VALUE) == [1]


def test_the_score_counts_half_where_both_rank_and_not_at_all_where_the_value_ranks_alone() -> None:
    sample = [_candidate(0, log_odds=0.9), _candidate(1, score=2.0)]
    assert best_by_value([sample], RankBy.VALUE) == [0]
    assert best_by_value([sample], RankBy.BOTH) == [1]
    assert best_by_value([[_candidate(0, log_odds=1.1), _candidate(1, score=2.0)]], RankBy.BOTH) == [0]


def test_a_copy_loses_log_odds_of_two_however_long_it_is() -> None:
    for copies in (1, 9):
        copy = _candidate(0, log_odds=1.9, copies=copies)
        assert best_by_value([[copy, _candidate(1)]], RankBy.VALUE) == [1]
        assert best_by_value([[_candidate(0, log_odds=2.1, copies=copies), _candidate(1)]], RankBy.VALUE) == [0]


def test_a_sentence_that_was_cut_off_ranks_last() -> None:
    sample = [_candidate(0, log_odds=9.0, finished=False), _candidate(1, log_odds=-9.0)]
    assert best_by_value([sample], RankBy.VALUE) == [1]


def test_an_opening_of_an_earlier_sample_costs_log_odds_of_one() -> None:
    first = [_candidate(0, text="a warm hum of tape")]
    second = [_candidate(1, text="a warm hum again", log_odds=0.9), _candidate(2, text="drums fall apart")]
    assert best_by_value([first, second], RankBy.VALUE) == [0, 2]
    assert best_by_value([second], RankBy.VALUE) == [1]
