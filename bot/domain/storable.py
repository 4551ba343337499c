"""Text that can be stored and sent on.

JSON, command lines and forms can contain half of a surrogate pair, which UTF-8 cannot encode: SQLite, gRPC and every
network refuse a text that holds one. Classes that hold text from outside pass it through `storable`.
"""

from __future__ import annotations


def storable(text: str) -> str:
    r"""Return a text with a question mark in place of each half of a surrogate pair.

    >>> storable("a \ud83d lamp")
    'a ? lamp'
    """
    return text if text.isascii() else text.encode("utf-8", "replace").decode("utf-8")


def make_storable(item: object, *names: str) -> None:
    """Make texts of a frozen dataclass storable, from its `__post_init__`: strings and tuples of strings."""
    for name in names:
        value = getattr(item, name)
        if isinstance(value, str):
            object.__setattr__(item, name, storable(value))
        elif isinstance(value, tuple):
            object.__setattr__(item, name, tuple(map(storable, value)))
