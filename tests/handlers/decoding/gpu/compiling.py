"""Compiles the kernels for a generation of GPUs, on any machine: a line of JSON for each with what it takes.

Run as a program, since within the tests Triton interprets: python compiling.py 90
"""

import json
import subprocess
import sys
import tempfile
from typing import Any

import triton
from triton.backends.compiler import GPUTarget
from triton.backends.nvidia.compiler import get_ptxas
from triton.compiler import ASTSource

from handlers.contract import MAX_BAD_WORDS
from handlers.decoding.gpu.kernels import choice, products
from handlers.decoding.gpu.memory import TOKENS_PER_SLOT
from handlers.decoding.gpu.steps import BLOCK, UNITS, num_warps

KINDS = {"fp32": "*fp32", "bf16": "*bf16"}
BLOCKS = {"PER_SLOT": 1, "ROWS": BLOCK, "INPUTS": BLOCK, "WIDEN": False}


def compiled(kernel: Any, kinds: dict[str, str], constants: dict[str, Any], generation: int, warps: int = 4) -> None:
    """One kernel; pointers are aligned, as torch's are."""
    names = [name for name in kernel.arg_names if name not in constants]
    signature = {name: "constexpr" if name in constants else kinds[name] for name in kernel.arg_names}
    aligned = {
        (place,): [["tt.divisibility", 16]]
        for place, name in enumerate(kernel.arg_names)
        if name in names and kinds[name].startswith("*")
    }
    source = ASTSource(fn=kernel, signature=signature, constexprs=constants, attrs=aligned)
    made = triton.compile(source, target=GPUTarget("cuda", generation, 32), options={"num_warps": warps})
    with tempfile.NamedTemporaryFile("w", suffix=".ptx") as file:
        file.write(made.asm["ptx"])
        file.flush()
        suffix = "a" if generation >= 90 else ""
        command = [get_ptxas(generation).path, "-v", f"-arch=sm_{generation}{suffix}", file.name, "-o", "/dev/null"]
        report = subprocess.run(command, capture_output=True, text=True, check=True).stderr
    found = {"kernel": kernel.__name__, "report": report, "shared": made.metadata.shared, "ptx": made.asm["ptx"]}
    sys.stdout.write(json.dumps(found) + "\n")


def main(generation: int, kind: str, vocabulary: int) -> None:
    """The sizes are those of the reference preset."""
    weights, numbers = KINDS[kind], {"token_S": "*i32", "ended_S": "*i32"}
    lstm = dict.fromkeys(("hidden_MH", "next_MH", "weight_GH"), weights)
    lstm |= dict.fromkeys(("cell_MH", "context_MG", "table_VG"), "*fp32") | numbers
    compiled(products.lstm_kernel, lstm, {"H": 512, "UNITS": UNITS, **BLOCKS}, generation)
    linear = {"inputs_MK": weights, "weight_NK": weights, "added": "*fp32", "added_stride": "i32"} | numbers
    for outputs, inputs, out in ((256, 512, weights), (vocabulary, 256, "*fp32")):
        sizes = {"N": outputs, "K": inputs, "OUTPUTS": BLOCK, **BLOCKS}
        compiled(products.linear_kernel, linear | {"out_MN": out}, sizes, generation)
    choosing = numbers | dict.fromkeys(("log2_MW", "settings_S", "log2_probs_ST"), "*fp32") | {"log2_prob_S": "*fp64"}
    choosing |= dict.fromkeys(("ints_S", "tokens_ST", "token_ints"), "*i32")
    choosing |= dict.fromkeys(("longs_S", "hashes_SD", "token_longs"), "*i64")
    choosing |= dict.fromkeys(("contains_bad_word_SW", "state_forbids"), "*i8")
    choosing |= dict.fromkeys(("context_N", "first_edge_J", "token_E", "entry_GW"), "*i32")
    choosing |= dict.fromkeys(("mask_GW", "marks_SW"), "*i8")
    choosing |= dict.fromkeys(("vocabulary_size", "first_number", "first_child", "inside_words"), "i32")
    width = 1 << (vocabulary - 1).bit_length()
    for per_slot in (1, 2):
        sizes = {"W": vocabulary, "T": TOKENS_PER_SLOT, "D": MAX_BAD_WORDS, "V": width, "K": 512, "PER_SLOT": per_slot}
        compiled(choice.choice_kernel, choosing, sizes, generation, num_warps(width))


if __name__ == "__main__":
    main(int(sys.argv[1]), sys.argv[2], int(sys.argv[3]))
