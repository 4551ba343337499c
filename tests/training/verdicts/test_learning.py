"""Learning from verdicts: the best point on the way whose sentences stay different and are not copies."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import pytest
import torch

from handlers.commentary import Commentator
from handlers.contract import CommentaryRequest, RankBy
from handlers.decoding.random_numbers import derive_seed
from handlers.model.copies import CopyTable
from handlers.model.generator import Generator
from tests.handlers.acceptabilities import accepting
from tests.handlers.tiny_bundles import tiny_bundle
from tests.handlers.valuing import valuing
from training.pipeline.publish import _advice
from training.verdicts.learning import (
    LEARNED_SHARE,
    RANKS_BY_BOTH,
    Learned,
    ServedWriter,
    between,
    limited,
    reward_values,
)
from training.verdicts.limits import Written

LONG = "one two three four five six seven eight nine"


class LengthValue:
    """Value function of a curator who likes long sentences."""

    def __call__(self, texts: list[str]) -> torch.Tensor:
        return torch.tensor([min(1.0, len(text.split()) / 10) for text in texts])


@pytest.fixture
def base() -> Generator:
    generator = tiny_bundle(generator=True).generator
    assert generator is not None
    return generator


@pytest.fixture
def learned(base: Generator) -> Generator:
    """A generator whose weights are each 1 above the base's, so that a weight tells the share of the way."""
    moved = Generator(base.config)
    moved.load_state_dict({name: value + 1 for name, value in base.state_dict().items()})
    return moved


def share_of(generator: Generator, base: Generator) -> float:
    name, start = next(iter(base.state_dict().items()))
    return round(float((generator.state_dict()[name] - start).flatten()[0]), 4)


def _sentences(value: float, *, same: int = 1, copied: int = 0) -> Written:
    """100 sentences with a value; of `same` in a row each is the first, and the first `copied` are copies."""
    names = [f"{chr(97 + number // 10)}{chr(97 + number % 10)}" for number in range(100)]
    texts = [f"the {names[number - number % same]} and {names[number - number % same]} again" for number in range(100)]
    return Written(texts=tuple(texts), values=(value,) * 100, copied=tuple(number < copied for number in range(100)))


def _limited(
    base: Generator, learned: Generator | None, measure: Callable[[float], Written], served: Written | None = None
) -> Learned:
    """Limit a generator whose sentences follow from the share of the way that it has gone."""
    return limited(base, learned, served or _sentences(0.0), lambda each: measure(share_of(each, base)))


def test_between_lies_on_the_line_from_the_base_to_the_learned_weights(base: Generator, learned: Generator) -> None:
    assert [share_of(between(base, learned, share), base) for share in (0.0, 0.3, 1.0)] == [0.0, 0.3, 1.0]


def test_the_point_with_the_highest_value_within_the_limits_is_taken(base: Generator, learned: Generator) -> None:
    # Value grows with the share; beyond 0.6 sentences are less different, beyond 0.5 they are copied more often.
    found = _limited(
        base,
        learned,
        lambda share: _sentences(0.1 + share, same=1 if share <= 0.6 else 5, copied=0 if share <= 0.5 else 30),
    )
    assert share_of(found.generator, base) == found.figures[LEARNED_SHARE] == 0.4
    assert found.rank_by is RankBy.BOTH
    assert found.figures["value.before"] == 0
    assert found.figures["value.unmoved"] == pytest.approx(0.1)
    assert found.figures["value.after"] == pytest.approx(0.5)


@pytest.mark.parametrize(
    "measure",
    [
        lambda share: _sentences(0.1 + share, same=1 if share == 0 else 5),
        lambda share: _sentences(0.1 + share, copied=0 if share == 0 else 30),
        lambda share: _sentences(0.1 - 0.1 * share),
    ],
    ids=["less different", "copied", "liked less"],
)
def test_the_generator_is_kept_where_no_point_is_better_within_the_limits_and_ranks_by_both(
    base: Generator, learned: Generator, measure: Callable[[float], Written]
) -> None:
    found = _limited(base, learned, measure)
    assert found.generator is base
    assert found.rank_by is RankBy.BOTH
    assert (found.figures[LEARNED_SHARE], found.figures[RANKS_BY_BOTH]) == (0.0, 1.0)
    assert "writes as the version that it continues, and ranks" in _advice(found.figures)


@pytest.mark.parametrize("loss", [{"same": 5}, {"copied": 30}], ids=["less different", "copied"])
def test_the_base_serves_as_ever_where_ranking_by_both_is_not_within_the_limits(
    base: Generator, learned: Generator, loss: dict[str, int]
) -> None:
    found = _limited(base, learned, lambda share: _sentences(0.5 + share, **loss))
    assert (found.generator, found.rank_by) == (base, RankBy.ACCEPTABILITY)
    assert found.figures["value.before"] == found.figures["value.after"] == 0
    assert "it serves as the version that it continues" in _advice(found.figures)


def test_without_a_learned_generator_only_the_ranking_is_judged(base: Generator) -> None:
    found = _limited(base, None, lambda share: _sentences(0.2 + share))
    assert (found.generator, found.rank_by) == (base, RankBy.BOTH)
    assert LEARNED_SHARE not in found.figures


def test_a_gain_that_may_be_chance_moves_nothing(base: Generator, learned: Generator) -> None:
    values = [(number * 37 % 100) / 100 for number in range(100)]

    def measure(share: float) -> Written:
        # Each sentence's value changes at random, by much more than their mean does.
        turned = values[int(90 * share) :] + values[: int(90 * share)]
        return replace(_sentences(0.0), values=tuple(each + 0.01 * (share > 0) for each in turned))

    assert _limited(base, learned, measure).figures[LEARNED_SHARE] == 0.0


def test_a_version_that_moved_is_to_be_compared() -> None:
    assert "it writes, and ranks what it writes, by what curators accept" in _advice({LEARNED_SHARE: 0.1})


def test_a_copy_loses_half_of_its_value_in_the_reward() -> None:
    values = reward_values(LengthValue(), CopyTable.of([LONG]))  # type: ignore[arg-type] # of texts alone
    free = reward_values(LengthValue(), None)  # type: ignore[arg-type]
    assert values([LONG, "short"]).tolist() == pytest.approx([0.45, 0.1])
    assert free([LONG, "short"]).tolist() == pytest.approx([0.9, 0.1])


@pytest.mark.slow
def test_a_writer_measures_the_sentences_that_a_worker_serves() -> None:
    base = accepting(tiny_bundle(generator=True, end_bias=0.0))
    ranked = valuing(base)
    ranked = replace(ranked, config=replace(ranked.config, rank_by=RankBy.BOTH))
    measured = ServedWriter(LengthValue(), [("pop",)] * 5, seed=3)  # type: ignore[arg-type] # takes lists
    written, served = measured.write(ranked), measured.write(base)
    assert written == measured.write(ranked)
    assert written.texts != served.texts
    requests = [CommentaryRequest(genres=("pop",), num_samples=1, seed=derive_seed(3, number)) for number in range(5)]
    for bundle, found in ((base, served), (ranked, written)):
        assert [answer.samples[0].text for answer in Commentator(bundle).answer(requests)] == list(found.texts)
    assert 0 < written.value <= 1
    assert 0 < written.distinct_2 <= 1
    assert written.copied_share == 0
