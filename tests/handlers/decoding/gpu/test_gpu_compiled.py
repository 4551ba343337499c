import json
import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

PROGRAM = Path(__file__).with_name("compiling.py")
ROOT = Path(__file__).resolve().parents[4]
HOPPER, AMPERE = 90, 80


def _compiled(generation: int, kind: str, vocabulary: int, cache: Path) -> list[dict[str, Any]]:
    environment = {name: value for name, value in os.environ.items() if name != "TRITON_INTERPRET"}
    environment |= {"TRITON_CACHE_DIR": str(cache), "PYTHONPATH": str(ROOT), "PYTHONWARNINGS": "ignore"}
    command = [sys.executable, str(PROGRAM), str(generation), kind, str(vocabulary)]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False, timeout=200)
    assert done.returncode == 0, done.stderr
    return [json.loads(line) for line in done.stdout.splitlines()]


@pytest.mark.slow
@pytest.mark.parametrize("generation", [HOPPER, AMPERE])
def test_the_reference_models_kernels_compile_and_keep_to_their_registers(generation: int, tmp_path: Path) -> None:
    kernels = _compiled(generation, "bf16", 8000, tmp_path)
    assert [each["kernel"] for each in kernels] == ["lstm_kernel", *["linear_kernel"] * 2, *["choice_kernel"] * 2]
    for each in kernels:
        assert "0 bytes spill stores, 0 bytes spill loads" in each["report"], each["report"]
        # Of an H100's 227 KiB, and an A100's 163.
        assert each["shared"] <= 96 * 1024
    product = "wgmma" if generation == HOPPER else "mma.sync"
    for each in kernels[:3]:
        assert re.search(rf"{product}.*bf16", each["ptx"]), f"{each['kernel']} multiplies without the tensor cores"


@pytest.mark.slow
def test_kernels_in_single_precision_and_for_the_largest_vocabulary_compile(tmp_path: Path) -> None:
    kernels = _compiled(HOPPER, "fp32", 32_768, tmp_path)
    assert len(kernels) == 5
    for each in kernels[:3]:
        assert "tf32" not in each["ptx"], "single precision is to be single precision"
