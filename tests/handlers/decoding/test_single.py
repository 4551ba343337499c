from typing import Any

import pytest
import torch

from handlers.contract import SamplingParams
from handlers.decoding.batched import BatchedDecode
from handlers.decoding.engine import Engine, SequenceSpec
from handlers.decoding.matmul import Precision, precisions
from handlers.decoding.random_numbers import derive_seed
from handlers.decoding.single import SingleDecode
from handlers.decoding.slots import Slots
from handlers.model.bundle import Bundle
from tests.handlers.flat import spec
from tests.handlers.tiny_bundles import tiny_bundle

KINDS: list[dict[str, Any]] = [
    {},
    {"top_p": 1.0},
    {"top_p": 0.6},
    {"top_p": 0.3},
    {"top_k": 5},
    {"min_p": 0.1},
    {"min_p": 0.5, "top_p": 0.8},
    {"temperature": 0.0},
    {"temperature": 0.02},
    {"temperature": 2.0, "top_p": 0.8},
    {"max_tokens": 1},
    {"no_repeat_ngram_size": 1},
    {"no_repeat_ngram_size": 2, "top_k": 5},
    {"no_repeat_ngram_size": 3},
]


def _alike(bundle: Bundle, row: SequenceSpec, precision: Precision) -> None:
    engine = Engine(bundle, precision=precision, compiled=False)

    def slots(part: slice, num_steps: int) -> Slots:
        (started,) = engine._start([row][part], None, guided=False)
        return engine._slots([row][part], started, num_steps)

    with torch.inference_mode():
        (expected,) = BatchedDecode(engine._parts, [row], slots, 1).finish()
        assert SingleDecode(engine._parts, row, slots(slice(0, 1), row.sampling.max_tokens)).finish() == expected


@pytest.mark.slow
@pytest.mark.parametrize("kind", KINDS, ids=str)
def test_a_lone_row_is_to_the_last_bit_what_it_is_in_arrays(kind: dict[str, Any], bundle: Bundle) -> None:
    for number in range(12):
        row = spec(**{"genres": (1,), "seed": derive_seed(4, number), "max_tokens": 30, **kind})
        _alike(bundle, row, Precision.FP32)


@pytest.mark.parametrize("precision", precisions())
def test_in_every_precision(precision: Precision) -> None:
    bundle = tiny_bundle(num_words=500, sizes={"embedding_size": 64, "hidden_size": 96, "z_size": 8}, scale=1.0)
    for number in range(6):
        _alike(
            bundle,
            SequenceSpec(genres=(), seed=derive_seed(6, number), sampling=SamplingParams(max_tokens=20)),
            precision,
        )


@pytest.mark.parametrize("bias", [-500.0, 200.0, 1e5])
def test_where_sums_leave_what_single_precision_holds(bias: float) -> None:
    bundle = tiny_bundle()
    bundle.decoder.output_bias.add_(bias)
    for number in range(6):
        _alike(
            bundle,
            SequenceSpec(genres=(1,), seed=derive_seed(7, number), sampling=SamplingParams(max_tokens=12)),
            Precision.FP32,
        )


@pytest.mark.parametrize("limit", [{"min_tokens": 2}, {"bad_words": ("a",)}])
def test_a_row_that_limits_something_is_decoded_in_arrays(limit: dict[str, Any]) -> None:
    assert SingleDecode.supports(SequenceSpec(genres=(), seed=0))
    assert not SingleDecode.supports(spec(**limit))
