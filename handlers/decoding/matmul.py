"""Products with a model's weights: packed once, and the same for a row whatever rows stand beside it.

A step of the decode is three products of a few rows with matrices that never change, so the matrices are kept in the
layout in which the machine multiplies fastest. How a product rounds may depend on the number of rows: kernels for one
or two of them add up in another order, and a sampled sentence can turn on the last bit. So a product knows which
numbers of rows round alike, and smaller batches are padded to one of those. Sums of whole numbers have no such order.

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
"""No more rows are compared, so no more may be multiplied at a time."""
_HALF_MAX: Final = 65504.0
_STEPS: Final = 63
"""Inputs become whole numbers from -63 to 63: with eight bits, AVX2's sums of two products could overflow."""
_ZERO: Final = 64
_LEAST: Final = 1e-30


_BRAIN_SINCE: Final = (8, 0)
"""The first NVIDIA generation that multiplies bfloat16, Ampere."""


class Precision(StrEnum):
    """How weights are kept; products come out in float32 whatever it is."""

    FP32 = "fp32"
    INT8 = "int8"
    """CPU: weights as whole numbers with a scale per output, inputs of 7 bits, exact sums (FBGEMM). A quarter of the
    memory traffic, and nearly twice the arithmetic of float32 on AVX2."""
    FP16 = "fp16"
    """CPU: weights in half precision, inputs and sums in float32 (FBGEMM). Half the memory traffic, and packed."""
    BF16 = "bf16"
    """GPU: weights and inputs in bfloat16, sums in float32."""


_PACKED: Final = {
    Precision.INT8: "linear_with_input_q_dq_qweight_dq_output_fp32",
    Precision.FP16: "linear_dynamic_fp16",
}
"""FBGEMM's products, by torch's names, the fastest first."""


def precisions() -> tuple[Precision, ...]:
    """What there is on a CPU, which depends on how torch was built; the fastest first."""
    has_fbgemm = "fbgemm" in torch.backends.quantized.supported_engines
    packed = [each for each, name in _PACKED.items() if has_fbgemm and hasattr(torch.ops.quantized, name)]
    return (*packed, Precision.FP32, Precision.BF16)


def best_precision(device: torch.device, *, kernels: bool) -> Precision:
    """What decodes fastest: on a CPU whole numbers, 0.0003 bits per character; on a GPU bfloat16, 0.00002 bits.

    Args:
        device: where to decode.
        kernels: whether those of `handlers.decoding.gpu` do.
    """
    if device.type == "cuda":
        has_brain = torch.cuda.get_device_capability(device) >= _BRAIN_SINCE
        return Precision.BF16 if has_brain else Precision.FP32
    return Precision.BF16 if kernels else precisions()[0]


class PackedLinear:
    """x W^T + b for one W and b.

    Args:
        weight_NK: W.
        bias_N: b, float32 in every precision; none by default.
        precision: how W is kept.
        bound: no input is larger than this, if that is known. Whole numbers need a scale: without a bound each row has
            its own.

    Raises:
        ValueError: a precision that the device does not have, or FP16 and a weight that half precision cannot hold.
    """

    def __init__(
        self, weight_NK: Tensor, bias_N: Tensor | None = None, *, precision: Precision, bound: float | None = None
    ) -> None:
        if precision is Precision.INT8:
            self._multiply = _whole(weight_NK, bias_N, bound)
        else:
            self._multiply = _MULTIPLIERS[precision](weight_NK, bias_N)
        self._device = weight_NK.device
        self._num_inputs = weight_NK.shape[1]
        self._stable: dict[int, bool] = {}
        self._sample: tuple[Tensor, Tensor] | None = None

    def __call__(self, rows_MK: Tensor) -> Tensor:
        """Float32 [M, N]."""
        return self._multiply(rows_MK)

    def invariant_batch_size(self, count: int) -> int:
        """The least number of rows from `count` on whose products are, bit for bit, those in a batch of many.

        Found by trying, once for each number: it depends on the library, the processor and the threads.
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


def _full(weight_NK: Tensor, bias_N: Tensor | None) -> Callable[[Tensor], Tensor]:
    weight_KN = weight_NK.T.contiguous()
    if bias_N is None:
        return lambda rows_MK: rows_MK @ weight_KN
    return lambda rows_MK: torch.addmm(bias_N, rows_MK, weight_KN)


def _half(weight_NK: Tensor, bias_N: Tensor | None) -> Callable[[Tensor], Tensor]:
    _check_cpu(weight_NK, Precision.FP16)
    if float(weight_NK.abs().max()) > _HALF_MAX:
        raise ValueError(f"a weight is beyond {_HALF_MAX:g}, the largest of half precision; use fp32")
    packed = torch.ops.quantized.linear_prepack_fp16(weight_NK.contiguous(), bias_N)
    multiply = getattr(torch.ops.quantized, _PACKED[Precision.FP16])

    def multiply_half(rows_MK: Tensor) -> Tensor:
        product_MN: Tensor = multiply(rows_MK, packed)
        return product_MN

    return multiply_half


def _whole(weight_NK: Tensor, bias_N: Tensor | None, bound: float | None) -> Callable[[Tensor], Tensor]:
    _check_cpu(weight_NK, Precision.INT8)
    # A product of inputs that are scaled row by row gets its bias when the scale is back.
    packed = _packed(weight_NK.contiguous(), None if bound is None else bias_N)
    multiply = getattr(torch.ops.quantized, _PACKED[Precision.INT8])

    def multiply_bounded(rows_MK: Tensor) -> Tensor:
        product_MN: Tensor = multiply(rows_MK, step, _ZERO, packed)
        return product_MN

    def multiply_any(rows_MK: Tensor) -> Tensor:
        scale_M1 = rows_MK.abs().amax(dim=1, keepdim=True).clamp_min_(_LEAST)
        product_MN: Tensor = multiply(rows_MK / scale_M1, step, _ZERO, packed)
        if bias_N is None:
            return product_MN.mul_(scale_M1)
        return torch.addcmul(bias_N, product_MN, scale_M1, out=product_MN)

    step = (bound or 1.0) / _STEPS
    return multiply_any if bound is None else multiply_bounded


def _packed(weight_NK: Tensor, bias_N: Tensor | None) -> torch.ScriptObject:
    """A matrix as FBGEMM multiplies it, each output with a scale of its own."""
    scale_N = weight_NK.abs().amax(dim=1).clamp_min_(_LEAST).double() / 127
    with warnings.catch_warnings():
        # Tensors of whole numbers are to leave torch some day; the products themselves are not said to.
        warnings.filterwarnings("ignore", message=".*quantize.*deprecated", category=UserWarning)
        whole_NK = torch.quantize_per_channel(
            weight_NK, scale_N, torch.zeros_like(scale_N, dtype=torch.long), 0, torch.qint8
        )
        packed: torch.ScriptObject = torch.ops.quantized.linear_prepack(whole_NK, bias_N)
    return packed


def _check_cpu(weight_NK: Tensor, precision: Precision) -> None:
    if weight_NK.device.type != "cpu":
        raise ValueError(f"precision {precision} is for the CPU, got device {weight_NK.device}; use bf16 or fp32")


def _brain(weight_NK: Tensor, bias_N: Tensor | None) -> Callable[[Tensor], Tensor]:
    weight_KN = weight_NK.T.contiguous().bfloat16()
    if weight_NK.device.type != "cuda":
        # Products of bfloat16 numbers are exact in float32: what a GPU adds up, added up by the CPU.
        exact_KN = weight_KN.float()
        return lambda rows_MK: _plus(rows_MK.bfloat16().float() @ exact_KN, bias_N)
    return lambda rows_MK: _plus(torch.mm(rows_MK.bfloat16(), weight_KN, out_dtype=torch.float32), bias_N)


def _plus(product_MN: Tensor, bias_N: Tensor | None) -> Tensor:
    return product_MN if bias_N is None else product_MN.add_(bias_N)


_MULTIPLIERS: Final = {Precision.FP32: _full, Precision.FP16: _half, Precision.BF16: _brain}
