"""Rows in, sentences out: the batched decode.

A row is one candidate of one sample of one request. All rows of all requests of a batch run in one decode, each with
its own genres, settings and random numbers; rows that end leave, and the rest go on in a smaller batch.

Shapes: B rows, T steps, V tokens, E embedding, H hidden, G = 4 H gates, Z thought vector, A genre embedding,
C = Z + A context, I inputs, K topics.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import torch
from torch import Tensor

from handlers.balance import Balance, OpenMarks
from handlers.bundle import Bundle
from handlers.contract import DEFAULT_TEMPERATURE, DEFAULT_TOP_P
from handlers.repeats import Repeats, RunningWords
from handlers.sampler import DRAWS, SamplingSettings, choose_tokens, row_uniforms, standard_normals
from handlers.vocabulary import BOS_ID, EOS_ID, PAD_ID, UNK_ID

MAX_ROWS_PER_DECODE: Final = 512
"""Memory is bounded by this many rows times the vocabulary, whatever a batch brings; more rows take turns."""

_SCORED_AT_ONCE: Final = 2048
"""Tokens whose whole distributions are in memory when known sentences are scored."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """What one row of a decode needs."""

    genres: tuple[int, ...]
    """Embedding indices; empty means no genre."""
    seed: int
    topic: int | None = None
    """Where the generator moves z to; the desired topic by default, and of no effect without a generator."""
    temperature: float = DEFAULT_TEMPERATURE
    top_k: int = 0
    top_p: float = DEFAULT_TOP_P
    min_p: float = 0.0
    max_tokens: int = 64


@dataclass(frozen=True, slots=True, kw_only=True)
class Decoded:
    """What one row became."""

    ids: tuple[int, ...]
    """Tokens, without the end mark."""
    token_count: int
    """Tokens drawn, with the end mark when it was reached."""
    log_prob: float
    """Sum of the drawn tokens' log-probabilities under the model itself: temperature 1, nothing filtered or banned."""
    finished: bool
    """Whether the sentence ended by itself before max_tokens."""


@dataclass(slots=True)
class _Live:
    """State of the rows that are still being decoded; every tensor's first dimension is the live rows."""

    row: Tensor
    token: Tensor
    hidden: Tensor
    cell: Tensor
    gates: Tensor
    output: Tensor
    placeholders: Tensor
    marks: OpenMarks
    words: RunningWords
    uniforms: Tensor
    max_tokens: Tensor
    settings: SamplingSettings

    def keep(self, rows: Tensor) -> None:
        """Go on with some of the rows, given by index."""
        for name in ("row", "token", "hidden", "cell", "gates", "output", "placeholders", "uniforms", "max_tokens"):
            setattr(self, name, getattr(self, name)[rows])
        self.settings = self.settings[rows]
        self.marks.keep(rows)
        self.words.keep(rows)


class Engine:
    """Decodes rows with a bundle's weights.

    What does not change from step to step is computed once: the token table of the gates' input product (per model),
    and the context's share of gates and outputs (per row).
    """

    def __init__(self, bundle: Bundle, *, device: torch.device | str = "cpu") -> None:
        self.bundle = bundle
        self.device = torch.device(device)
        self._decoder = decoder = bundle.decoder.to(self.device)
        self._generator = bundle.generator.to(self.device) if bundle.generator is not None else None
        config = decoder.config
        weights = {name: tensor.detach() for name, tensor in decoder.lstm.named_parameters()}
        input_weight_GI = weights["weight_ih_l0"]
        embedding_VE = decoder.token_embedding.weight.detach()
        self._gates_table_VG = (
            embedding_VE @ input_weight_GI[:, : config.embedding_size].T + weights["bias_ih_l0"] + weights["bias_hh_l0"]
        )
        self._gates_context_CG = input_weight_GI[:, config.embedding_size :].T.contiguous()
        self._gates_hidden_HG = weights["weight_hh_l0"].T.contiguous()
        projection_EI = decoder.projection.weight.detach()
        self._output_hidden_HE = projection_EI[:, : config.hidden_size].T.contiguous()
        self._output_context_CE = projection_EI[:, config.hidden_size :].T.contiguous()
        self._embedding_EV = embedding_VE.T.contiguous()
        self._placeholder_forms = bundle.vocabulary.placeholder_ids()
        self._balance = Balance(bundle.vocabulary, self.device)
        self._repeats = Repeats(bundle.vocabulary, self.device)

    @torch.inference_mode()
    def decode(self, rows: Sequence[Row], z_BZ: Tensor | None = None) -> list[Decoded]:
        """Decode every row to its end; the order of the answer is the order of the rows.

        Args:
            rows: what to decode.
            z_BZ: thought vectors to use as they are; by default each row's own from `thought_vectors`.
        """
        decoded: list[Decoded] = []
        for start in range(0, len(rows), MAX_ROWS_PER_DECODE):
            part = rows[start : start + MAX_ROWS_PER_DECODE]
            part_BZ = self.thought_vectors(part) if z_BZ is None else z_BZ[start : start + MAX_ROWS_PER_DECODE]
            decoded += self._decode(part, part_BZ.to(self.device))
        return decoded

    @torch.inference_mode()
    def thought_vectors(self, rows: Sequence[Row]) -> Tensor:
        """Each row's z from the prior by its seed, moved by the generator if the model has one: [B, Z]."""
        uniforms_BZ = row_uniforms([row.seed for row in rows], self._decoder.config.z_size)
        z_BZ = standard_normals(uniforms_BZ).to(self.device, torch.float32)
        if self._generator is None:
            return z_BZ
        desired = self.bundle.topics.desired
        topic_B = torch.tensor([desired if row.topic is None else row.topic for row in rows], device=self.device)
        target_BK = torch.nn.functional.one_hot(topic_B, self._generator.config.num_topics).to(z_BZ.dtype)
        moved_BZ: Tensor = self._generator(z_BZ, self.embed_genres(rows), target_BK)
        return moved_BZ

    @torch.inference_mode()
    def embed_genres(self, rows: Sequence[Row]) -> Tensor:
        """Each row's mean genre embedding a: [B, A]."""
        genres = [row.genres or (0,) for row in rows]
        offsets = torch.tensor([0, *(len(each) for each in genres[:-1])]).cumsum(0)
        flat = torch.tensor([index for each in genres for index in each])
        return self._decoder.embed_genres(flat.to(self.device), offsets.to(self.device))

    @torch.inference_mode()
    def genre_log_odds(
        self, rows: Sequence[Row], decoded: Sequence[Decoded], z_BZ: Tensor | None = None
    ) -> list[float]:
        """What each row's genres say for its sentence: log p(x | z, a) - log p(x | z, no genre), in nats.

        Args:
            rows: what was asked for; a row without genres has odds of 0.
            decoded: what `decode` made of them.
            z_BZ: the thought vectors that were given to `decode`, if some were.
        """
        odds = [0.0] * len(rows)
        asked = [number for number, row in enumerate(rows) if row.genres and decoded[number].token_count]
        for start in range(0, len(asked), MAX_ROWS_PER_DECODE):
            part = asked[start : start + MAX_ROWS_PER_DECODE]
            part_BZ = self.thought_vectors([rows[number] for number in part]) if z_BZ is None else z_BZ[part]
            without_B = self._without_genres([decoded[number] for number in part], part_BZ.to(self.device))
            for number, without in zip(part, without_B.tolist(), strict=True):
                odds[number] = decoded[number].log_prob - without
        return odds

    def _without_genres(self, decoded: Sequence[Decoded], z_BZ: Tensor) -> Tensor:
        """Sum of log p(x | z, no genre) of sentences that are known, all steps at once: [B]."""
        sentences = [[*each.ids, *([EOS_ID] if each.finished else [])] for each in decoded]
        tokens_TB = torch.full((max(map(len, sentences)), len(sentences)), PAD_ID)
        for number, sentence in enumerate(sentences):
            tokens_TB[: len(sentence), number] = torch.tensor(sentence)
        tokens_TB = tokens_TB.to(self.device)
        none = torch.zeros(len(sentences), dtype=torch.long, device=self.device)
        genres_BA = self._decoder.embed_genres(none, torch.arange(len(sentences), device=self.device))
        inputs_TB = torch.cat((torch.full_like(tokens_TB[:1], BOS_ID), tokens_TB[:-1]))
        context_BC = torch.cat((z_BZ, genres_BA), dim=1)
        real_TB = tokens_TB != PAD_ID
        projected_PE = self._decoder(self._decoder.token_embedding(inputs_TB), context_BC)[real_TB]
        targets_P = tokens_TB[real_TB]
        log_prob_P = []
        for start in range(0, len(targets_P), _SCORED_AT_ONCE):
            part = slice(start, start + _SCORED_AT_ONCE)
            logits_PV = self._decoder.logits(projected_PE[part])
            log_prob_P.append(-torch.nn.functional.cross_entropy(logits_PV, targets_P[part], reduction="none"))
        sums_B = torch.zeros(len(sentences), dtype=torch.float64, device=self.device)
        return sums_B.index_add_(0, real_TB.nonzero()[:, 1], torch.cat(log_prob_P).double())

    def _decode(self, rows: Sequence[Row], z_BZ: Tensor) -> list[Decoded]:
        num_steps = max(row.max_tokens for row in rows)
        tokens_BT = torch.full((len(rows), num_steps), PAD_ID, device=self.device)
        log_prob_B = torch.zeros(len(rows), dtype=torch.float64, device=self.device)
        live = self._start(rows, z_BZ, num_steps)
        for step in range(num_steps):
            projected_BE = self._advance(live)
            logits_BV = torch.addmm(self._decoder.output_bias, projected_BE, self._embedding_EV)
            normaliser_B = torch.logsumexp(logits_BV, dim=1)
            chosen_B = self._choose(live, logits_BV, step)
            tokens_BT[live.row, step] = chosen_B
            drawn_B = logits_BV.gather(1, chosen_B.unsqueeze(1)).squeeze(1)
            log_prob_B[live.row] += (drawn_B - normaliser_B).double()
            live.token = chosen_B
            going_on = ((chosen_B != EOS_ID) & (step + 1 < live.max_tokens)).nonzero().squeeze(1)
            if len(going_on) == 0:
                break
            if len(going_on) < len(chosen_B):
                live.keep(going_on)
        return [_decoded(ids, log_prob) for ids, log_prob in zip(tokens_BT.tolist(), log_prob_B.tolist(), strict=True)]

    def _start(self, rows: Sequence[Row], z_BZ: Tensor, num_steps: int) -> _Live:
        context_BC = torch.cat((z_BZ, self.embed_genres(rows)), dim=1)
        hidden_BH, cell_BH = self._decoder.start(context_BC)
        # The first numbers of a row's stream made its z; the tokens take the ones after them.
        z_size = self._decoder.config.z_size
        uniforms_BN = row_uniforms([row.seed for row in rows], z_size + num_steps * DRAWS)[:, z_size:]
        device = self.device
        return _Live(
            row=torch.arange(len(rows), device=device),
            token=torch.full((len(rows),), BOS_ID, device=device),
            hidden=hidden_BH,
            cell=cell_BH,
            gates=context_BC @ self._gates_context_CG,
            output=torch.addmm(self._decoder.projection.bias, context_BC, self._output_context_CE),
            placeholders=torch.zeros(len(rows), len(self._placeholder_forms), dtype=torch.bool, device=device),
            marks=self._balance.start(len(rows)),
            words=self._repeats.start(len(rows)),
            uniforms=uniforms_BN.view(len(rows), num_steps, DRAWS).to(device),
            max_tokens=torch.tensor([row.max_tokens for row in rows], device=device),
            settings=SamplingSettings(
                temperature=torch.tensor([row.temperature for row in rows], device=device),
                top_k=torch.tensor([row.top_k for row in rows], device=device),
                top_p=torch.tensor([row.top_p for row in rows], device=device),
                min_p=torch.tensor([row.min_p for row in rows], device=device),
            ),
        )

    def _advance(self, live: _Live) -> Tensor:
        """One LSTM step of the live rows; returns the output projection [B, E]."""
        gates_BG = self._gates_table_VG[live.token] + live.gates
        gates_BG = torch.addmm(gates_BG, live.hidden, self._gates_hidden_HG)
        input_BH, forget_BH, candidate_BH, output_BH = gates_BG.chunk(4, dim=1)
        live.cell = torch.sigmoid(forget_BH) * live.cell + torch.sigmoid(input_BH) * torch.tanh(candidate_BH)
        live.hidden = torch.sigmoid(output_BH) * torch.tanh(live.cell)
        return torch.addmm(live.output, live.hidden, self._output_hidden_HE)

    def _choose(self, live: _Live, logits_BV: Tensor, step: int) -> Tensor:
        """Draw each live row's token: never a special one, the one just written, or a placeholder a second time.

        Nor one that would put a word beside itself, leave a quotation or a bracket open, or close one that is not.
        """
        # In place: the normaliser of the log-probabilities has been taken already.
        allowed_BV = logits_BV
        allowed_BV[:, [PAD_ID, BOS_ID, UNK_ID]] = -torch.inf
        if step == 0:
            allowed_BV[:, EOS_ID] = -torch.inf
        allowed_BV.scatter_(1, live.token.unsqueeze(1), -torch.inf)
        for number, forms in enumerate(self._placeholder_forms):
            used = live.placeholders[:, number].nonzero().squeeze(1)
            if len(used):
                allowed_BV[used.unsqueeze(1), torch.tensor(forms, device=self.device)] = -torch.inf
        self._balance.forbid(allowed_BV, live.marks)
        self._repeats.forbid(allowed_BV, live.words)
        chosen_B = choose_tokens(allowed_BV, live.uniforms[:, step], live.settings)
        self._balance.write(live.marks, chosen_B)
        self._repeats.write(live.words, chosen_B)
        for number, forms in enumerate(self._placeholder_forms):
            live.placeholders[:, number] |= torch.isin(chosen_B, torch.tensor(forms, device=self.device))
        return chosen_B


def _decoded(ids: list[int], log_prob: float) -> Decoded:
    finished = EOS_ID in ids
    written = ids[: ids.index(EOS_ID)] if finished else [number for number in ids if number != PAD_ID]
    return Decoded(ids=tuple(written), token_count=len(written) + finished, log_prob=log_prob, finished=finished)
