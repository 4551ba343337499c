"""Quotation marks and brackets that open and close: which tokens a row may write next so that they do.

A small model often forgets that it has opened a quotation. What it may not write is known from the tokens alone, so the
sampler need not leave it to chance.

Shapes: B rows, V tokens.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import torch
from torch import Tensor

from handlers.vocabulary import EOS_ID, SPECIALS, Vocabulary

_QUOTE: Final = '"'


@dataclass(slots=True, kw_only=True)
class OpenMarks:
    """What each row has opened and not closed, [B] each."""

    quote: Tensor
    bracket: Tensor

    def keep(self, rows: Tensor) -> None:
        """Go on with some of the rows, given by index."""
        self.quote, self.bracket = self.quote[rows], self.bracket[rows]


class Balance:
    """The marks in each token of a vocabulary, and what follows from them.

    Straight double quotes and round brackets are followed. A bracket is not opened within a bracket, a quotation not
    within a quotation, and nothing ends while either is open.
    """

    def __init__(self, vocabulary: Vocabulary, device: torch.device) -> None:
        tokens = ["" if token in SPECIALS else token for token in vocabulary.tokens]
        self._flips_V = torch.tensor([token.count(_QUOTE) % 2 == 1 for token in tokens], device=device)
        self._rise_V = torch.tensor([token.count("(") - token.count(")") for token in tokens], device=device)
        reopens = [token.lstrip().startswith(_QUOTE) and token.startswith(" ") for token in tokens]
        self._quote_openers = torch.tensor(reopens, device=device).nonzero().squeeze(1)
        self._openers = (self._rise_V > 0).nonzero().squeeze(1)
        self._closers = (self._rise_V < 0).nonzero().squeeze(1)

    def start(self, rows: int) -> OpenMarks:
        """Nothing is open."""
        device = self._flips_V.device
        return OpenMarks(
            quote=torch.zeros(rows, dtype=torch.bool, device=device),
            bracket=torch.zeros(rows, dtype=torch.bool, device=device),
        )

    def forbid(self, logits_BV: Tensor, marks: OpenMarks) -> None:
        """Put -inf, in place, where a token would leave a mark open or close one that is not."""
        quoting = marks.quote.nonzero()
        bracketed, plain = marks.bracket.nonzero(), (~marks.bracket).nonzero()
        logits_BV[quoting, self._quote_openers] = -torch.inf
        logits_BV[bracketed, self._openers] = -torch.inf
        logits_BV[plain, self._closers] = -torch.inf
        logits_BV[:, EOS_ID].masked_fill_(marks.quote | marks.bracket, -torch.inf)

    def write(self, marks: OpenMarks, chosen_B: Tensor) -> None:
        """Take note of the tokens that the rows have written."""
        marks.quote = marks.quote ^ self._flips_V[chosen_B]
        rise_B = self._rise_V[chosen_B]
        marks.bracket = torch.where(rise_B == 0, marks.bracket, rise_B > 0)
