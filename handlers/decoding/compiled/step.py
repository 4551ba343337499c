"""Step of the compiled decode: three products by torch, and between them the kernels.

Shapes: M rows with padding, S slots, V tokens, W tokens padded to whole blocks, N blocks, sampling settings or nodes of
the lexicon, X = N + 1 edges of blocks, C tokens that are computed at a time or columns of a token's numbers, F found
tokens or numbers of a sequence's state, E embedding or edges of the lexicon, H hidden, G = 4 H gates or contexts, T
token positions, D random numbers of a step, L lists of bad words, B bad words of a list, J edges of nodes, Q keys, K
tokens that share one.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import cache
from typing import Final, TypeVar

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from handlers.decoding.compiled.arguments import Rules, Scratch, Sequences
from handlers.decoding.compiled.loading import Kernels, forget, load, one_compiles, unkept
from handlers.decoding.folded import BLOCK, FoldedDecoder
from handlers.decoding.matmul import PackedLinear, Precision
from handlers.decoding.rule_tables import RuleTables
from handlers.decoding.slots import TOKEN, Slots
from handlers.decoding.step import Products

_log = logging.getLogger(__name__)

FloatMatrix = NDArray[np.float32]

_CHUNK: Final = 1024
_NEVER: Final = -1e30
"""Logarithm of the odds of a token beyond the vocabulary. Differences and products of it are numbers; those of minus
infinity are not."""
_T = TypeVar("_T")
_MIN_ROWS: Final = 16
"""Rows that are worth another thread."""


class CompiledStep(Products):
    """Step of a decoder: it draws the next tokens of some slots.

    Args:
        folded: decoder with precomputed weights.
        precision: precision of the weights.
        kernels: compiled kernels.
        tables: rules of the model.
    """

    def __init__(self, folded: FoldedDecoder, precision: Precision, kernels: Kernels, tables: RuleTables) -> None:
        output_WE, bias_W = folded.outputs()
        # The kernel scales the inputs of integers itself, and adds the bias where it reads the product.
        self._has_scales = precision is Precision.INT8
        output = PackedLinear(output_WE, precision=precision, bound=1.0 if self._has_scales else None)
        super().__init__(folded, precision, output)
        self._kernels, self._tables = kernels, tables
        self._bias_W: FloatMatrix = bias_W.clamp(min=_NEVER).numpy()
        self._table_VG: FloatMatrix = folded.gates_table_VG.numpy()
        lexicon = tables.lexicon
        self._rules = Rules(
            grammar_SF=tables.grammar_SF,
            token_VC=tables.token_VC,
            keys_Q=tables.keys_Q,
            tokens_QK=tables.tokens_QK,
            context_N=lexicon.context_N,
            first_edge_J=lexicon.first_edge_J,
            token_E=lexicon.token_E,
            mask_GW=lexicon.mask_GW,
            entry_GV=lexicon.entry_GV,
            first_child=lexicon.first_child,
            inside=lexicon.inside,
            has_lexicon=tables.has_lexicon,
            has_names=tables.has_names,
        )

        with one_compiles():
            self._make_ready(folded.config.hidden_size, folded.config.embedding_size)

    def _make_ready(self, hidden: int, embedding: int) -> None:
        """Compile the kernels, or find what was compiled; without the code that is kept where that is of no use."""
        others: Callable[[], Kernels]
        for reason, others in (
            ("the compiled decode that is kept does not load; it is compiled again", lambda: self._kernels),
            ("the compiled decode cannot be kept; this process compiles for itself", unkept),
        ):
            try:
                self._compile(hidden, embedding)
            except Exception:  # noqa: BLE001 - whatever numba raises for a damaged file, or for a full disk
                _log.exception(reason)
                forget()
                self._kernels = others()
            else:
                return
        self._compile(hidden, embedding)

    def _compile(self, hidden: int, embedding: int) -> None:
        """Call the kernels for no row: the first call compiles, or finds what another process has compiled."""

        def floats(*shape: int) -> FloatMatrix:
            return np.zeros(shape, dtype=np.float32)

        longs, doubles = np.zeros((1, 1), dtype=np.int64), np.zeros((1, 1))
        sequences = Sequences(
            state_FS=longs,
            tokens_ST=longs,
            uniforms_STD=doubles[None],
            settings_SN=doubles,
            log2_prob_S=doubles[0],
            log2_probs_ST=doubles,
            asked_S3=longs,
            guidance_S=floats(1),
            hashes_LB=longs,
            containing_LF=longs,
        )
        states, gates = floats(1, hidden), floats(1, 4 * hidden)
        self._kernels.advance_cells(0, 0, 1, gates, self._table_VG, longs[0], gates, states, states)
        projected = floats(1, embedding)
        self._kernels.scale_rows(0, 0, self._has_scales, projected, projected, floats(1))
        self._kernels.choose_tokens(
            0, 0, 1, floats(1, self.num_outputs), floats(1), self._bias_W, sequences, self._rules,
            self.scratch(sequences)[0], np.zeros(1, dtype=np.bool_),
        )  # fmt: skip

    def scratch(self, sequences: Sequences) -> list[Scratch]:
        """Return memory for each thread of a decode."""
        found = (
            1
            + sequences.containing_LF.shape[1]
            + self._tables.grammar_SF.shape[1]
            + (sequences.hashes_LB.shape[1] + 2) * self._tables.tokens_QK.shape[1]
            + 2 * sequences.tokens_ST.shape[1]
            + 3
        )
        width = self.num_outputs
        return [
            Scratch(
                weight_W=np.zeros(width, dtype=np.float32),
                odds_C=np.zeros(_CHUNK, dtype=np.float32),
                block_N=np.zeros(width // BLOCK, dtype=np.float32),
                edge_X=np.zeros(width // BLOCK + 1),
                found_F=np.zeros(found, dtype=np.int64),
                key_W=np.zeros(width, dtype=np.int64),
                sum_W=np.zeros(width),
            )
            for _ in range(torch.get_num_threads())
        ]

    def take(self, rows: Rows, sequences: Sequences, count: int, scratch: list[Scratch]) -> int:
        """Draw and store the next tokens of the first slots.

        Args:
            rows: state of the model in each row.
            sequences: state of the sequences.
            count: number of slots.
            scratch: result of `scratch`.

        Returns:
            number of sequences that have ended.
        """
        kernels, per_slot, used = self._kernels, rows.per_slot, count * rows.per_slot
        hidden_MH = rows.hidden[: self.invariant_batch_size(used)]
        gates_MG = self._gates(hidden_MH).numpy()
        token_S = sequences.state_FS[TOKEN]

        def advance(first: int, last: int, _scratch: Scratch) -> None:
            kernels.advance_cells(
                first, last, per_slot, gates_MG, self._table_VG, token_S, rows.gates_MG, rows.cell_MH, rows.hidden_MH
            )

        def choose(first: int, last: int, own: Scratch) -> int:
            return kernels.choose_tokens(
                first, last, per_slot, product_MW, rows.scale_M, self._bias_W, sequences, self._rules, own, rows.ended_S
            )

        _shared(advance, used, scratch)
        projected_ME = self._projection(hidden_MH)
        kernels.scale_rows(0, used, self._has_scales, projected_ME.numpy(), rows.output_ME, rows.scale_M)
        product_MW = self._output(projected_ME).numpy()
        return sum(_shared(choose, count, scratch))


def compiled_step(folded: FoldedDecoder, precision: Precision, tables: RuleTables) -> CompiledStep | None:
    """Return the compiled step, or None where numba is not there or does not compile it; the reason is logged."""
    kernels = load()
    if kernels is None:
        return None
    try:
        return CompiledStep(folded, precision, kernels, tables)
    except Exception:  # noqa: BLE001 - a release of numba that takes other code, or a processor that it does not know
        _log.exception("numba does not compile the decode; torch decodes instead")
        return None


class Rows:
    """State of the model in each row of some slots.

    Args:
        slots: slots, which share their memory with this; guided ones have two rows each.
    """

    def __init__(self, slots: Slots) -> None:
        self.per_slot = slots.rows_per_slot
        self.hidden: Tensor = slots.hidden_SH.reshape(-1, slots.hidden_SH.shape[-1])
        self.hidden_MH, self.cell_MH, self.gates_MG, self.output_ME = (
            each.reshape(-1, each.shape[-1]).numpy()
            for each in (slots.hidden_SH, slots.cell_SH, slots.gates_SG, slots.output_SE)
        )
        self.scale_M = np.ones(len(self.hidden), dtype=np.float32)
        self.ended_S = np.zeros(len(slots), dtype=np.bool_)


def _shared(run: Callable[[int, int, Scratch], _T], count: int, scratch: list[Scratch]) -> list[_T]:
    """Run a kernel for parts of some rows, each in a thread of its own if they are worth it."""
    parts = max(1, min(len(scratch), count // _MIN_ROWS))
    if parts == 1:
        return [run(0, count, scratch[0])]
    edges = [count * part // parts for part in range(parts + 1)]
    others = [_pool(len(scratch)).submit(run, edges[part], edges[part + 1], scratch[part]) for part in range(1, parts)]
    return [run(0, edges[1], scratch[0]), *(other.result() for other in others)]


@cache
def _pool(threads: int) -> ThreadPoolExecutor:
    return ThreadPoolExecutor(threads, thread_name_prefix="decode")
