"""What is to be noticed of a text before it is posted, put together from those who each notice one thing."""

from __future__ import annotations

from collections.abc import Callable

from bot.domain.candidates import Flag
from bot.domain.networks import X
from bot.ports import Copies, PostHistory, Screen, WordList


class TextScreen(Screen):
    """Flags for the curator; one of them, `BLOCKED`, also stops a post.

    Args:
        words: knows bad words.
        copies: knows the training text; no copy is noticed without it.
        history: knows what was posted; no repeat is noticed without it.
        too_long: whether the network would refuse a text for its length.
    """

    def __init__(
        self,
        *,
        words: WordList,
        copies: Copies | None = None,
        history: PostHistory | None = None,
        too_long: Callable[[str], bool] = X.is_too_long,
    ) -> None:
        self._words = words
        self._copies = copies
        self._history = history
        self._too_long = too_long

    def flags(self, text: str) -> tuple[Flag, ...]:
        """See `Screen.flags`."""
        found = set(self._words.flags(text))
        if self._copies is not None and self._copies.holds(text):
            found.add(Flag.COPY)
        if self._too_long(text):
            found.add(Flag.TOO_LONG)
        if self._history is not None and self._history.has_posted(text):
            found.add(Flag.REPEAT)
        return tuple(flag for flag in Flag if flag in found)
