"""Odd items: what comes from outside in a form that the bot cannot use.

One odd row, post or answer must neither end the bot nor blind its source: it is set aside with the reason, counted, and
shown by `bot status`.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any, Final, TypeVar

from bot.domain.storable import make_storable, storable

MAX_EXCERPT: Final = 200
_MAX_KEY = 200
_Parsed = TypeVar("_Parsed")
ODD: Final = (ArithmeticError, AttributeError, LookupError, RecursionError, TypeError, ValueError)
"""Errors of code that reads a document of an odd form."""


@dataclass(frozen=True, slots=True, kw_only=True)
class OddItem:
    """An item that was set aside."""

    key: str
    """Name of the item within its source: the id, or a line such as "line 7". An item that comes again
    unchanged counts once."""
    reason: str
    excerpt: str = ""
    """Beginning of the item."""

    def __post_init__(self) -> None:
        make_storable(self, "key", "reason", "excerpt")
        object.__setattr__(self, "key", self.key[:_MAX_KEY])
        object.__setattr__(self, "reason", " ".join(self.reason.split())[:MAX_EXCERPT])
        object.__setattr__(self, "excerpt", " ".join(self.excerpt.split())[:MAX_EXCERPT])


@dataclass(frozen=True, slots=True, kw_only=True)
class SetAside:
    """An odd item with its part of the bot and its time."""

    part: str
    """Name of the source or lookup that it came from."""
    item: OddItem
    seen_at: str


def odd_item(document: object, error: Exception, *, key: object = None) -> OddItem:
    """Describe a document that could not be read.

    Args:
        document: the item as the service sent it.
        error: the reason.
        key: id of the item, if it has a usable one; otherwise the key is derived from the content.
    """
    shown = storable(repr(document))
    name = str(key) if isinstance(key, str | int) and str(key).strip() else hashlib.sha256(shown.encode()).hexdigest()
    return OddItem(key=name, reason=f"{type(error).__name__}: {error}", excerpt=shown)


def sift(
    documents: Iterable[Any], parse: Callable[[Any], _Parsed | None], *, key: Callable[[Any], object]
) -> tuple[list[_Parsed], list[OddItem]]:
    """Read documents one by one; those that cannot be read are returned as odd items.

    Args:
        documents: items of a page.
        parse: reads one; None leaves it out without a word.
        key: id of an item, for its record; may fail.

    >>> sift([{"a": 1}, {}, 5], lambda one: one["a"], key=lambda one: one["id"])[0]
    [1]
    """
    found: list[_Parsed] = []
    odd: list[OddItem] = []
    for document in documents:
        try:
            parsed = parse(document)
        except ODD as error:
            odd.append(odd_item(document, error, key=_key(document, key)))
        else:
            if parsed is not None:
                found.append(parsed)
    return found, odd


def _key(document: Any, key: Callable[[Any], object]) -> object:
    try:
        return key(document)
    except ODD:
        return None
