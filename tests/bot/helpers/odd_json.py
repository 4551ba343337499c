"""Documents of an odd form: a good one in which something is replaced, added or missing."""

from __future__ import annotations

import copy
from collections.abc import Iterator
from typing import Any

from hypothesis import strategies as st

HALF = "\ud83d lamp"
"""A text with half of a surrogate pair."""
_LEAVES = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(-(10**25), 10**25),
    st.floats(allow_nan=False, allow_infinity=False),
    st.sampled_from([HALF, "", "many", "66.5", "9999-01-01T00:00:00Z", "://", "<", "\0"]),
    st.text(max_size=8),
)
ODD_VALUES = st.recursive(
    _LEAVES,
    lambda some: st.one_of(st.lists(some, max_size=3), st.dictionaries(st.text(max_size=5), some)),
    max_leaves=5,
)
Path = tuple[str | int, ...]


def paths(document: Any, start: Path = ()) -> Iterator[Path]:
    """Paths to all parts of a document."""
    parts = (
        document.items() if isinstance(document, dict) else enumerate(document) if isinstance(document, list) else ()
    )
    for name, part in parts:
        yield (*start, name)
        yield from paths(part, (*start, name))


def changed(document: Any, path: Path, value: Any) -> Any:
    """A copy of a document with another value at a path."""
    other = copy.deepcopy(document)
    place = other
    for name in path[:-1]:
        place = place[name]
    place[path[-1]] = value
    return other


def without(document: Any, path: Path) -> Any:
    """A copy of a document that lacks the part at a path."""
    other = copy.deepcopy(document)
    place = other
    for name in path[:-1]:
        place = place[name]
    del place[path[-1]]
    return other


@st.composite
def odd_documents(draw: st.DrawFn, document: Any, *, below: Path = ()) -> Any:
    """Documents that differ from a good one in up to two places, each at or below a path."""
    for _ in range(draw(st.integers(1, 2))):
        places = [path for path in paths(document) if path[: len(below)] == below and len(path) >= max(1, len(below))]
        if not places:
            break
        path = draw(st.sampled_from(places))
        if draw(st.booleans()):
            document = without(document, path)
            if path == below:
                break  # In a list, the next item now has the path of the one that went.
        else:
            document = changed(document, path, draw(ODD_VALUES))
    return document
