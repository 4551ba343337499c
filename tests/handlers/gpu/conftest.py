"""The GPU's kernels on a GPU where there is one, and else in Triton's interpreter, on the CPU."""

import importlib.util
import os
import sys

import pytest
import torch

HAS_TRITON = importlib.util.find_spec("triton") is not None
collect_ignore_glob = [] if HAS_TRITON else ["test_*.py"]  # there is none but for Linux
if HAS_TRITON and not torch.cuda.is_available():
    # Triton looks at it when it is imported, and again at each kernel's definition.
    assert "triton" not in sys.modules, "something imports Triton before these tests, for which it is to interpret"
    os.environ["TRITON_INTERPRET"] = "1"


@pytest.fixture(scope="session")
def device() -> torch.device:
    return torch.device("cuda" if torch.cuda.is_available() else "cpu")
