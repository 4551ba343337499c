from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import Tensor

from training.cvae import output_loss
from training.cvae.output_loss import VocabularySampler, linear_cross_entropy, target_log_probs

Inputs = tuple[Tensor, Tensor, Tensor, Tensor]


def _inputs(rows: int, size: int, vocabulary: int, *, scale: float = 1.0) -> Inputs:
    generator = torch.Generator().manual_seed(rows + vocabulary)
    draw = [
        scale * torch.randn(*shape, generator=generator, dtype=torch.float64)
        for shape in ((rows, size), (vocabulary, size), (vocabulary,))
    ]
    hidden, weight, bias = (each.requires_grad_() for each in draw)
    return hidden, weight, bias, torch.randint(vocabulary, (rows,), generator=generator)


# One chunk in part and in whole, a lone row behind a whole chunk, several; a vocabulary of one word as well.
@pytest.mark.parametrize("rows", [1, 511, 512, 513, 1500])
@pytest.mark.parametrize("vocabulary", [1, 7, 300])
def test_loss_and_gradients_are_those_of_a_plain_cross_entropy(rows: int, vocabulary: int) -> None:
    hidden, weight, bias, targets = _inputs(rows, 5, vocabulary)
    loss = linear_cross_entropy(hidden, weight, bias, targets)
    plain = torch.nn.functional.cross_entropy(hidden @ weight.T + bias, targets, reduction="sum")
    assert float(loss.detach()) == pytest.approx(float(plain.detach()), rel=1e-12, abs=1e-9)
    # Behind another operation, as in training, where the gradient that arrives is not 1.
    mine = torch.autograd.grad(loss / 3, (hidden, weight, bias))
    theirs = torch.autograd.grad(plain / 3, (hidden, weight, bias))
    for got, expected in zip(mine, theirs, strict=True):
        assert torch.allclose(got, expected, rtol=1e-9, atol=1e-11)


def test_gradients_are_those_of_finite_differences() -> None:
    hidden, weight, bias, targets = _inputs(6, 3, 9)

    def loss(hidden: Tensor, weight: Tensor, bias: Tensor) -> Tensor:
        return linear_cross_entropy(hidden, weight, bias, targets)

    assert torch.autograd.gradcheck(loss, (hidden, weight, bias))


def test_logits_beyond_what_exp_can_hold_give_a_finite_loss() -> None:
    hidden, weight, bias, targets = (
        each.detach().float() if each.is_floating_point() else each for each in _inputs(40, 8, 30, scale=40.0)
    )
    loss = linear_cross_entropy(hidden.requires_grad_(), weight, bias, targets)
    plain = torch.nn.functional.cross_entropy(hidden @ weight.T + bias, targets, reduction="sum")
    assert float(loss.detach()) == pytest.approx(float(plain.detach()), rel=1e-5)
    (gradient,) = torch.autograd.grad(loss, hidden)
    assert bool(torch.isfinite(gradient).all())


@pytest.mark.parametrize("rows", [1, 512, 700])
@pytest.mark.parametrize("scale", [1.0, 6.0, 60.0])
def test_log_probabilities_without_gradients_are_those_of_a_plain_softmax(rows: int, scale: float) -> None:
    hidden, weight, bias, targets = (each.detach() for each in _inputs(rows, 5, 40, scale=scale))
    expected = torch.log_softmax(hidden @ weight.T + bias, dim=1).gather(1, targets.unsqueeze(1)).squeeze(1)
    got = target_log_probs(hidden.float(), weight.float(), bias.float(), targets)
    assert torch.allclose(got.double(), expected, rtol=1e-4, atol=1e-4)
    # Far below what exp can hold as well as far above.
    low = target_log_probs(hidden.float(), weight.float(), bias.float() - 200.0, targets)
    assert torch.allclose(low.double(), expected, rtol=1e-4, atol=1e-3)


def test_the_loss_with_products_in_bfloat16_is_that_in_single_precision_but_for_its_rounding() -> None:
    hidden, weight, bias, targets = (
        each.detach().float().requires_grad_() if each.is_floating_point() else each for each in _inputs(100, 16, 50)
    )
    plain = linear_cross_entropy(hidden, weight, bias, targets)
    rounded = linear_cross_entropy(hidden, weight, bias, targets, bf16=True)
    assert rounded.dtype == torch.float32
    assert float(rounded.detach()) == pytest.approx(float(plain.detach()), rel=1e-2)
    assert float(rounded.detach()) != float(plain.detach())
    for got, expected in zip(
        torch.autograd.grad(rounded, (hidden, weight)), torch.autograd.grad(plain, (hidden, weight)), strict=True
    ):
        assert torch.allclose(got, expected, atol=0.03 * float(expected.abs().max()))


def test_no_rows_cost_nothing() -> None:
    hidden, weight, bias, _ = _inputs(1, 4, 6)
    assert float(linear_cross_entropy(hidden[:0], weight, bias, torch.zeros(0, dtype=torch.int64)).detach()) == 0.0


def test_the_logits_of_a_batch_are_never_there_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[int] = []
    addmm = torch.addmm

    def watched(bias: Tensor, one: Tensor, other: Tensor) -> Tensor:
        seen.append(len(one))
        return addmm(bias, one, other)

    monkeypatch.setattr(torch, "addmm", watched)
    linear_cross_entropy(*_inputs(1100, 4, 20))
    assert sum(seen) == 1100
    assert max(seen) == output_loss._CHUNK


COUNTS = np.array([0, 0, 3000, 1500, 800, 400, 200, 100, *([5] * 60), *([1] * 132)])


def test_the_normaliser_of_a_sampled_vocabulary_is_right_on_average() -> None:
    torch.manual_seed(0)
    sampler = VocabularySampler(COUNTS, 60)
    logits_V = torch.randn(len(COUNTS), dtype=torch.float64) * 1.5
    targets_P = torch.tensor([2, 150, 2, 9])
    exact = float(logits_V.exp().sum())
    draws = []
    for _ in range(4000):
        part = sampler.draw(targets_P)
        draws.append(float((logits_V[part.tokens_S] + part.correction_S).exp().sum()))
    error = float(np.std(draws)) / len(draws) ** 0.5
    assert np.mean(draws) == pytest.approx(exact, abs=4 * error)
    assert error / exact < 0.01
    # Left as they are, the logits of the sample would give far too little: the test would notice.
    assert float(logits_V[part.tokens_S].exp().sum()) < 0.8 * exact


def test_a_sample_has_the_asked_size_on_average_and_frequent_words_are_always_in() -> None:
    torch.manual_seed(0)
    sampler = VocabularySampler(COUNTS, 60)
    parts = [sampler.draw(torch.tensor([2])).tokens_S for _ in range(500)]
    assert np.mean([len(part) for part in parts]) == pytest.approx(60, abs=1.5)
    assert all({2, 3, 4} <= set(part.tolist()) for part in parts)
    assert all(bool((part.diff() > 0).all()) for part in parts)


def test_targets_are_always_in_a_sample_and_found_there() -> None:
    torch.manual_seed(0)
    targets_P = torch.tensor([199, 0, 150, 199, 8])
    part = VocabularySampler(COUNTS, 20).draw(targets_P)
    assert torch.equal(part.tokens_S[part.positions(targets_P)], targets_P)
    assert part.correction_S[part.positions(targets_P)].tolist() == [0.0] * 5
    assert bool((part.correction_S >= 0).all())


@pytest.mark.parametrize("size", [len(COUNTS), 10 * len(COUNTS)])
def test_a_sample_of_the_whole_vocabulary_is_exact(size: int) -> None:
    torch.manual_seed(0)
    hidden, weight, bias, targets = _inputs(50, 4, len(COUNTS))
    part = VocabularySampler(COUNTS, size).draw(targets)
    assert torch.equal(part.tokens_S, torch.arange(len(COUNTS)))
    assert not part.correction_S.any()
    sampled = linear_cross_entropy(
        hidden, weight[part.tokens_S], bias[part.tokens_S] + part.correction_S, part.positions(targets)
    )
    assert float(sampled.detach()) == pytest.approx(float(linear_cross_entropy(hidden, weight, bias, targets).detach()))
