"""Limits of the GPU kernels, importable without Triton."""

from __future__ import annotations

import importlib.util
from typing import Final

import torch

DEFAULT_SLOTS: Final = 1024
"""Default number of sequences that are decoded at a time, enough to fill the GPU."""
MAX_SLOTS: Final = 1 << 14
"""Largest number of sequences that are decoded at a time."""
MAX_VOCABULARY: Final = 1 << 15
"""Largest number of tokens of a vocabulary, since one program holds a distribution in registers. Up to half of it, they
do not spill."""


def supports(device: torch.device, vocabulary_size: int) -> bool:
    """Return whether the kernels can decode: on a GPU, with Triton, which PyTorch for CUDA brings."""
    return (
        device.type == "cuda" and vocabulary_size <= MAX_VOCABULARY and importlib.util.find_spec("triton") is not None
    )
