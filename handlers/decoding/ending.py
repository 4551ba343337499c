"""The end of a sequence: the rule of every decode. The GPU's kernel repeats it, since Triton cannot call it."""

from __future__ import annotations

from typing import Any, overload

from handlers.contract import FinishReason
from handlers.decoding.arrays import BoolArray, IntArray
from handlers.model.vocabulary import EOS_ID


@overload
def has_ended(token: int, length: int, max_tokens: int) -> bool: ...


@overload
def has_ended(token: IntArray, length: IntArray, max_tokens: IntArray) -> BoolArray: ...


def has_ended(token: Any, length: Any, max_tokens: Any) -> Any:
    """Return whether a sequence has ended: with the end mark, or at its maximum length.

    >>> has_ended(EOS_ID, 3, 64), has_ended(9, 64, 64), has_ended(9, 3, 64)
    (True, True, False)

    Args:
        token: last token.
        length: tokens drawn so far.
        max_tokens: maximum number of tokens.
    """
    return (token == EOS_ID) | (length >= max_tokens)


def finish_reason(token: int) -> FinishReason:
    """Return the reason why a sequence ended whose last token is given."""
    return FinishReason.STOP if token == EOS_ID else FinishReason.LENGTH
