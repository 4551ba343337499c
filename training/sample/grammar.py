"""Small template language: one template, many sentences.

    {name}          a word drawn from the list `name`; the word may itself be a template
    {name.s}        the same, as a verb in the third person ("drift" -> "drifts")
    {name.cap}      the same, with a capital first letter
    (one|other)     one of the alternatives; alternatives nest
    [maybe]         present in half of the cases
    a~ word         "a" or "an", by the word that follows

The language is independent of music. The same random generator and word lists give the same sentence.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from random import Random
from typing import Final

_SPECIAL: Final = re.compile(r"[{}()\[\]|]")
_ARTICLE: Final = re.compile(r"\b([Aa])~ (\w+)")
_VOWEL: Final = re.compile(r"(?!eu|uni[^n]|use)[aeiou]|8|11\b|18\b", re.IGNORECASE)
"""Words that begin with a vowel sound: "an eight", but "a European"."""
_DRAWS: Final = 4
"""Attempts at a word that the sentence does not hold yet; a short list may have none."""

Words = Mapping[str, Sequence[str]]


class TemplateError(ValueError):
    """Template that does not follow the notation, or names a list that does not exist."""


@dataclass(frozen=True, slots=True)
class _Slot:
    name: str
    form: str


@dataclass(frozen=True, slots=True)
class _Choice:
    options: tuple[tuple[_Node, ...], ...]
    optional: bool


_Node = str | _Slot | _Choice


@dataclass(slots=True)
class Expander:
    """Writer of sentences from templates, with one random generator."""

    random: Random
    _used: set[str] = field(default_factory=set)

    def sentence(self, template: str, words: Words) -> str:
        """Expand a template to a sentence: capital first letter, single spaces, articles that agree.

        Raises:
            TemplateError: the template is malformed or names an unknown list.
        """
        self._used.clear()
        text = self._expand(_parse(template), words)
        text = _ARTICLE.sub(_agree, text)
        text = " ".join(text.split())
        return capitalise(re.sub(r" ([,.;:!?])", r"\1", text))

    def _expand(self, nodes: Sequence[_Node], words: Words) -> str:
        return "".join(self._one(node, words) for node in nodes)

    def _one(self, node: _Node, words: Words) -> str:
        if isinstance(node, str):
            return node
        if isinstance(node, _Slot):
            return self._fill(node, words)
        if node.optional and self.random.random() < 0.5:
            return ""
        return self._expand(self.random.choice(node.options), words)

    def _fill(self, slot: _Slot, words: Words) -> str:
        try:
            entries = words[slot.name]
        except KeyError:
            raise TemplateError(f"no list named {slot.name!r}") from None
        for _ in range(_DRAWS):
            word = self.random.choice(entries)
            if word not in self._used:
                break
        self._used.add(word)
        word = self._expand(_parse(word), words)
        if slot.form == "s":
            return third_person(word)
        return capitalise(word) if slot.form == "cap" else word


def capitalise(text: str) -> str:
    """Capitalise the first letter, wherever it is, unless a placeholder such as `<artist>` comes first.

    >>> capitalise('"glass" it is'), capitalise("<artist> sings")
    ('"Glass" it is', '<artist> sings')
    """
    for position, character in enumerate(text):
        if character == "<":
            return text
        if character.isalnum():
            return text[:position] + character.upper() + text[position + 1 :]
    return text


def third_person(verb: str) -> str:
    """Form the third person singular of a regular verb.

    >>> [third_person(verb) for verb in ("drift", "crush", "carry", "sway")]
    ['drifts', 'crushes', 'carries', 'sways']
    """
    if verb.endswith(("s", "sh", "ch", "x", "z")):
        return verb + "es"
    if verb.endswith("y") and verb[-2:-1] not in set("aeiou"):
        return verb[:-1] + "ies"
    return verb + "s"


def _agree(match: re.Match[str]) -> str:
    article, word = match.groups()
    return f"{article}n {word}" if _VOWEL.match(word) else f"{article} {word}"


@lru_cache(maxsize=4096)
def _parse(template: str) -> tuple[_Node, ...]:
    nodes, end = _parse_until(template, 0, "")
    if end != len(template):
        raise TemplateError(f"unexpected {template[end]!r} at {end} in {template!r}")
    return nodes[0]


def _parse_until(text: str, start: int, closing: str) -> tuple[tuple[tuple[_Node, ...], ...], int]:
    """Read alternatives up to a closing bracket and return them with the position of the bracket."""
    alternatives: list[tuple[_Node, ...]] = []
    nodes: list[_Node] = []
    position = start
    while match := _SPECIAL.search(text, position):
        if match.start() > position:
            nodes.append(text[position : match.start()])
        position = match.start()
        mark = text[position]
        if mark == "{":
            end = text.find("}", position)
            if end < 0:
                raise TemplateError(f"'{{' at {position} is never closed in {text!r}")
            name, _, form = text[position + 1 : end].partition(".")
            nodes.append(_Slot(name, form))
        elif mark in "([":
            options, end = _parse_until(text, position + 1, ")" if mark == "(" else "]")
            if end == len(text):
                raise TemplateError(f"{mark!r} at {position} is never closed in {text!r}")
            nodes.append(_Choice(options, optional=mark == "["))
        elif mark == "|" and closing:
            alternatives.append(tuple(nodes))
            nodes = []
            end = position
        elif mark == closing:
            return (*alternatives, tuple(nodes)), position
        else:
            raise TemplateError(f"unexpected {mark!r} at {position} in {text!r}")
        position = end + 1
    if position < len(text):
        nodes.append(text[position:])
    return (*alternatives, tuple(nodes)), len(text)
