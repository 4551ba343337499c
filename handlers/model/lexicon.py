"""Lexicon: the words that a model may write, as an automaton over its tokens.

A decoder that spells rare words in pieces also spells words that do not exist. The lexicon is a trie of the canonical
spellings (`Vocabulary.encode`) of the words, numbers and signs that are allowed. Inside a unit only its continuations
may follow. After a unit any other may start, so far as the two do not merge: text that is split by
`handlers.model.vocabulary.words` gives the units back that were written. What may start depends on what the last unit
ends with, its context. A space before a unit ends every context.

The arrays are compiled when a model is packed and memory-mapped when it is loaded.

Shapes: N nodes, J = N + 1 edges of nodes, E edges, G contexts, V tokens.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, fields
from enum import IntEnum
from functools import lru_cache
from typing import Final, Self

import torch
from torch import Tensor

from handlers.model.vocabulary import EOS_ID, PLACEHOLDERS, SPECIALS, UNK_ID, Vocabulary, words

INSIDE: Final = -1
"""Context of a node inside a unit, and entry of a token that may not start one."""
_LETTER: Final = re.compile(r"[^\W\d_]")
_DIGIT: Final = re.compile(r"\d")
_ENDING: Final = re.compile(r"['’](?:s|d|m|t|re|ve|ll)")
_SPLIT_AFTER_APOSTROPHE: Final = re.compile(r"(?:s|d|m|t|re|ve|ll)['’\-]")
"""Start of words that fall apart after an apostrophe: 're-issue' is an ending, a hyphen and "issue"."""
_MARKS: Final = "'’-"
_SEPARATORS: Final = ".,:"
_CLOSING: Final = frozenset(".,:;!?)]}%…”»")


class Context(IntEnum):
    """Contexts of the next unit, by what stands directly before it."""

    OPENING = 0
    """The start, a space, or a sign after which a word may start without a space."""
    LETTER = 1
    """A word."""
    ENDING = 2
    """An ending after a placeholder, such as "'s"."""
    MARK = 3
    """An apostrophe or a hyphen after a word: a letter would continue the word."""
    DIGIT = 4
    """A number."""
    SEPARATOR = 5
    """A full stop, a comma or a colon after a number: a digit would continue the number."""
    CLOSING = 6
    """A sign after which a space is usual, or a placeholder."""


@lru_cache(maxsize=1 << 16)
def context_after(before: Context, unit: str) -> Context:
    """Return the context after a unit.

    >>> context_after(Context.LETTER, "-").name, context_after(Context.OPENING, " -").name
    ('MARK', 'OPENING')

    Args:
        before: context before it.
        unit: one of `handlers.model.vocabulary.words`, with the space before it.
    """
    bare = unit.lstrip(" ")
    before = before if bare == unit else Context.OPENING
    if bare in PLACEHOLDERS:
        return Context.CLOSING
    if _ENDING.fullmatch(bare):
        return Context.ENDING
    if _LETTER.match(bare[-1]):
        return Context.LETTER
    return Context.DIGIT if _DIGIT.match(bare[-1]) else _after_sign(before, bare)


def _after_sign(before: Context, sign: str) -> Context:
    if sign in _MARKS:
        return Context.MARK if before in (Context.LETTER, Context.ENDING) else Context.OPENING
    if sign in _SEPARATORS and before is Context.DIGIT:
        return Context.SEPARATOR
    # A straight quote opens where a word may start, and closes elsewhere.
    closes = before is not Context.OPENING if sign == '"' else sign in _CLOSING
    return Context.CLOSING if closes else Context.OPENING


def merges(context: Context, unit: str) -> bool:
    """Return whether a unit without a space before it would not stay a unit of its own in a context.

    >>> merges(Context.MARK, "roll"), merges(Context.OPENING, "roll")
    (True, False)
    """
    first = unit[0]
    if _ENDING.fullmatch(unit):
        return context in (Context.LETTER, Context.ENDING, Context.OPENING)
    if _LETTER.match(first):
        if context is Context.OPENING and _SPLIT_AFTER_APOSTROPHE.match(unit):
            return True
        return context in (Context.LETTER, Context.ENDING, Context.MARK)
    if _DIGIT.match(first):
        return context in (Context.DIGIT, Context.ENDING, Context.SEPARATOR)
    if unit in PLACEHOLDERS:
        return context in (Context.LETTER, Context.ENDING, Context.DIGIT)
    return first == "_" and context is Context.ENDING


@dataclass(frozen=True, slots=True, kw_only=True)
class Lexicon:
    """Automaton of the words that a model may write.

    The first nodes, one for each context, are those after signs: they have a context and no edges. The nodes that units
    start with follow, and then the ends of the edges, in the order of the edges.

    Attributes:
        context_N: context after a node at which a unit may end, else `INSIDE`, int8.
        first_edge_J: first edge of each node, and the number of edges, int32.
        token_E: token of each edge, in ascending order for each node, int32.
        entry_GV: node that a token starts a unit with in each context, else `INSIDE`, int32.
    """

    context_N: Tensor
    first_edge_J: Tensor
    token_E: Tensor
    entry_GV: Tensor

    def __post_init__(self) -> None:
        if self.context_N.dtype != torch.int8 or any(
            getattr(self, name).dtype != torch.int32 for name in ("first_edge_J", "token_E", "entry_GV")
        ):
            raise ValueError("a lexicon's contexts must be torch.int8, its other numbers torch.int32")
        nodes, edges = len(self.context_N), len(self.token_E)
        contexts, vocabulary_size = self.entry_GV.shape
        if contexts != len(Context) or len(self.first_edge_J) != nodes + 1 or nodes < contexts + edges:
            raise ValueError(
                f"a lexicon of {nodes} nodes and {edges} edges does not fit {len(self.first_edge_J)} first edges and "
                f"{contexts} contexts"
            )
        first_J = self.first_edge_J
        if int(first_J[0]) or int(first_J[-1]) != edges or bool((first_J[1:] < first_J[:-1]).any()):
            raise ValueError(f"a lexicon's first edges must rise from 0 to {edges}")
        for values, low, high in (
            (self.context_N, INSIDE, contexts),
            (self.token_E, 0, vocabulary_size),
            (self.entry_GV, INSIDE, nodes),
        ):
            if values.numel() and not low <= int(values.min()) <= int(values.max()) < high:
                raise ValueError(f"a lexicon's numbers must be from {low} to {high - 1}")

    def tensors(self) -> dict[str, Tensor]:
        """Return the arrays by name."""
        return {each.name: getattr(self, each.name) for each in fields(self)}

    @classmethod
    def compile(cls, vocabulary: Vocabulary, units: Mapping[Context, Iterable[str]], spaced: Iterable[str]) -> Self:
        """Compile the automaton of some units; every sign that is a token may be written as well.

        A unit that the vocabulary cannot spell is left out, and so is one that would merge with its context.

        Args:
            vocabulary: tokens of the model.
            units: words and numbers that may follow each context without a space.
            spaced: words and numbers that may follow a space.
        """
        return cls(**_Builder(vocabulary).build(units, spaced))

    def accepts(self, ids: Sequence[int]) -> bool:
        """Return whether some tokens, without an end mark, are a sentence of the lexicon."""
        node = 0
        for token in ids:
            node = self._after(node, token)
            if node == INSIDE:
                return False
        return int(self.context_N[node]) != INSIDE

    def _after(self, node: int, token: int) -> int:
        first, last = self.first_edge_J[node : node + 2].tolist()
        for edge in range(first, last):
            if int(self.token_E[edge]) == token:
                return len(self.context_N) - len(self.token_E) + edge
        context = int(self.context_N[node])
        return INSIDE if context == INSIDE else int(self.entry_GV[context, token])


class _Node:
    """Node of a trie that is being built."""

    __slots__ = ("children", "context", "number")

    def __init__(self) -> None:
        self.children: dict[int, _Node] = {}
        self.context = INSIDE
        self.number = INSIDE


class _Builder:
    """Builder of a lexicon's arrays."""

    def __init__(self, vocabulary: Vocabulary) -> None:
        self._vocabulary = vocabulary
        self._entry_GV = torch.full((len(Context), len(vocabulary)), INSIDE, dtype=torch.int32)
        self._entry_GV[:, EOS_ID] = Context.OPENING  # any node: a sentence has ended
        self._after_signs = []
        for context in Context:
            node = _Node()
            node.context, node.number = int(context), int(context)
            self._after_signs.append(node)

    def build(self, units: Mapping[Context, Iterable[str]], spaced: Iterable[str]) -> dict[str, Tensor]:
        tokens = [token for token in self._vocabulary.tokens if token not in SPECIALS]
        signs = [token for token in tokens if _is_sign(token)]
        # A vocabulary may spell a sign after a space as the space and the sign.
        after_space = dict.fromkeys((*(sign.removeprefix(" ") for sign in signs), *spaced))
        root = self._trie((f" {unit}" for unit in after_space), Context.OPENING)
        starts = [(list(Context), root)]
        roots: dict[tuple[str, ...], _Node] = {}
        for context in Context:
            left = tuple(unit for unit in units.get(context, ()) if words(unit) == [unit] and not merges(context, unit))
            # Contexts with the same units share their nodes.
            if left not in roots:
                roots[left] = self._trie(left, context)
            starts.append(([context], roots[left]))
        self._enter_signs(sign for sign in signs if not sign.startswith(" "))
        return self._arrays(starts)

    def _trie(self, units: Iterable[str], before: Context) -> _Node:
        root = _Node()
        for unit in units:
            if words(unit) != [unit] or UNK_ID in (spelled := self._vocabulary.encode(unit)):
                continue
            node = root
            for token in spelled:
                node = node.children.setdefault(token, _Node())
            node.context = int(context_after(before, unit))
        return root

    def _enter_signs(self, signs: Iterable[str]) -> None:
        for sign in signs:
            (token,) = self._vocabulary.encode(sign)
            for context in Context:
                if not merges(context, sign):
                    self._entry_GV[context, token] = int(context_after(context, sign))

    def _arrays(self, starts: Sequence[tuple[Sequence[Context], _Node]]) -> dict[str, Tensor]:
        nodes = list(self._after_signs)
        for contexts, root in starts:
            for token, node in sorted(root.children.items()):
                if node.number == INSIDE:
                    node.number = len(nodes)
                    nodes.append(node)
                for context in contexts:
                    self._entry_GV[context, token] = node.number
        edges, first_edges = [], [0]
        for node in nodes:  # grows while it is read
            for token, child in sorted(node.children.items()):
                child.number = len(nodes)
                nodes.append(child)
                edges.append(token)
            first_edges.append(len(edges))
            self._end_with_signs(node)
        return {
            "context_N": torch.tensor([node.context for node in nodes], dtype=torch.int8),
            "first_edge_J": torch.tensor(first_edges, dtype=torch.int32),
            "token_E": torch.tensor(edges, dtype=torch.int32),
            "entry_GV": self._entry_GV,
        }

    def _end_with_signs(self, node: _Node) -> None:
        """Let a hyphen that may continue a word be one after it too: "lo-" of "lo-fi", and of "lo- and mid-tempo"."""
        if node.context == INSIDE:
            return
        for token, child in node.children.items():
            entry = int(self._entry_GV[node.context, token])
            if child.context == INSIDE and 0 <= entry < len(Context):
                child.context = entry


def _is_sign(token: str) -> bool:
    """Return whether a token is a unit by itself that is neither a word nor a number: a sign, ending or placeholder."""
    bare = token.removeprefix(" ")
    return words(token) == [token] and not _LETTER.match(bare) and not _DIGIT.match(bare)


def joined(text: str) -> Iterator[tuple[Context, str]]:
    """Yield the units of a sentence with the contexts before them.

    >>> [(context.name, unit) for context, unit in joined('the "90s" (U2)')][2:6]
    [('OPENING', '90'), ('DIGIT', 's'), ('LETTER', '"'), ('OPENING', ' (')]
    """
    context = Context.OPENING
    for unit in words(text):
        yield (Context.OPENING if unit.startswith(" ") else context), unit
        context = context_after(context, unit)
