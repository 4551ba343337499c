"""Limit of learning from verdicts: the best point on the way whose sentences stay different and are not copies."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch

from handlers.model.copies import CopyTable
from handlers.model.generator import Generator
from tests.handlers.tiny_bundles import tiny_bundle
from training.pipeline.publish import _advice
from training.verdicts.learning import LEARNED_SHARE, ServedWriter, Written, between, limited, reward_values

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


def writer(base: Generator, measure: Callable[[float], Written]) -> Callable[[Generator], Written]:
    return lambda generator: measure(share_of(generator, base))


def test_between_lies_on_the_line_from_the_base_to_the_learned_weights(base: Generator, learned: Generator) -> None:
    assert [share_of(between(base, learned, share), base) for share in (0.0, 0.3, 1.0)] == [0.0, 0.3, 1.0]


def test_the_point_with_the_highest_value_within_the_limits_is_taken(base: Generator, learned: Generator) -> None:
    # Value grows with the share; beyond 0.6 sentences are less different, beyond 0.5 they are copied more often.
    found, figures = limited(
        base,
        learned,
        writer(
            base,
            lambda share: Written(
                value=share, distinct_2=0.5 if share <= 0.6 else 0.4, copied=0.1 if share <= 0.5 else 0.2
            ),
        ),
    )
    assert share_of(found, base) == figures[LEARNED_SHARE] == 0.4
    assert figures["value.before"] == 0
    assert figures["value.after"] == pytest.approx(0.4)


@pytest.mark.parametrize(
    "measure",
    [
        lambda share: Written(value=share, distinct_2=0.5 - share, copied=0.0),
        lambda share: Written(value=share, distinct_2=0.5, copied=share),
        lambda share: Written(value=-share, distinct_2=0.5, copied=0.0),
    ],
    ids=["less different", "copied", "liked less"],
)
def test_the_base_is_kept_and_told_where_no_point_is_within_the_limits(
    base: Generator, learned: Generator, measure: Callable[[float], Written]
) -> None:
    found, figures = limited(base, learned, writer(base, measure))
    assert found is base
    assert figures[LEARNED_SHARE] == 0.0
    assert figures["value.before"] == figures["value.after"]
    assert "judge more samples" in _advice(figures)


def test_a_version_that_moved_is_to_be_compared() -> None:
    assert _advice({LEARNED_SHARE: 0.1}) == "compare it in an experiment"
    assert "ranks by value where a request asks" in _advice({})


def test_a_copy_loses_half_of_its_value_in_the_reward() -> None:
    values = reward_values(LengthValue(), CopyTable.of([LONG]))  # type: ignore[arg-type] # of texts alone
    free = reward_values(LengthValue(), None)  # type: ignore[arg-type]
    assert values([LONG, "short"]).tolist() == pytest.approx([0.45, 0.1])
    assert free([LONG, "short"]).tolist() == pytest.approx([0.9, 0.1])


def test_a_writer_measures_the_sentences_that_a_worker_serves() -> None:
    bundle = tiny_bundle(generator=True, end_bias=0.0)
    assert bundle.generator is not None
    measured = ServedWriter(bundle, LengthValue(), [("pop",)] * 20, seed=3)  # type: ignore[arg-type]
    written = measured.write(bundle.generator)
    assert written == measured.write(bundle.generator)
    assert 0 < written.value <= 1
    assert 0 < written.distinct_2 <= 1
    assert written.copied == 0
