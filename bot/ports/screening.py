"""Word lists and training text that a candidate is checked against."""

from __future__ import annotations

from abc import ABC, abstractmethod

from bot.domain.candidates import Flag


class WordList(ABC):
    """List of bad words. Called from several threads at once."""

    @abstractmethod
    def flags(self, text: str) -> frozenset[Flag]:
        """Return `PROFANITY`, `BLOCKED`, both or none."""

    @abstractmethod
    def blocked(self, text: str) -> tuple[str, ...]:
        """Return the words of a text that are never posted, as they are written in it."""


class Copies(ABC):
    """Index of the training text. Called from several threads at once."""

    @abstractmethod
    def holds(self, text: str) -> bool:
        """Whether the training text contains a long run of the text's words."""
