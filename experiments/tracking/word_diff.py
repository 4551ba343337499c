"""Difference between a sample and a curator's edit, word by word."""

from __future__ import annotations

from difflib import SequenceMatcher


def word_diff(before: str, after: str) -> str:
    """Return a text with removed words as [-word-] and added words as {+word+}, as `git diff --word-diff` prints them.

    >>> word_diff("A slow lamp burns.", "A slow fire burns here.")
    'A slow [-lamp burns.-] {+fire burns here.+}'
    >>> word_diff("The same.", "The same.")
    'The same.'
    """
    old, new = before.split(), after.split()
    parts: list[str] = []
    # Without autojunk, which would ignore the frequent words of a long text.
    for kind, old_start, old_end, new_start, new_end in SequenceMatcher(None, old, new, autojunk=False).get_opcodes():
        if kind == "equal":
            parts.extend(old[old_start:old_end])
            continue
        if old_end > old_start:
            parts.append(f"[-{' '.join(old[old_start:old_end])}-]")
        if new_end > new_start:
            parts.append(f"{{+{' '.join(new[new_start:new_end])}+}}")
    return " ".join(parts)
