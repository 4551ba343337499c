"""What the kernels can decode, for who asks before Triton is imported."""

from __future__ import annotations

import importlib.util
from typing import Final

import torch

SLOTS: Final = 1024
"""Rows that are decoded at a time by default: enough to fill the GPU."""
MOST_SLOTS: Final = 1 << 14
MOST_TOKENS: Final = 1 << 15
"""Of a vocabulary: a row's distribution is in the registers of one program, up to half of it without spilling."""


def suits(device: torch.device, vocabulary_size: int) -> bool:
    """Whether the kernels should decode: on a GPU, if Triton is there, which PyTorch for CUDA brings."""
    return device.type == "cuda" and vocabulary_size <= MOST_TOKENS and importlib.util.find_spec("triton") is not None
