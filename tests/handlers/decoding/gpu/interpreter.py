"""To be imported before anything that imports Triton: where there is no GPU, its interpreter runs the kernels."""

import importlib.util
import os
import sys

import torch

HAS_TRITON = importlib.util.find_spec("triton") is not None
DEVICE = torch.device("cuda" if torch.cuda.is_available() else "cpu")

if HAS_TRITON and DEVICE.type == "cpu" and "TRITON_INTERPRET" not in os.environ:
    # Triton looks at it when it is imported, and again at each kernel's definition.
    assert "triton" not in sys.modules, "something imports Triton before these tests, for which it is to interpret"
    os.environ["TRITON_INTERPRET"] = "1"
