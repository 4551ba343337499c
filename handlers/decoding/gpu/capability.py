"""What the kernels can decode, for who asks before Triton is imported."""

from __future__ import annotations

import importlib.util
from typing import Final

import torch

DEFAULT_SLOTS: Final = 1024
"""Rows that are decoded at a time by default: enough to fill the GPU."""
MAX_SLOTS: Final = 1 << 14
MAX_VOCABULARY: Final = 1 << 15
"""Of a vocabulary: a row's distribution is in the registers of one program, up to half of it without spilling."""


def supports(device: torch.device, vocabulary_size: int) -> bool:
    """Whether the kernels should decode: on a GPU, if Triton is there, which PyTorch for CUDA brings."""
    return (
        device.type == "cuda" and vocabulary_size <= MAX_VOCABULARY and importlib.util.find_spec("triton") is not None
    )
