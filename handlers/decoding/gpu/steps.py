"""Steps of a decode on a GPU: four kernels each, recorded as one CUDA graph per round of steps.

Shapes: M rows, S slots, V tokens, W tokens padded to whole blocks, E embedding or edges of the lexicon, H hidden, G = 4
H gates or contexts of words, T token positions, D bad words, J edges of the lexicon's nodes, K inputs and N outputs of
a product or nodes of the lexicon.
"""

from __future__ import annotations

from contextlib import AbstractContextManager, nullcontext
from typing import Final

import torch
from torch import Tensor
from torch.nn.functional import pad

from handlers.contract import MAX_BAD_WORDS
from handlers.decoding.folded import FoldedDecoder
from handlers.decoding.gpu.kernels import choice, products
from handlers.decoding.gpu.memory import TOKENS_PER_SLOT, Memory
from handlers.decoding.gpu.tables import Tables
from handlers.decoding.matmul import Precision

BLOCK: Final = 64
"""Number of rows, outputs and inputs that a program multiplies at a time; sizes are padded to a multiple of it."""
UNITS: Final = 16
"""Number of hidden units whose four gates a program computes."""
STEPS: Final = 8
"""Number of steps of a round, between two checks for ended sequences. It is even, since each step swaps the buffers of
the hidden state."""
_TOKENS_PER_WARP: Final = 512
_MAX_WARPS: Final = 32
DTYPES: Final = {Precision.FP32: torch.float32, Precision.BF16: torch.bfloat16}


class Steps:
    """Weights of a decoder, and the launches of its kernels on the slots.

    Args:
        folded: decoder with precomputed weights.
        tables: constraints of the vocabulary.
        memory: slots.
        precision: precision of weights and hidden state; sums are float32.
    """

    def __init__(self, folded: FoldedDecoder, tables: Tables, memory: Memory, precision: Precision) -> None:
        self._memory, self._tables = memory, tables
        dtype, config = DTYPES[precision], folded.config
        hidden, embedding = memory.hidden_MH.shape[1], memory.output_ME.shape[1]
        gates_4HH = folded.hidden().view(4, config.hidden_size, config.hidden_size)
        missing = hidden - config.hidden_size
        self._gates_GH = pad(gates_4HH, (0, missing, 0, missing)).flatten(0, 1).to(dtype)
        self._table_VG = pad(folded.gates_table_VG.view(-1, 4, config.hidden_size), (0, missing)).flatten(1)
        narrow = embedding - config.embedding_size
        self._projection_EH = pad(folded.projection(), (0, missing, 0, narrow)).to(dtype)
        output_WE, self._bias_W = folded.outputs(BLOCK)
        self._output_WE = pad(output_WE, (0, narrow)).to(dtype)
        self._vocabulary_size, self._first_number = config.vocabulary_size, config.z_size
        # Triton's interpreter, which replaces a GPU in tests, cannot multiply bfloat16.
        self._device = memory.token_S.device
        self._widen = self._device.type != "cuda"
        self._graphs: dict[int, torch.cuda.CUDAGraph] = {}

    def run_round(self, per_slot: int) -> None:
        """Append `STEPS` tokens to every live sequence, or fewer to one that ends.

        Args:
            per_slot: rows of a slot, 2 with guidance.
        """
        if graph := self._graphs.get(per_slot):
            graph.replay()
            return
        # The first launch compiles the kernels, which cannot be recorded.
        self.launch_round(per_slot)
        if self._device.type == "cuda":
            self._graphs[per_slot] = graph = torch.cuda.CUDAGraph()
            with on_device(self._device), torch.cuda.graph(graph):
                self.launch_round(per_slot)

    def launch_round(self, per_slot: int) -> None:
        """Run `run_round` kernel by kernel, without allocations or waiting for the device."""
        memory = self._memory
        with on_device(self._device):
            for _ in range(STEPS // 2):
                self._step(memory.hidden_MH, memory.next_MH, per_slot)
                self._step(memory.next_MH, memory.hidden_MH, per_slot)

    def _step(self, hidden_MH: Tensor, next_MH: Tensor, per_slot: int) -> None:
        memory = self._memory
        rows, hidden = hidden_MH.shape
        products.lstm_kernel[rows // BLOCK, hidden // UNITS](
            hidden_MH, next_MH, memory.cell_MH, memory.gates_M4H, self._table_VG, self._gates_GH, memory.token_S,
            memory.ended_S, H=hidden, PER_SLOT=per_slot, ROWS=BLOCK, UNITS=UNITS, INPUTS=BLOCK, WIDEN=self._widen,
        )  # fmt: skip
        self._multiply(next_MH, self._projection_EH, memory.output_ME, memory.projected_ME, per_slot)
        self._multiply(memory.projected_ME, self._output_WE, self._bias_W, memory.log2_MW, per_slot)
        outputs, lexicon = memory.log2_MW.shape[1], self._tables.lexicon
        width = 1 << (outputs - 1).bit_length()
        choice.choice_kernel[(rows // per_slot,)](
            memory.log2_MW, memory.token_S, memory.ended_S, memory.ints_S, memory.longs_S, memory.settings_S,
            memory.log2_prob_S, memory.log2_probs_ST, memory.tokens_ST, memory.hashes_SD, memory.contains_bad_word_SW,
            self._tables.state_forbids_SW, self._tables.ints, self._tables.longs, lexicon.context_N,
            lexicon.first_edge_J, lexicon.token_E, lexicon.mask_GW, lexicon.entry_GW, memory.marks_SW,
            self._vocabulary_size, self._first_number, lexicon.first_child, lexicon.inside,
            W=outputs, T=TOKENS_PER_SLOT, D=MAX_BAD_WORDS, V=width, K=lexicon.max_edges, PER_SLOT=per_slot,
            num_warps=num_warps(width),
        )  # fmt: skip

    def _multiply(self, inputs_MK: Tensor, weight_NK: Tensor, added: Tensor, out_MN: Tensor, per_slot: int) -> None:
        (rows, inputs), outputs = inputs_MK.shape, len(weight_NK)
        width = outputs if added.ndim == 2 else 0
        products.linear_kernel[rows // BLOCK, outputs // BLOCK](
            inputs_MK, weight_NK, added, out_MN, self._memory.ended_S, width,
            N=outputs, K=inputs, PER_SLOT=per_slot, ROWS=BLOCK, OUTPUTS=BLOCK, INPUTS=BLOCK, WIDEN=self._widen,
        )  # fmt: skip


def num_warps(width: int) -> int:
    """Return the number of warps of a program that holds a distribution of some width."""
    return max(1, min(_MAX_WARPS, width // _TOKENS_PER_WARP))


def on_device(device: torch.device) -> AbstractContextManager[object]:
    """Make a GPU the current one, on which Triton launches."""
    return torch.cuda.device(device) if device.type == "cuda" else nullcontext()
