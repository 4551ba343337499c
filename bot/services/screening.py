"""Screening of a text's words: profanity, slurs, copies, repeats. The form of its post has rules of its own."""

from __future__ import annotations

from typing_extensions import override

from bot.domain.candidates import Flag
from bot.ports import Copies, PostHistory, Screen, WordList


class TextScreen(Screen):
    """Screen that combines several checks; the flag `BLOCKED` also stops a post.

    Args:
        words: lists of profanity and slurs.
        copies: index of the training text; without it copies are not flagged.
        history: posted texts; without it repeats are not flagged.
    """

    def __init__(self, *, words: WordList, copies: Copies | None = None, history: PostHistory | None = None) -> None:
        self._words = words
        self._copies = copies
        self._history = history

    @override
    def flags(self, text: str) -> tuple[Flag, ...]:
        found = set(self._words.flags(text))
        if self._copies is not None and self._copies.holds(text):
            found.add(Flag.COPY)
        if self._history is not None and self._history.has_posted(text):
            found.add(Flag.REPEAT)
        return tuple(flag for flag in Flag if flag in found)
