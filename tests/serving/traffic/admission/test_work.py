from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from handlers.contract import MAX_BEST_OF, MAX_SAMPLES, MAX_TOKENS, CommentaryRequest, SamplingParams
from serving.traffic.admission.work import TYPICAL_TOKENS, work_of


def test_the_versions_default_decides_where_a_request_does_not_say_how_many_candidates() -> None:
    request = CommentaryRequest(num_samples=5)
    assert [work_of(request, default_best_of=best_of).sequences for best_of in (1, 16)] == [5, 80]
    assert work_of(CommentaryRequest(num_samples=5, best_of=2), default_best_of=16).sequences == 10


def test_a_guided_request_counts_its_second_branch() -> None:
    sampling = SamplingParams(guidance=2.0)
    with_genres = CommentaryRequest(num_samples=3, genres=("pop",), sampling=sampling)
    without = CommentaryRequest(num_samples=3, sampling=sampling)
    assert work_of(with_genres, default_best_of=1).tokens == 2 * work_of(without, default_best_of=1).tokens


@given(
    num_samples=st.integers(1, MAX_SAMPLES),
    best_of=st.integers(1, MAX_BEST_OF),
    lengths=st.tuples(st.integers(0, MAX_TOKENS), st.integers(1, MAX_TOKENS)).filter(lambda pair: pair[0] <= pair[1]),
)
def test_the_tokens_that_are_expected_lie_between_the_limits_of_the_request(
    num_samples: int, best_of: int, lengths: tuple[int, int]
) -> None:
    low, high = lengths
    sampling = SamplingParams(min_tokens=low, max_tokens=high)
    work = work_of(CommentaryRequest(num_samples=num_samples, best_of=best_of, sampling=sampling), default_best_of=16)
    assert work.sequences == num_samples * best_of
    assert low <= work.tokens / work.sequences <= high
    assert work.tokens / work.sequences <= max(TYPICAL_TOKENS, low)
