from __future__ import annotations

import dataclasses
import math
from collections.abc import Sequence
from dataclasses import replace
from itertools import pairwise
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from handlers.commentary import Commentator
from handlers.contract import (
    MAX_SAMPLES,
    MAX_SEED,
    CommentaryRequest,
    CommentaryResponse,
    ContractError,
    ErrorCode,
    Sample,
    SamplingParams,
)
from handlers.decoding.engine import Engine, SequenceSpec
from handlers.decoding.random_numbers import derive_seed
from handlers.model.bundle import Bundle
from handlers.ranking.choice import opening
from tests.examples import examples
from tests.handlers import flat
from tests.handlers.acceptabilities import accepting, check
from tests.handlers.tiny_bundles import tiny_bundle


def _ask(commentator: Commentator, **values: Any) -> CommentaryResponse:
    (answer,) = commentator.answer([flat.request(**{"genres": ("dream pop",), "seed": 7, **values})])
    return answer


def _texts(answer: CommentaryResponse) -> list[str]:
    return [sample.text for sample in answer.samples]


@pytest.fixture(scope="module")
def commentator(moving_bundle: Bundle) -> Commentator:
    return Commentator(moving_bundle)


@pytest.mark.parametrize("best_of", [1, 4])
def test_the_reported_seed_of_a_sample_gives_its_text_again_alone(commentator: Commentator, best_of: int) -> None:
    answer = _ask(commentator, num_samples=12, best_of=best_of, seed=None)
    assert len({sample.seed for sample in answer.samples}) == 12
    for sample in answer.samples:
        alone = _ask(commentator, num_samples=1, seed=sample.seed).samples[0]
        assert (alone.text, alone.token_count, alone.seed) == (sample.text, sample.token_count, sample.seed)
        assert alone.log_prob == pytest.approx(sample.log_prob, abs=1e-3)
        assert alone.topics == pytest.approx(sample.topics, abs=1e-4)


def test_the_first_sample_has_the_requests_own_seed(commentator: Commentator) -> None:
    assert _ask(commentator, num_samples=3, seed=MAX_SEED).samples[0].seed == MAX_SEED


def test_fewer_samples_are_the_first_of_more(commentator: Commentator) -> None:
    assert _texts(_ask(commentator, num_samples=9))[:4] == _texts(_ask(commentator, num_samples=4))


def test_without_a_seed_each_request_draws_a_fresh_one_that_doubles_hold_exactly(commentator: Commentator) -> None:
    requests = [CommentaryRequest(genres=(), num_samples=1) for _ in range(8)]
    seeds = [answer.samples[0].seed for answer in commentator.answer(requests)]
    assert len(set(seeds)) == 8
    assert all(int(float(seed)) == seed for seed in seeds)


@pytest.mark.slow
@examples(15)
@given(
    st.lists(
        st.builds(
            CommentaryRequest,
            genres=st.lists(st.sampled_from(["pop", "techno", "polka"]), max_size=3).map(tuple),
            seed=st.integers(0, MAX_SEED),
            num_samples=st.integers(1, 6),
            best_of=st.integers(1, 4),
            sampling=st.builds(SamplingParams, max_tokens=st.integers(1, 20)),
            request_id=st.text("ab", max_size=3),
        ),
        max_size=6,
    )
)
def test_a_request_is_answered_the_same_alone_and_in_any_batch(requests: list[CommentaryRequest]) -> None:
    commentator = Commentator(tiny_bundle())
    answers = commentator.answer(requests)
    assert len(answers) == len(requests)
    for request, answer in zip(requests, answers, strict=True):
        (alone,) = commentator.answer([request])
        assert _texts(alone) == _texts(answer)
        assert [sample.seed for sample in alone.samples] == [sample.seed for sample in answer.samples]
        assert (answer.genres_used, answer.genres_unknown) == (alone.genres_used, alone.genres_unknown)
        assert len(answer.samples) == request.num_samples
        assert answer.request_id == request.request_id


def _score(commentator: Commentator, sample: Sample, *, topic: int = 0, max_tokens: int = 64) -> float:
    """The log share of the wanted topic plus the genres' share of the score of a sample, decoded again alone."""
    bundle = commentator.bundle
    genres = tuple(bundle.genres.indices(["dream pop"]))
    engine = Engine(bundle)
    row = SequenceSpec(genres=genres, seed=sample.seed, sampling=SamplingParams(max_tokens=max_tokens), topic=topic)
    decoded = engine.decode([row])
    assert bundle.vocabulary.decode(decoded[0].ids) == sample.text
    (odds,) = engine.genre_log_odds([row], decoded)
    return math.log(sample.topics[topic]) + 0.3 * odds


def test_the_best_of_several_has_the_highest_score_of_all_candidates(commentator: Commentator) -> None:
    # With one sample, the candidates of best_of=6 can be had one by one: every 64th row of the request.
    best = _ask(commentator, num_samples=1, best_of=6, max_tokens=30)
    seeds = [derive_seed(7, number * MAX_SAMPLES) for number in range(6)]
    candidates = [_ask(commentator, num_samples=1, seed=seed, max_tokens=30).samples[0] for seed in seeds]
    finished = [each for each in candidates if each.token_count < 30]
    winner = max(finished, key=lambda each: _score(commentator, each, max_tokens=30))
    assert (best.samples[0].seed, best.samples[0].text) == (winner.seed, winner.text)


@pytest.mark.slow
def test_more_candidates_never_make_a_sample_worse_and_mostly_better(commentator: Commentator) -> None:
    first = _ask(commentator, num_samples=24).samples
    best = _ask(commentator, num_samples=24, best_of=8).samples
    pairs = [(before, after) for before, after in zip(first, best, strict=True) if before.token_count < 64]
    gains = [_score(commentator, after) - _score(commentator, before) for before, after in pairs]
    assert len(gains) >= 12
    assert min(gains) > -1e-3
    assert sum(gain > 0.1 for gain in gains) > len(gains) / 2


def test_candidates_of_one_sample_are_never_those_of_another(commentator: Commentator) -> None:
    answer = _ask(commentator, num_samples=64, best_of=4)
    assert len({sample.seed for sample in answer.samples}) == 64


def test_a_sentence_that_was_cut_off_is_the_last_choice() -> None:
    # Ends are rare and dear: by the score alone a cut sentence would often win.
    commentator = Commentator(tiny_bundle(end_bias=0.5, scale=1.0))
    cut = _ask(commentator, num_samples=16, max_tokens=12)
    best = _ask(commentator, num_samples=16, max_tokens=12, best_of=16)
    lengths = [sample.token_count for sample in best.samples]
    assert sum(sample.token_count == 12 for sample in cut.samples) > 4
    assert sum(length == 12 for length in lengths) < sum(sample.token_count == 12 for sample in cut.samples)


def test_names_of_the_song_are_put_in_the_place_of_placeholders() -> None:
    commentator = Commentator(tiny_bundle(placeholder_bias=6.0))
    bare = _texts(_ask(commentator, num_samples=20))
    named = _texts(_ask(commentator, num_samples=20, artist="Ona Vell", title="Slow <artist>"))
    assert any("<artist>" in text for text in bare)
    assert any("<title>" in text for text in bare)
    for before, after in zip(bare, named, strict=True):
        expected = before.replace("<title>", "\0").replace("<artist>", "Ona Vell").replace("\0", "Slow <artist>")
        assert after == expected


def test_unknown_genres_are_answered_and_listed_and_doubles_count_once(commentator: Commentator) -> None:
    answer = _ask(commentator, genres=("Dream  Pop", "zydeco", "hazy dream pop", "zydeco", "TECHNO"))
    assert answer.genres_used == ("dream pop", "techno")
    assert answer.genres_unknown == ("zydeco",)
    assert _texts(answer) == _texts(_ask(commentator, genres=("dream pop", "techno")))


def test_no_genre_and_only_unknown_genres_are_the_same_model_without_genre(commentator: Commentator) -> None:
    without = _ask(commentator, genres=())
    unknown = _ask(commentator, genres=("zydeco", ""))
    assert without.genres_used == unknown.genres_used == ()
    assert _texts(without) == _texts(unknown)
    assert _texts(without) != _texts(_ask(commentator))


def test_an_answer_says_which_model_gave_it_and_topics_that_sum_to_one(commentator: Commentator) -> None:
    answer = _ask(commentator, num_samples=8)
    assert (answer.model.name, answer.model.version) == ("lcgan", "1")
    assert answer.timings.decode_ms > 0
    for sample in answer.samples:
        assert sum(sample.topics) == pytest.approx(1, abs=1e-5)
        assert len(sample.topics) == 3


def test_no_requests_are_answered_by_nothing(commentator: Commentator) -> None:
    assert commentator.answer([]) == []


@pytest.mark.parametrize("topic", ["2", "2 tour/label", "Tour/Label", " 2  TOUR/LABEL "])
def test_a_topic_asked_for_by_number_or_name_moves_the_same_seeds_elsewhere(
    commentator: Commentator, topic: str
) -> None:
    wanted = _texts(_ask(commentator, topic=topic))
    assert wanted == _texts(_ask(commentator, topic="2"))
    assert wanted != _texts(_ask(commentator))
    assert _texts(_ask(commentator, topic="1")) == _texts(_ask(commentator)), "topic 1 is the desired one"


def test_the_topic_asked_for_decides_between_candidates(commentator: Commentator) -> None:
    best = _ask(commentator, num_samples=1, best_of=6, max_tokens=30, topic="3").samples[0]
    seeds = [derive_seed(7, number * MAX_SAMPLES) for number in range(6)]
    candidates = [_ask(commentator, num_samples=1, seed=seed, max_tokens=30, topic="3").samples[0] for seed in seeds]
    finished = [each for each in candidates if each.token_count < 30]
    winner = max(finished, key=lambda each: _score(commentator, each, topic=2, max_tokens=30))
    assert (best.seed, best.text) == (winner.seed, winner.text)


@pytest.mark.parametrize("topic", ["4", "0", "-1", "", "warm", "1.0", "1 warm/hazy/synth", "x" * 200])
def test_a_topic_that_is_none_is_refused_by_field_with_those_there_are(commentator: Commentator, topic: str) -> None:
    with pytest.raises(ContractError, match="1 warm/hazy; 2 tour/label; 3 born/raised") as caught:
        _ask(commentator, topic=topic)
    assert (caught.value.code, caught.value.field) == (ErrorCode.INVALID_ARGUMENT, "topic")


def test_a_model_without_generator_refuses_a_topic_that_nothing_would_act_on() -> None:
    commentator = Commentator(tiny_bundle())
    with pytest.raises(ContractError, match=r"ask lcgan, or raise best_of") as caught:
        _ask(commentator, topic="2")
    assert caught.value.field == "topic"
    # With candidates to choose from, the topic decides.
    answers = [_ask(commentator, genres=(), topic=topic, best_of=8, num_samples=8) for topic in ("2", "3")]
    shares = [[sum(sample.topics[k] for sample in answer.samples) for k in (1, 2)] for answer in answers]
    assert shares[0][0] > shares[1][0]
    assert shares[1][1] > shares[0][1]


def test_requests_for_different_topics_share_a_batch(commentator: Commentator) -> None:
    # Cold sentences of a tiny model are often the same.
    warm = SamplingParams(temperature=0.95)
    requests = [CommentaryRequest(genres=(), seed=5, topic=topic, sampling=warm) for topic in (None, "2", "3")]
    answers = commentator.answer(requests)
    for request, answer in zip(requests, answers, strict=True):
        assert _texts(answer) == _texts(commentator.answer([request])[0])
    assert len({tuple(_texts(answer)) for answer in answers}) == 3


def test_a_requests_limits_hold_for_its_samples_and_not_for_its_neighbours(commentator: Commentator) -> None:
    plain = CommentaryRequest(genres=("pop",), seed=5, num_samples=20)
    (free,) = commentator.answer([plain])
    word = _texts(free)[0].split()[0]
    constraints = SamplingParams(min_tokens=8, no_repeat_ngram_size=2, bad_words=(word.upper(),))
    limited = replace(plain, sampling=constraints, best_of=2)
    both = commentator.answer([limited, plain])
    assert _texts(both[1]) == _texts(free)
    assert all(sample.token_count >= 8 for sample in both[0].samples)
    assert any(sample.token_count < 8 for sample in free.samples)
    assert not any(word in text.split() for text in _texts(both[0]))
    assert sum(word in text.split() for text in _texts(free)) > 0


def test_a_guided_request_leaves_its_neighbours_as_they_are(commentator: Commentator) -> None:
    plain = CommentaryRequest(genres=("pop",), seed=5, num_samples=20)
    guided, beside = commentator.answer([replace(plain, sampling=SamplingParams(guidance=3.0)), plain])
    assert _texts(beside) == _texts(commentator.answer([plain])[0])
    assert _texts(guided) != _texts(beside)
    assert _texts(guided) == _texts(commentator.answer([replace(plain, sampling=SamplingParams(guidance=3))])[0])


# With an acceptability

CHECKS = (check(3, 0.5), check(6, 0.25))


@pytest.fixture(scope="module")
def accepting_commentator() -> Commentator:
    weights = {"mean_log_prob": 1.0, "repeated_words": -0.5, "topic": 0.3}
    bundle = tiny_bundle(seed=1, generator=True, end_bias=0.5)
    return Commentator(accepting(bundle, weights, checks=CHECKS, opening_penalty=0.5))


def test_a_model_that_can_rank_has_16_candidates_by_default_and_others_one(accepting_commentator: Commentator) -> None:
    default = _ask(accepting_commentator, num_samples=2)
    assert default.samples == _ask(accepting_commentator, num_samples=2, best_of=16).samples
    plain = Commentator(tiny_bundle())
    assert _ask(plain, num_samples=4).samples == _ask(plain, num_samples=4, best_of=1).samples
    assert (accepting_commentator.default_best_of, plain.default_best_of) == (16, 1)


def test_the_best_by_acceptability_of_those_that_are_not_abandoned_is_answered(
    accepting_commentator: Commentator,
) -> None:
    request = flat.request(genres=("dream pop",), seed=11, num_samples=8, best_of=8)
    (samples,) = accepting_commentator.candidates([request])
    answered = _ask(accepting_commentator, seed=11, num_samples=8, best_of=8).samples
    alone = [_ask(accepting_commentator, seed=11, num_samples=1, best_of=8).samples[0]]
    assert answered[0] == alone[0], "the first sample has no earlier opening"
    left = [each for each in samples[0] if each.abandoned_after is None]
    best = max(left, key=lambda each: (each.decoded.finished, each.score))
    assert (answered[0].seed, answered[0].text) == (best.seed, best.text)
    for candidates, sample in zip(samples, answered, strict=True):
        assert sample.seed in {each.seed for each in candidates}
        assert sample.finish_reason is not None
    abandoned = [each for candidates in samples for each in candidates if each.abandoned_after is not None]
    assert {each.abandoned_after for each in abandoned} == {3, 6}
    assert 32 < len(abandoned) <= 48


def test_the_only_candidate_is_never_abandoned() -> None:
    bundle = tiny_bundle(seed=1, generator=True)
    strict = Commentator(accepting(bundle, checks=(check(1, 0.01),)))
    assert _texts(_ask(strict, best_of=1)) == _texts(_ask(Commentator(bundle), best_of=1))


@pytest.mark.slow
@examples(12)
@given(
    st.lists(
        st.builds(
            CommentaryRequest,
            genres=st.lists(st.sampled_from(["pop", "techno", "polka"]), max_size=3).map(tuple),
            seed=st.integers(0, MAX_SEED),
            num_samples=st.integers(1, 4),
            best_of=st.none() | st.integers(1, 6),
            sampling=st.builds(SamplingParams, max_tokens=st.integers(1, 20), guidance=st.sampled_from([1.0, 2.0])),
        ),
        max_size=5,
    ),
    st.sampled_from([0.0, 0.5]),
)
def test_ranked_requests_are_answered_the_same_alone_and_in_any_batch(
    requests: list[CommentaryRequest], genres: float
) -> None:
    weights = {"mean_log_prob": 1.0, "topic": 0.3, "genres": genres}
    bundle = accepting(tiny_bundle(end_bias=0.5), weights, checks=CHECKS, opening_penalty=0.5)
    commentator = Commentator(bundle, slots=16)
    for request, answer in zip(requests, commentator.answer(requests), strict=True):
        (alone,) = commentator.answer([request])
        assert alone.samples == answer.samples
        (first,) = commentator.answer([replace(request, num_samples=1)])
        assert first.samples == answer.samples[:1]


def test_no_two_samples_open_alike_while_another_candidate_is_within_reach() -> None:
    bundle = tiny_bundle(seed=1, generator=True, num_words=4, end_bias=0.0)

    def openings(penalty: float) -> list[tuple[str, ...]]:
        commentator = Commentator(accepting(bundle, opening_penalty=penalty))
        answer = _ask(commentator, num_samples=10, best_of=8, temperature=0.4)
        return [opening(text) for text in _texts(answer)]

    free, apart = openings(0.0), openings(99.0)
    assert len(set(free)) < len(free)
    assert len(set(apart)) == len(apart)
    assert free[0] == apart[0]


def test_a_topic_that_decides_nothing_is_refused_by_a_model_without_generator() -> None:
    ranked = Commentator(accepting(tiny_bundle(), {"topic": 1.0}))
    assert ranked.topic_of(flat.request(topic="2")) == 1, "16 candidates by default"
    for commentator, best_of in ((ranked, 1), (Commentator(accepting(tiny_bundle())), 8)):
        with pytest.raises(ContractError, match="no generator"):
            commentator.topic_of(flat.request(topic="2", best_of=best_of))


@pytest.mark.slow
@examples(12)
@given(
    num_samples=st.integers(2, 6),
    cuts=st.sets(st.integers(1, 5), max_size=3),
    best_of=st.integers(1, 4),
    penalty=st.sampled_from([0.0, 50.0]),
    seed=st.integers(0, MAX_SEED),
)
def test_the_parts_of_a_request_are_the_whole_to_the_last_bit(
    num_samples: int, cuts: set[int], best_of: int, penalty: float, seed: int
) -> None:
    commentator = Commentator(
        accepting(tiny_bundle(), {"mean_log_prob": 1.0}, checks=(check(3, 0.5),), opening_penalty=penalty)
    )
    asked = CommentaryRequest(genres=("pop",), num_samples=num_samples, best_of=best_of, seed=seed)
    (whole,) = commentator.answer([asked])
    bounds = [0, *sorted(cut for cut in cuts if cut < num_samples), num_samples]
    samples: list[Sample] = []
    for first, stop in pairwise(bounds):
        part = dataclasses.replace(asked, num_samples=stop - first)
        other = dataclasses.replace(asked, seed=1)
        # Another request in the batch changes nothing.
        answered = commentator.answer_batch([other, part], [(), [sample.seed for sample in samples]])
        samples += answered.responses[1].samples
    assert tuple(samples) == whole.samples


def test_candidates_of_a_bundle_without_acceptability_are_not_described(commentator: Commentator) -> None:
    with pytest.raises(ValueError, match="has no acceptability"):
        commentator.candidates([flat.request(best_of=2)])


def test_genres_are_weighed_only_where_they_have_a_weight(
    accepting_commentator: Commentator, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[int] = []

    def counted(_: Engine, specs: Sequence[SequenceSpec], *__: Any) -> list[float]:
        asked.append(len(specs))
        return [0.0] * len(specs)

    monkeypatch.setattr(Engine, "genre_log_odds", counted)
    _ask(accepting_commentator, num_samples=2)
    assert asked == []
    _ask(Commentator(accepting(tiny_bundle(), {"genres": 1.0})), num_samples=2, best_of=3)
    assert asked == [3, 3], "sample by sample"
