"""The GPU's kernels on a GPU where there is one, and else in Triton's interpreter, on the CPU."""

import pytest
import torch

from tests.handlers.decoding.gpu.interpreter import DEVICE, HAS_TRITON

collect_ignore_glob = [] if HAS_TRITON else ["test_*.py"]  # there is none but for Linux


@pytest.fixture(scope="session")
def device() -> torch.device:
    return DEVICE
