"""Lines of a text file, for files of JSON lines and of sentences."""

from __future__ import annotations


def split_lines(text: str) -> list[str]:
    r"""Split a file's text at line feeds alone.

    `str.splitlines` also splits at U+0085, U+2028 and U+2029, which JSON and sentences may contain.

    >>> split_lines('{"text": "so\u2028warm"}\n{}\n')
    ['{"text": "so\u2028warm"}', '{}', '']
    """
    return text.split("\n")
