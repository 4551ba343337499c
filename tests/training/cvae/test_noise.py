from __future__ import annotations

import pytest
import torch

from handlers.model.vocabulary import BOS_ID, UNK_ID
from training.cvae.noise import StepNoise, mixed_seed


def _noise(share: slice, *, dropout: float = 0.5, word_dropout: float = 0.5) -> StepNoise:
    return StepNoise(rows=40, steps=30, shard=share, dropout=dropout, word_dropout=word_dropout)


def _drawn(share: slice, steps: int) -> list[torch.Tensor]:
    """Everything that a step draws, in its order, for some rows of the same batch."""
    torch.manual_seed(3)
    noise, rows = _noise(share), len(range(40)[share])
    return [
        noise.normal(torch.zeros(rows, 6)),
        noise.drop_words(torch.full((steps, rows), 9)),
        noise.drop(torch.ones(steps, rows, 5)),
        noise.drop(torch.ones(steps, rows, 7)),
    ]


@pytest.mark.parametrize("steps", [30, 12])
def test_a_share_of_the_rows_gets_the_numbers_that_the_whole_batch_has_there(steps: int) -> None:
    normal, hidden, *dropped = _drawn(slice(0, 40), 30)
    for share in (slice(0, 13), slice(13, 40), slice(39, 40)):
        mine = _drawn(share, steps)
        assert torch.equal(mine[0], normal[share])
        assert torch.equal(mine[1], hidden[:steps, share])
        for got, whole in zip(mine[2:], dropped, strict=True):
            assert torch.equal(got, whole[:steps, share])


def test_dropout_keeps_the_mean_and_drops_the_asked_share() -> None:
    torch.manual_seed(0)
    dropped = _noise(slice(0, 40), dropout=0.3).drop(torch.full((30, 40, 50), 2.0))
    assert float((dropped == 0).float().mean()) == pytest.approx(0.3, abs=0.01)
    assert float(dropped.mean()) == pytest.approx(2.0, abs=0.03)
    assert sorted(set(dropped.flatten().tolist())) == pytest.approx([0.0, 2.0 / 0.7])


def test_hidden_words_are_the_asked_share_and_never_the_start() -> None:
    torch.manual_seed(0)
    inputs_TB = torch.full((30, 40), 9)
    inputs_TB[0] = BOS_ID
    hidden_TB = _noise(slice(0, 40), word_dropout=0.2).drop_words(inputs_TB)
    assert hidden_TB[0].tolist() == [BOS_ID] * 40
    assert float((hidden_TB[1:] == UNK_ID).float().mean()) == pytest.approx(0.2, abs=0.03)


def test_nothing_is_drawn_where_nothing_is_to_be_disturbed() -> None:
    torch.manual_seed(0)
    before = torch.get_rng_state()
    noise, values = _noise(slice(0, 40), dropout=0.0, word_dropout=0.0), torch.ones(30, 40, 2)
    assert noise.drop(values) is values
    assert noise.drop_words(values) is values
    assert torch.equal(torch.get_rng_state(), before)


def test_seeds_differ_in_what_torch_makes_of_them_wherever_a_part_does() -> None:
    first = set()
    for parts in ((0, 0), (0, 1), (1, 0), (1, 1), (7, 300), (300, 7), (2**31 - 1, 5), (5, 2**31 - 1)):
        torch.manual_seed(mixed_seed(*parts))
        first.add(float(torch.rand(())))
    assert len(first) == 8
    assert mixed_seed(3, 4) == mixed_seed(3, 4)
