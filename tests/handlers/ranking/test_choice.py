from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from handlers.ranking.choice import Scored, choose


def _scored(index: int, score: float, text: str, *, finished: bool = True) -> Scored:
    return Scored(index=index, finished=finished, score=score, text=text)


def test_the_highest_score_is_chosen_and_of_equal_ones_the_first() -> None:
    candidates = [_scored(4, 0.5, "a b c"), _scored(5, 1.5, "d e f"), _scored(6, 1.5, "g h i")]
    assert choose([candidates], 1.0) == [5]


def test_a_sentence_that_was_cut_off_is_the_last_choice() -> None:
    candidates = [_scored(0, 9.0, "a", finished=False), _scored(1, -9.0, "b")]
    assert choose([candidates], 1.0) == [1]


def test_an_opening_of_an_earlier_sample_costs_the_penalty() -> None:
    first = [_scored(0, 1.0, "The song opens with hiss.")]
    for lead, expected in ((0.9, 2), (1.1, 1)):
        second = [_scored(1, lead, "The song, opens on a hum."), _scored(2, 0.0, "A slow hum.")]
        assert choose([first, second], 1.0) == [0, expected]
    # Without another candidate within reach, the opening is repeated.
    assert choose([first, [_scored(1, 0.0, "the song opens")]], 1.0) == [0, 1]


def test_the_same_three_words_are_an_opening_whatever_their_case_and_marks() -> None:
    samples = [
        [_scored(0, 0.0, "It's a warm hum.")],
        [_scored(1, 0.5, "“It’s a, WARM tape"), _scored(2, 0.0, "It's a cold hum.")],
    ]
    assert choose(samples, 1.0) == [0, 2]


@given(
    st.lists(
        st.lists(st.tuples(st.floats(-3, 3), st.sampled_from(["a b c d", "a b c", "b c d"])), min_size=1, max_size=4),
        min_size=1,
        max_size=5,
    )
)
def test_fewer_samples_are_the_first_of_more(groups: list[list[tuple[float, str]]]) -> None:
    samples = [
        [_scored(10 * g + n, score, text) for n, (score, text) in enumerate(group)] for g, group in enumerate(groups)
    ]
    chosen = choose(samples, 0.7)
    for count in range(len(samples)):
        assert choose(samples[:count], 0.7) == chosen[:count]
