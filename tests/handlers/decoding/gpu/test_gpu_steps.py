import math
from typing import Any

import pytest
import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode

from handlers.contract import SamplingParams
from handlers.decoding.engine import Engine, SequenceSpec
from handlers.decoding.gpu.decoder import GpuDecoder
from handlers.decoding.matmul import Precision
from handlers.decoding.random_numbers import derive_seed
from handlers.model.bundle import Bundle
from tests.handlers.float64_reference import Reference
from tests.handlers.tiny_bundles import tiny_bundle

PRECISIONS = [Precision.FP32, Precision.BF16]


class _Truncating(Reference):
    """Rounds to bfloat16 as Triton's interpreter does: towards zero, and not to the nearest, as a GPU does."""

    def seen(self, inputs: Tensor, bound: float | None = None) -> Tensor:
        if self.precision is not Precision.BF16 or torch.cuda.is_available():
            return super().seen(inputs, bound)
        return (inputs.float().view(torch.int32) & ~0xFFFF).view(torch.float32).double()


def _engine(bundle: Bundle, device: torch.device, **options: Any) -> tuple[Engine, GpuDecoder]:
    engine = Engine(bundle, device=device, kernels=True, slots=64, **options)
    assert engine._gpu is not None
    return engine, engine._gpu


def _admit(engine: Engine, decoder: GpuDecoder, rows: list[SequenceSpec]) -> Tensor:
    """Rows in the first slots; their contexts."""
    context = torch.cat((engine.latent_vectors(rows), engine.embed_genres(rows)), dim=1)
    decoder._memory.admit(range(len(rows)), rows, [engine._folded.start(context)], decoder._word_repeats)
    return context.cpu()


@pytest.mark.slow
@pytest.mark.parametrize("precision", PRECISIONS)
def test_every_step_has_the_distribution_of_a_plain_float64_reference(
    precision: Precision, device: torch.device
) -> None:
    bundle = tiny_bundle(end_bias=-9.0, num_words=120)
    rows = [
        SequenceSpec(
            genres=(1 + n % 5,) if n % 3 else (), seed=derive_seed(7, n), sampling=SamplingParams(max_tokens=9)
        )
        for n in range(5)
    ]
    engine, decoder = _engine(bundle, device, precision=precision)
    reference = _Truncating(bundle, precision)
    size, hidden_size = len(bundle.vocabulary), 16
    # What is kept in bfloat16 may be rounded the other way, for a last digit of float32.
    near, close = (2e-5, 2e-6) if precision is Precision.FP32 else (1e-2, 4e-3)
    memory, steps = decoder._memory, decoder._steps
    with torch.inference_mode():
        context = _admit(engine, decoder, rows).double()
        before, after = memory.hidden_MH, memory.next_MH
        for _ in range(8):
            state = before[:5, :hidden_size].double().cpu() * 2, memory.cell_MH[:5, :hidden_size].double().cpu() / 2
            tokens = memory.token_S[:5].long().cpu()
            (hidden, cell), expected = reference.step(state, tokens, context)
            log_probs_before = memory.log2_prob_S[:5].clone().cpu()
            steps._step(before, after, 1)
            found = torch.log_softmax(memory.log2_MW[:5, :size].double().cpu() * math.log(2), dim=1)
            assert torch.allclose(found, expected, atol=near)
            assert torch.allclose(after[:5, :hidden_size].double().cpu() * 2, hidden, atol=close)
            assert torch.allclose(memory.cell_MH[:5, :hidden_size].double().cpu() / 2, cell, atol=2e-6)
            drawn = expected.gather(1, memory.token_S[:5].long().cpu().unsqueeze(1)).squeeze(1)
            gained = (memory.log2_prob_S[:5].cpu() - log_probs_before) * math.log(2)
            assert torch.allclose(gained, drawn, atol=2 * near)
            before, after = after, before
        # What pads the sizes to whole blocks stays out of it.
        assert not memory.hidden_MH[:5, hidden_size:].any()
        assert not memory.cell_MH[:5, hidden_size:].any()


class _NoOperation(TorchDispatchMode):  # type: ignore[no-untyped-call] # torch's own __init_subclass__
    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        raise AssertionError(f"{func} is not one of our kernels")


@pytest.mark.skipif(not torch.cuda.is_available(), reason="the interpreter works by operations of torch's")
def test_steps_are_kernels_alone_so_that_a_graph_may_record_them(device: torch.device, bundle: Bundle) -> None:
    # Whatever allocates memory or waits for the device is an operation of torch's.
    engine, decoder = _engine(bundle, device)
    with torch.inference_mode():
        _admit(engine, decoder, [SequenceSpec(genres=(1,), seed=1, sampling=SamplingParams(max_tokens=8))])
        decoder._steps.launch_round(1)
        with _NoOperation():  # type: ignore[no-untyped-call]
            decoder._steps.launch_round(1)


@pytest.mark.skipif(not torch.cuda.is_available(), reason="CUDA graphs need a GPU")
def test_recorded_steps_write_what_launched_ones_write(device: torch.device, moving_bundle: Bundle) -> None:
    rows = [
        SequenceSpec(genres=(1,), seed=derive_seed(3, n), sampling=SamplingParams(max_tokens=40)) for n in range(60)
    ]
    recorded, decoder = _engine(moving_bundle, device)
    launched, other = _engine(moving_bundle, device)
    other._steps.run_round = other._steps.launch_round  # type: ignore[method-assign]
    expected = launched.decode(rows)
    assert recorded.decode(rows) == expected
    assert decoder._steps._graphs
    assert recorded.decode(rows) == expected
