"""Rows in, sentences out: the batched decode.

A row is one candidate of one sample of one request. Rows of all requests share slots: one step of the decode takes all
of them on by a token, a row that ends leaves, and the next that waits has its slot at the next step. A row's sentence
is a matter of the weights, the row and its seed, to the last bit: not of the slots, of its neighbours or of the order.

Shapes: B sequences, M sequences with padding, S slots, T token positions, D random numbers of a step, U random numbers
of a sequence, N sampling settings, F numbers of a sequence's state, E embedding, H hidden, G = 4 H gates, Z latent
vector, A genre embedding, C = Z + A context, K topics.
"""

from __future__ import annotations

import copy
from collections.abc import Sequence
from typing import TYPE_CHECKING, Final, TypeVar

import numpy as np
import torch
from torch import Tensor

from handlers.decoding.batched import BatchedDecode, Parts
from handlers.decoding.constraints.grammar import Grammar
from handlers.decoding.constraints.word_repeats import WordRepeats
from handlers.decoding.folded import PADDING, FoldedDecoder, Started
from handlers.decoding.gpu import capability as gpu
from handlers.decoding.guidance import GuidedDecode, paired
from handlers.decoding.matmul import MAX_BATCH, Precision, best_precision
from handlers.decoding.random_numbers import row_uniforms, standard_normals
from handlers.decoding.sampling.filters import SETTINGS
from handlers.decoding.sampling.sampler import DRAWS
from handlers.decoding.sequences import DecodedSequence, SequenceSpec
from handlers.decoding.single import SingleDecode
from handlers.decoding.slots import Slots
from handlers.decoding.step import Step
from handlers.model.bundle import Bundle
from handlers.model.scoring import sentence_log_probs
from handlers.model.vocabulary import BOS_ID, EOS_ID, PAD_ID

if TYPE_CHECKING:
    from handlers.decoding.gpu.decoder import GpuDecoder, Stepper

__all__ = ["DEFAULT_SLOTS", "DecodedSequence", "Engine", "SequenceSpec"]

DEFAULT_SLOTS: Final = 128
"""Rows that are decoded at a time. Memory is bounded by them, whatever a batch brings; more rows wait their turn."""

_Module = TypeVar("_Module", bound=torch.nn.Module)
_SENTENCES_AT_ONCE: Final = 512
"""Known sentences that are scored at a time."""


class Engine:
    """Decodes rows with a bundle's weights.

    Args:
        bundle: the model; it stays as it is.
        device: where to decode.
        slots: rows that are decoded at a time; as many as suit the device by default.
        precision: how the weights are kept; what `best_precision` says by default.
        kernels: whether to decode with the kernels of `handlers.decoding.gpu`; by default where there are a GPU and Triton.

    Raises:
        ValueError: a number of slots that there cannot be, or a precision that the device does not have.
    """

    def __init__(
        self,
        bundle: Bundle,
        *,
        device: torch.device | str = "cpu",
        slots: int | None = None,
        precision: Precision | None = None,
        kernels: bool | None = None,
    ) -> None:
        self.bundle = bundle
        self.device = torch.device(device)
        self.kernels = gpu.supports(self.device, len(bundle.vocabulary)) if kernels is None else kernels
        self.slots = (gpu.DEFAULT_SLOTS if self.kernels else DEFAULT_SLOTS) if slots is None else slots
        most = gpu.MAX_SLOTS if self.kernels else MAX_BATCH
        if not 1 <= self.slots <= most:
            raise ValueError(f"slots must be between 1 and {most}, got {slots}")
        self._decoder = _on(bundle.decoder, self.device)
        self.precision = precision or best_precision(self.device, kernels=self.kernels)
        self._generator = None if bundle.generator is None else _on(bundle.generator, self.device)
        # A GPU has its rows started as many at a time as there are slots: its products may round by their number.
        self._padding = self.slots if self.device.type == "cuda" else PADDING
        grammar, word_repeats = Grammar(bundle.vocabulary), WordRepeats(bundle.vocabulary)
        with torch.inference_mode():
            self._folded = FoldedDecoder(self._decoder, padding=self._padding)
            self._gpu: GpuDecoder | None = None
            if self.kernels:
                from handlers.decoding.gpu.decoder import GpuDecoder  # noqa: PLC0415 - needs Triton, which a CPU's host lacks

                self._gpu = GpuDecoder(self._folded, grammar, word_repeats, precision=self.precision, slots=self.slots)
            else:
                self._parts = Parts(step=Step(self._folded, self.precision), grammar=grammar, word_repeats=word_repeats)

    @torch.inference_mode()
    def decode(self, rows: Sequence[SequenceSpec], z_BZ: Tensor | None = None) -> list[DecodedSequence]:
        """Decode every row to its end; the order of the answer is the order of the rows.

        Args:
            rows: what to decode.
            z_BZ: thought vectors to use as they are; by default each row's own from `latent_vectors`.
        """
        guided = [row.sampling.guidance != 1 and bool(row.genres) for row in rows]
        decoded: dict[int, DecodedSequence] = {}
        for kind in sorted(set(guided)):
            part = [number for number, is_guided in enumerate(guided) if is_guided is kind]
            part_BZ = None if z_BZ is None else z_BZ[part]
            found = self._run([rows[number] for number in part], part_BZ, guided=kind)
            decoded.update(zip(part, found, strict=True))
        return [decoded[number] for number in range(len(rows))]

    def _run(self, rows: Sequence[SequenceSpec], z_BZ: Tensor | None, *, guided: bool) -> list[DecodedSequence]:
        """Decode rows that are all guided, or none of them; their shadows have half of the slots then."""

        def start(part: slice) -> list[Started]:
            return self._start(rows[part], None if z_BZ is None else z_BZ[part].to(self.device), guided=guided)

        def slots(part: slice, num_steps: int) -> Slots:
            own, *shadow = start(part)
            waiting = self._slots(rows[part], own, num_steps)
            return paired(waiting, *shadow) if guided else waiting

        if self._gpu is not None:
            return self._gpu.decode(rows, start, 2 if guided else 1)
        if len(rows) == 1 and not guided and self.device.type == "cpu" and SingleDecode.supports(rows[0]):
            return [SingleDecode(self._parts, rows[0], slots(slice(0, 1), rows[0].sampling.max_tokens)).finish()]
        if guided:
            return GuidedDecode(self._parts, rows, slots, max(1, self.slots // 2)).finish()
        return BatchedDecode(self._parts, rows, slots, self.slots).finish()

    @torch.inference_mode()
    def fill(self, rows: Sequence[SequenceSpec]) -> Stepper:
        """Let rows into a GPU's slots, and what takes them on: for who wants to time steps alone.

        Args:
            rows: at most as many as there are slots, none of them guided.

        Raises:
            ValueError: it is not a GPU's kernels that decode.
        """
        if self._gpu is None:
            raise ValueError("only a GPU's kernels have slots that outlive a decode")
        return self._gpu.fill(rows, self._start(rows, None, guided=False))

    def _start(self, rows: Sequence[SequenceSpec], z_BZ: Tensor | None, *, guided: bool) -> list[Started]:
        """Rows before their first token, and their shadows."""
        rows_BZ = self.latent_vectors(rows) if z_BZ is None else z_BZ
        contexts = [torch.cat((rows_BZ, self.embed_genres(rows)), dim=1)]
        if guided:
            contexts.append(self._without_genres(rows_BZ))
        return [self._folded.start(each_BC) for each_BC in contexts]

    @torch.inference_mode()
    def latent_vectors(self, rows: Sequence[SequenceSpec]) -> Tensor:
        """Each row's z from the prior by its seed, moved by the generator if the model has one: [B, Z]."""
        make = row_uniforms if self._gpu is None else self._gpu.uniforms
        uniforms_BZ = make([row.seed for row in rows], self._decoder.config.z_size)
        z_BZ = standard_normals(uniforms_BZ).to(self.device, torch.float32)
        if self._generator is None:
            return z_BZ
        desired = self.bundle.topics.desired
        topic_B = torch.tensor([desired if row.topic is None else row.topic for row in rows], device=self.device)
        target_BK = torch.nn.functional.one_hot(topic_B, self._generator.config.num_topics).to(z_BZ.dtype)
        padding = (0, 0, 0, -len(rows) % self._padding)
        parts = (torch.nn.functional.pad(each, padding) for each in (z_BZ, self.embed_genres(rows), target_BK))
        moved_MZ: Tensor = self._generator(*parts)
        return moved_MZ[: len(rows)]

    @torch.inference_mode()
    def embed_genres(self, rows: Sequence[SequenceSpec]) -> Tensor:
        """Each row's mean genre embedding a: [B, A]."""
        genres = [row.genres or (0,) for row in rows]
        offsets = torch.tensor([0, *(len(each) for each in genres[:-1])]).cumsum(0)
        flat = torch.tensor([index for each in genres for index in each])
        return self._decoder.embed_genres(flat.to(self.device), offsets.to(self.device))

    @torch.inference_mode()
    def genre_log_odds(
        self, rows: Sequence[SequenceSpec], decoded: Sequence[DecodedSequence], z_BZ: Tensor | None = None
    ) -> list[float]:
        """What each row's genres say for its sentence: log p(x | z, a) - log p(x | z, no genre), in nats.

        Args:
            rows: what was asked for; a row without genres has odds of 0.
            decoded: what `decode` made of them.
            z_BZ: the thought vectors that were given to `decode`, if some were.
        """
        odds = [0.0] * len(rows)
        asked = [number for number, row in enumerate(rows) if row.genres and decoded[number].token_count]
        for start in range(0, len(asked), _SENTENCES_AT_ONCE):
            part = asked[start : start + _SENTENCES_AT_ONCE]
            part_BZ = self.latent_vectors([rows[number] for number in part]) if z_BZ is None else z_BZ[part]
            context_BC = self._without_genres(part_BZ.to(self.device))
            without = self._log_probs([decoded[number] for number in part], context_BC)
            for number, log_prob in zip(part, without, strict=True):
                odds[number] = decoded[number].log_prob - log_prob
        return odds

    @torch.inference_mode()
    def largest_error(self, rows: Sequence[SequenceSpec]) -> float:
        """How far a decode is from torch's own modules: the most that log p of a sentence differs per token, in nats.

        Args:
            rows: what to decode.
        """
        decoded = self.decode(rows)
        context_BC = torch.cat((self.latent_vectors(rows), self.embed_genres(rows)), dim=1)
        expected = self._log_probs(decoded, context_BC)
        return max(
            abs(each.log_prob - log_prob) / each.token_count for each, log_prob in zip(decoded, expected, strict=True)
        )

    def _log_probs(self, decoded: Sequence[DecodedSequence], context_BC: Tensor) -> list[float]:
        """Log p of sentences in another context, by the decoder itself."""
        sentences = [[*each.ids, *([EOS_ID] if each.finished else [])] for each in decoded]
        log_probs: list[float] = sentence_log_probs(self._decoder, sentences, context_BC).tolist()
        return log_probs

    def _without_genres(self, z_BZ: Tensor) -> Tensor:
        """The context of some thought vectors and no genre: [B, C]."""
        none = torch.zeros(len(z_BZ), dtype=torch.long, device=self.device)
        genres_BA = self._decoder.embed_genres(none, torch.arange(len(z_BZ), device=self.device))
        return torch.cat((z_BZ, genres_BA), dim=1)

    def _slots(self, rows: Sequence[SequenceSpec], started: Started, num_steps: int) -> Slots:
        """Rows as they are before their first token, in slots of their own."""
        z_size = self._decoder.config.z_size
        # The first numbers of a row's stream made its z; the tokens take the ones after them.
        uniforms_BU = row_uniforms([row.seed for row in rows], z_size + num_steps * DRAWS)[:, z_size:]
        state_BF = [(BOS_ID, 0, row.sampling.max_tokens, Grammar.start, *WordRepeats.start) for row in rows]
        settings_BN = [[getattr(row.sampling, name) for name in SETTINGS] for row in rows]
        return Slots(
            hidden_SH=started.hidden_BH,
            cell_SH=started.cell_BH,
            gates_SG=started.gates_BG,
            output_SE=started.output_BE,
            settings_SN=np.array(settings_BN, dtype=np.float64),
            uniforms_STD=uniforms_BU.reshape(len(rows), num_steps, DRAWS).numpy(),
            tokens_ST=np.full((len(rows), num_steps), PAD_ID),
            state_FS=np.array(state_BF, dtype=np.int64).T,
            log2_prob_S=np.zeros(len(rows)),
        )


def _on(module: _Module, device: torch.device) -> _Module:
    """A network on a device; a bundle's own stays where it is."""
    return module if device.type == "cpu" else copy.deepcopy(module).to(device)
