"""Batch-invariant products with prepacked weights: a row's product is the same in every batch, to the last bit.

A step of the decode is three products of a few rows with matrices that never change, so the matrices are kept in the
layout in which the machine multiplies fastest. The rounding of a product may depend on the number of rows: kernels for
one or two rows add up in another order, and a sampled sentence can depend on the last bit. So each linear layer finds
the numbers of rows that round alike, and smaller batches are padded to one of those. Integer sums have no such order.

Shapes: M rows, K inputs, N outputs.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable
from enum import StrEnum
from typing import Final

import torch
from torch import Tensor

MAX_BATCH: Final = 240
"""Maximum number of rows of a product: no more are compared."""
_FP16_MAX: Final = 65504.0
_MAX_STEP: Final = 63
"""Largest quantised input. With all eight bits, AVX2's sums of two products could overflow."""
_ZERO: Final = 64
_MIN_SCALE: Final = 1e-30
_BF16_MIN_CAPABILITY: Final = (8, 0)
"""Compute capability of Ampere, the first NVIDIA generation that multiplies bfloat16."""


class Precision(StrEnum):
    """Precision of the weights; products are float32 in each."""

    FP32 = "fp32"
    INT8 = "int8"
    """CPU: weights as integers with a scale per output, inputs of 7 bits, exact sums (FBGEMM). A quarter of the memory
    traffic of float32, and nearly twice its arithmetic rate on AVX2."""
    FP16 = "fp16"
    """CPU: weights in half precision, inputs and sums in float32 (FBGEMM). Half the memory traffic, and prepacked."""
    BF16 = "bf16"
    """GPU: weights and inputs in bfloat16, sums in float32."""


_PACKED: Final = {
    Precision.INT8: "linear_with_input_q_dq_qweight_dq_output_fp32",
    Precision.FP16: "linear_dynamic_fp16",
}
"""Torch's names of FBGEMM's products, the fastest first."""


def precisions() -> tuple[Precision, ...]:
    """Return the precisions that a CPU supports, which depend on the build of torch; the fastest first."""
    has_fbgemm = "fbgemm" in torch.backends.quantized.supported_engines
    packed = [each for each, name in _PACKED.items() if has_fbgemm and hasattr(torch.ops.quantized, name)]
    return (*packed, Precision.FP32, Precision.BF16)


def best_precision(device: torch.device, *, kernels: bool) -> Precision:
    """Return the precision that decodes fastest: int8 on a CPU, bfloat16 on a GPU.

    They cost 0.0003 and 0.00002 bits per character.

    Args:
        device: device of the decode.
        kernels: whether the kernels of `handlers.decoding.gpu` decode.
    """
    if device.type == "cuda":
        supports_bf16 = torch.cuda.get_device_capability(device) >= _BF16_MIN_CAPABILITY
        return Precision.BF16 if supports_bf16 else Precision.FP32
    return Precision.BF16 if kernels else precisions()[0]


class PackedLinear:
    """Prepacked linear layer: x W^T + b for one W and b.

    Args:
        weight_NK: W.
        bias_N: b, float32 in every precision; none by default.
        precision: precision of W.
        bound: bound on the size of the inputs, if one is known. Integers need a scale: without a bound, each row has
            its own.

    Raises:
        ValueError: the device lacks the precision, or a weight is too large for FP16.
    """

    def __init__(
        self, weight_NK: Tensor, bias_N: Tensor | None = None, *, precision: Precision, bound: float | None = None
    ) -> None:
        if precision is Precision.INT8:
            self._multiply = _int8(weight_NK, bias_N, bound)
        else:
            self._multiply = _MULTIPLIERS[precision](weight_NK, bias_N)
        self._device = weight_NK.device
        self._num_inputs = weight_NK.shape[1]
        self._stable: dict[int, bool] = {}
        self._sample: tuple[Tensor, Tensor] | None = None

    def __call__(self, rows_MK: Tensor) -> Tensor:
        """Return the products, float32 [M, N]."""
        return self._multiply(rows_MK)

    def invariant_batch_size(self, count: int) -> int:
        """Return the smallest batch size from `count` on whose products equal those in a large batch, bit for bit.

        It is found by trying, once for each size, because it depends on the library, the processor and the threads.
        """
        if self._device.type != "cpu":
            return MAX_BATCH
        while not self._is_stable(count):
            count += 1
        return count

    def _is_stable(self, count: int) -> bool:
        if count >= MAX_BATCH:
            return True
        if count not in self._stable:
            if self._sample is None:
                generator = torch.Generator().manual_seed(0)
                sample_MK = torch.randn(MAX_BATCH, self._num_inputs, generator=generator)
                self._sample = sample_MK, self(sample_MK)
            sample_MK, expected_MN = self._sample
            self._stable[count] = torch.equal(self(sample_MK[:count]), expected_MN[:count])
        return self._stable[count]


def _fp32(weight_NK: Tensor, bias_N: Tensor | None) -> Callable[[Tensor], Tensor]:
    weight_KN = weight_NK.T.contiguous()
    if bias_N is None:
        return lambda rows_MK: rows_MK @ weight_KN
    return lambda rows_MK: torch.addmm(bias_N, rows_MK, weight_KN)


def _fp16(weight_NK: Tensor, bias_N: Tensor | None) -> Callable[[Tensor], Tensor]:
    _check_cpu(weight_NK, Precision.FP16)
    if float(weight_NK.abs().max()) > _FP16_MAX:
        raise ValueError(f"a weight exceeds {_FP16_MAX:g}, the maximum of half precision; use fp32")
    packed = torch.ops.quantized.linear_prepack_fp16(weight_NK.contiguous(), bias_N)
    multiply = getattr(torch.ops.quantized, _PACKED[Precision.FP16])

    def multiply_fp16(rows_MK: Tensor) -> Tensor:
        product_MN: Tensor = multiply(rows_MK, packed)
        return product_MN

    return multiply_fp16


def _int8(weight_NK: Tensor, bias_N: Tensor | None, bound: float | None) -> Callable[[Tensor], Tensor]:
    _check_cpu(weight_NK, Precision.INT8)
    # Where inputs are scaled row by row, the bias is added after the scale is undone.
    packed = _packed(weight_NK.contiguous(), None if bound is None else bias_N)
    multiply = getattr(torch.ops.quantized, _PACKED[Precision.INT8])

    def multiply_bounded(rows_MK: Tensor) -> Tensor:
        product_MN: Tensor = multiply(rows_MK, step, _ZERO, packed)
        return product_MN

    def multiply_any(rows_MK: Tensor) -> Tensor:
        scale_M1 = rows_MK.abs().amax(dim=1, keepdim=True).clamp_min_(_MIN_SCALE)
        product_MN: Tensor = multiply(rows_MK / scale_M1, step, _ZERO, packed)
        if bias_N is None:
            return product_MN.mul_(scale_M1)
        return torch.addcmul(bias_N, product_MN, scale_M1, out=product_MN)

    step = (bound or 1.0) / _MAX_STEP
    return multiply_any if bound is None else multiply_bounded


def _packed(weight_NK: Tensor, bias_N: Tensor | None) -> torch.ScriptObject:
    """Return a matrix in FBGEMM's layout, with a scale per output."""
    scale_N = weight_NK.abs().amax(dim=1).clamp_min_(_MIN_SCALE).double() / 127
    with warnings.catch_warnings():
        # Torch deprecates quantised tensors, but not the products themselves.
        warnings.filterwarnings("ignore", message=".*quantize.*deprecated", category=UserWarning)
        whole_NK = torch.quantize_per_channel(
            weight_NK, scale_N, torch.zeros_like(scale_N, dtype=torch.long), 0, torch.qint8
        )
        packed: torch.ScriptObject = torch.ops.quantized.linear_prepack(whole_NK, bias_N)
    return packed


def _check_cpu(weight_NK: Tensor, precision: Precision) -> None:
    if weight_NK.device.type != "cpu":
        raise ValueError(f"precision {precision} is for the CPU, got device {weight_NK.device}; use bf16 or fp32")


def _bf16(weight_NK: Tensor, bias_N: Tensor | None) -> Callable[[Tensor], Tensor]:
    weight_KN = weight_NK.T.contiguous().bfloat16()
    if weight_NK.device.type != "cuda":
        # Products of bfloat16 numbers are exact in float32, so the CPU adds up the same terms as a GPU.
        exact_KN = weight_KN.float()
        return lambda rows_MK: _plus(rows_MK.bfloat16().float() @ exact_KN, bias_N)
    return lambda rows_MK: _plus(torch.mm(rows_MK.bfloat16(), weight_KN, out_dtype=torch.float32), bias_N)


def _plus(product_MN: Tensor, bias_N: Tensor | None) -> Tensor:
    return product_MN if bias_N is None else product_MN.add_(bias_N)


_MULTIPLIERS: Final = {Precision.FP32: _fp32, Precision.FP16: _fp16, Precision.BF16: _bf16}
