"""Decoding engine: sequences of a batch of requests become sentences together.

A sequence is one candidate of one sample of one request. The sequences of all requests share slots: each step of the
decode advances all of them by a token, a sequence that ends leaves, and the next that waits takes its slot at the next
step. A sentence depends on the weights, the specification and the seed alone, to the last bit: not on the number of
slots, the other sequences or the order.

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
from handlers.decoding.compiled.decode import CompiledDecode
from handlers.decoding.compiled.step import compiled_step
from handlers.decoding.constraints.grammar import Grammar
from handlers.decoding.constraints.lexicon_words import LexiconWords
from handlers.decoding.constraints.name_repeats import NameRepeats
from handlers.decoding.constraints.word_repeats import WordRepeats
from handlers.decoding.folded import PADDING, FoldedDecoder, Started, padded_outputs
from handlers.decoding.gpu import capability as gpu
from handlers.decoding.guidance import GuidedDecode, paired
from handlers.decoding.matmul import MAX_BATCH, Precision, best_precision
from handlers.decoding.random_numbers import derive_seed, row_uniforms, standard_normals
from handlers.decoding.rivals import Rivals, settled
from handlers.decoding.rule_tables import RuleTables
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
"""Sequences that are decoded at a time. They bound the memory, whatever the batch; further sequences wait."""

_Module = TypeVar("_Module", bound=torch.nn.Module)
_COMPONENT: Final = 1 << 40
"""Index of the derived seed that chooses a component of the latent mixture; no sequence of a request has it."""
_SENTENCES_AT_ONCE: Final = 512
"""Given sentences that are scored at a time."""


class Engine:
    """Decoder of sequences with a bundle's weights.

    Args:
        bundle: model to decode with; it is not changed.
        device: device of the decode.
        slots: sequences that are decoded at a time; by default, a number that suits the device.
        precision: precision of the weights; by default that of `best_precision`.
        kernels: whether the kernels of `handlers.decoding.gpu` decode; by default where there are a GPU and Triton.
        compiled: whether a CPU decodes by `handlers.decoding.compiled`; by default where numba is there.

    Raises:
        ValueError: the number of slots is out of range, or the device lacks the precision.
    """

    def __init__(
        self,
        bundle: Bundle,
        *,
        device: torch.device | str = "cpu",
        slots: int | None = None,
        precision: Precision | None = None,
        kernels: bool | None = None,
        compiled: bool | None = None,
    ) -> None:
        self.bundle = bundle
        self.device = torch.device(device)
        self.kernels = gpu.supports(self.device, len(bundle.vocabulary)) if kernels is None else kernels
        self.slots = (gpu.DEFAULT_SLOTS if self.kernels else DEFAULT_SLOTS) if slots is None else slots
        max_slots = gpu.MAX_SLOTS if self.kernels else MAX_BATCH
        if not 1 <= self.slots <= max_slots:
            raise ValueError(f"slots must be between 1 and {max_slots}, got {slots}")
        self._decoder = _on(bundle.decoder, self.device)
        self.precision = precision or best_precision(self.device, kernels=self.kernels)
        self._generator = None if bundle.generator is None else _on(bundle.generator, self.device)
        self._latent = None if bundle.latent is None else bundle.latent.to(self.device)
        # On a GPU, starts are padded to the number of slots, because the rounding of products may depend on their size.
        self._padding = self.slots if self.device.type == "cuda" else PADDING
        self.compiled = False
        """Whether `handlers.decoding.compiled` decodes: other last bits, and some other texts, than torch's steps."""
        grammar, word_repeats = Grammar(bundle.vocabulary), WordRepeats(bundle.vocabulary)
        with torch.inference_mode():
            self._folded = FoldedDecoder(self._decoder, padding=self._padding)
            self._gpu: GpuDecoder | None = None
            if self.kernels:
                from handlers.decoding.gpu.decoder import GpuDecoder  # noqa: PLC0415 - needs Triton, which a CPU's host lacks

                self._gpu = GpuDecoder(
                    self._folded,
                    grammar,
                    word_repeats,
                    precision=self.precision,
                    slots=self.slots,
                    lexicon=bundle.lexicon,
                    name_repeats=None if bundle.lexicon is None else NameRepeats(bundle.vocabulary),
                )
            else:
                lexicon_words = name_repeats = None
                if bundle.lexicon is not None:
                    num_outputs = padded_outputs(len(bundle.vocabulary))
                    lexicon_words = LexiconWords(bundle.lexicon, num_outputs, self.device)
                    name_repeats = NameRepeats(bundle.vocabulary)
                wanted = self.device.type == "cpu" and compiled is not False
                tables = RuleTables.of(grammar, word_repeats, lexicon_words=lexicon_words, name_repeats=name_repeats)
                step = compiled_step(self._folded, self.precision, tables) if wanted else None
                if compiled and wanted and step is None:
                    raise ValueError(
                        "there is no compiled decode: numba is not installed, or does not load (see the log)"
                    )
                self.compiled = step is not None
                self._parts = Parts(
                    step=Step(self._folded, self.precision) if step is None else step,
                    grammar=grammar,
                    word_repeats=word_repeats,
                    lexicon_words=lexicon_words,
                    name_repeats=name_repeats,
                )

    @torch.inference_mode()
    def decode(
        self, specs: Sequence[SequenceSpec], z_BZ: Tensor | None = None, rivals: Sequence[Rivals] = ()
    ) -> list[DecodedSequence]:
        """Decode every sequence to its end, or to where it is abandoned, in the order of the specifications.

        Args:
            specs: sequences to decode.
            z_BZ: latent vectors to decode, which leave the seeds to the drawing of tokens; by default those of
                `latent_vectors`.
            rivals: candidates of which some are abandoned, those of each rule together; by default, every sequence is
                decoded to its end.
        """
        guided = [spec.sampling.guidance != 1 and bool(spec.genres) for spec in specs]
        decoded: dict[int, DecodedSequence] = {}
        for kind in sorted(set(guided)):
            part = [number for number, is_guided in enumerate(guided) if is_guided is kind]
            part_BZ = None if z_BZ is None else z_BZ[part]
            part_rivals = [own for own in (each.part(part) for each in rivals) if own.groups]
            found = self._run([specs[number] for number in part], part_BZ, part_rivals, guided=kind)
            decoded.update(zip(part, found, strict=True))
        return [decoded[number] for number in range(len(specs))]

    def _run(
        self, specs: Sequence[SequenceSpec], z_BZ: Tensor | None, rivals: Sequence[Rivals], *, guided: bool
    ) -> list[DecodedSequence]:
        """Decode sequences that are all guided, or none; guided ones have half of the slots, with two branches each."""

        def start(part: slice) -> list[Started]:
            return self._start(specs[part], None if z_BZ is None else z_BZ[part].to(self.device), guided=guided)

        def slots(part: slice, num_steps: int) -> Slots:
            own, *unconditional = start(part)
            waiting = self._slots(specs[part], own, num_steps)
            return paired(waiting, *unconditional) if guided else waiting

        if self._gpu is not None:
            # The kernels decode every sequence to its end; of the candidates, those are left that a processor leaves.
            return settled(self._gpu.decode(specs, start, 2 if guided else 1), rivals)
        if self.compiled:
            most = max(1, self.slots // 2) if guided else self.slots
            return CompiledDecode(self._parts, specs, slots, most, rivals).finish()
        if len(specs) == 1 and not guided and self.device.type == "cpu" and SingleDecode.supports(specs[0]):
            return [SingleDecode(self._parts, specs[0], slots(slice(0, 1), specs[0].sampling.max_tokens)).finish()]
        if guided:
            return GuidedDecode(self._parts, specs, slots, max(1, self.slots // 2), rivals).finish()
        return BatchedDecode(self._parts, specs, slots, self.slots, rivals).finish()

    @torch.inference_mode()
    def fill(self, specs: Sequence[SequenceSpec]) -> Stepper:
        """Admit sequences to a GPU's slots and return the stepper that advances them, to time steps alone.

        Args:
            specs: at most as many sequences as there are slots, none of them guided.

        Raises:
            ValueError: the decode does not use GPU kernels.
        """
        if self._gpu is None:
            raise ValueError("only GPU kernels have slots that outlive a decode")
        return self._gpu.fill(specs, self._start(specs, None, guided=False))

    def _start(self, specs: Sequence[SequenceSpec], z_BZ: Tensor | None, *, guided: bool) -> list[Started]:
        """Return the state of sequences before their first token, and that of their unconditional branches."""
        rows_BZ = self.latent_vectors(specs) if z_BZ is None else z_BZ
        contexts = [torch.cat((rows_BZ, self.embed_genres(specs)), dim=1)]
        if guided:
            contexts.append(self._without_genres(rows_BZ))
        return [self._folded.start(each_BC) for each_BC in contexts]

    @torch.inference_mode()
    def latent_vectors(self, specs: Sequence[SequenceSpec]) -> Tensor:
        """Return each sequence's z: drawn by its seed, and moved by the generator if there is one: [B, Z].

        It is drawn from the bundle's mixture of encoded sentences, or from the prior without one.
        """
        make = row_uniforms if self._gpu is None else self._gpu.uniforms
        seeds = [spec.seed for spec in specs]
        z_BZ = standard_normals(make(seeds, self._decoder.config.z_size)).to(self.device, torch.float32)
        if self._latent is not None:
            components = [derive_seed(seed, _COMPONENT) % len(self._latent) for seed in seeds]
            z_BZ = self._latent.vectors(torch.tensor(components, device=self.device), z_BZ)
        if self._generator is None:
            return z_BZ
        desired = self.bundle.topics.desired
        topic_B = torch.tensor([desired if spec.topic is None else spec.topic for spec in specs], device=self.device)
        target_BK = torch.nn.functional.one_hot(topic_B, self._generator.config.num_topics).to(z_BZ.dtype)
        padding = (0, 0, 0, -len(specs) % self._padding)
        parts = (torch.nn.functional.pad(each, padding) for each in (z_BZ, self.embed_genres(specs), target_BK))
        moved_MZ: Tensor = self._generator(*parts)
        return moved_MZ[: len(specs)]

    @torch.inference_mode()
    def embed_genres(self, specs: Sequence[SequenceSpec]) -> Tensor:
        """Return each sequence's mean genre embedding a: [B, A]."""
        genres = [spec.genres or (0,) for spec in specs]
        offsets = torch.tensor([0, *(len(each) for each in genres[:-1])]).cumsum(0)
        flat = torch.tensor([index for each in genres for index in each])
        return self._decoder.embed_genres(flat.to(self.device), offsets.to(self.device))

    @torch.inference_mode()
    def genre_log_odds(
        self, specs: Sequence[SequenceSpec], decoded: Sequence[DecodedSequence], z_BZ: Tensor | None = None
    ) -> list[float]:
        """Return the log odds that genres give each sentence: log p(x | z, a) - log p(x | z, no genre), in nats.

        Args:
            specs: specifications; a sequence without genres has log odds of 0.
            decoded: result of `decode`.
            z_BZ: latent vectors that were given to `decode`, if any.
        """
        odds = [0.0] * len(specs)
        asked = [number for number, spec in enumerate(specs) if spec.genres and decoded[number].token_count]
        for start in range(0, len(asked), _SENTENCES_AT_ONCE):
            part = asked[start : start + _SENTENCES_AT_ONCE]
            part_BZ = self.latent_vectors([specs[number] for number in part]) if z_BZ is None else z_BZ[part]
            context_BC = self._without_genres(part_BZ.to(self.device))
            without = self._log_probs([decoded[number] for number in part], context_BC)
            for number, log_prob in zip(part, without, strict=True):
                odds[number] = decoded[number].log_prob - log_prob
        return odds

    @torch.inference_mode()
    def largest_error(self, specs: Sequence[SequenceSpec]) -> float:
        """Return the largest difference of a sentence's log p from torch's own modules, in nats per token.

        Args:
            specs: sequences to decode.
        """
        decoded = self.decode(specs)
        context_BC = torch.cat((self.latent_vectors(specs), self.embed_genres(specs)), dim=1)
        expected = self._log_probs(decoded, context_BC)
        return max(
            abs(each.log_prob - log_prob) / each.token_count for each, log_prob in zip(decoded, expected, strict=True)
        )

    def _log_probs(self, decoded: Sequence[DecodedSequence], context_BC: Tensor) -> list[float]:
        """Return log p of sentences in another context, by torch's own modules."""
        sentences = [[*each.ids, *([EOS_ID] if each.finished else [])] for each in decoded]
        log_probs: list[float] = sentence_log_probs(self._decoder, sentences, context_BC).tolist()
        return log_probs

    def _without_genres(self, z_BZ: Tensor) -> Tensor:
        """Return the context of some latent vectors and no genre: [B, C]."""
        none = torch.zeros(len(z_BZ), dtype=torch.long, device=self.device)
        genres_BA = self._decoder.embed_genres(none, torch.arange(len(z_BZ), device=self.device))
        return torch.cat((z_BZ, genres_BA), dim=1)

    def _slots(self, specs: Sequence[SequenceSpec], started: Started, num_steps: int) -> Slots:
        """Return slots of their own for sequences before their first token."""
        z_size = self._decoder.config.z_size
        # The first numbers of a sequence's stream made its z; the tokens take those after them.
        uniforms_BU = row_uniforms([spec.seed for spec in specs], z_size + num_steps * DRAWS)[:, z_size:]
        state_BF = [
            (BOS_ID, 0, spec.sampling.max_tokens, Grammar.start, LexiconWords.start, *WordRepeats.start)
            for spec in specs
        ]
        settings_BN = [[getattr(spec.sampling, name) for name in SETTINGS] for spec in specs]
        return Slots(
            hidden_SH=started.hidden_BH,
            cell_SH=started.cell_BH,
            gates_SG=started.gates_BG,
            output_SE=started.output_BE,
            settings_SN=np.array(settings_BN, dtype=np.float64),
            uniforms_STD=uniforms_BU.reshape(len(specs), num_steps, DRAWS).numpy(),
            tokens_ST=np.full((len(specs), num_steps), PAD_ID),
            state_FS=np.array(state_BF, dtype=np.int64).T,
            log2_prob_S=np.zeros(len(specs)),
            log2_probs_ST=np.zeros((len(specs), num_steps)),
        )


def _on(module: _Module, device: torch.device) -> _Module:
    """Return a network on a device; the bundle's own is not moved."""
    return module if device.type == "cpu" else copy.deepcopy(module).to(device)
