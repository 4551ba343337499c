"""Page of unselected samples: the same requests to every version side by side, so that differences can be seen."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from jinja2 import Environment, PackageLoader, StrictUndefined

from training.evaluation.made_up import KnownWords, plain_words
from training.evaluation.verdict import served_rows
from training.evaluation.yardstick import Measured
from training.files import atomic_path

SAMPLES_HTML: Final = "samples.html"
_REQUESTS: Final = 100


@dataclass(frozen=True, slots=True, kw_only=True)
class Word:
    """Part of a sentence: a word that may be made up, or what stands between words."""

    text: str
    made_up: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """A version's sentence for a request."""

    version: str
    words: tuple[Word, ...]
    same_as: str
    """Earlier version that wrote the same sentence; empty for a sentence of its own."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """Request, with the sentence of each version."""

    number: int
    genres: tuple[str, ...]
    answers: tuple[Answer, ...]


def side_by_side(rows: Sequence[Measured], known: KnownWords) -> list[Asked]:
    """Collect the first sentences of what each model serves, for the same genres and seeds."""
    served = served_rows(rows)
    size = min((len(each.row.sets[0]) for each in served), default=0)
    found = []
    for number in range(min(_REQUESTS, size)):
        answers: list[Answer] = []
        earlier: dict[str, str] = {}
        for each in served:
            text = each.row.sets[0].texts[number]
            version = each.row.name
            answers.append(Answer(version=version, words=split(text, known), same_as=earlier.get(text, "")))
            earlier.setdefault(text, version)
        genres = (served[0].row.sets[0].genres or [[]] * size)[number]
        found.append(Asked(number=number + 1, genres=tuple(genres), answers=tuple(answers)))
    return found


def split(text: str, known: KnownWords) -> tuple[Word, ...]:
    """Split a text at its made-up words; joined, the parts give the text back.

    >>> [(word.text, word.made_up) for word in split("So glimmerous, so warm.", KnownWords.of([]))]
    [('So ', False), ('glimmerous', True), (', so warm.', False)]
    """
    parts: list[Word] = []
    rest = text
    for word in plain_words(text):
        if known.knows(word):
            continue
        before, found, after = rest.partition(word)
        if not found:  # written with another apostrophe
            continue
        parts += [Word(text=before, made_up=False)] * bool(before)
        parts.append(Word(text=word, made_up=True))
        rest = after
    return (*parts, *[Word(text=rest, made_up=False)] * bool(rest))


def write_samples(asked: Sequence[Asked], folder: Path) -> None:
    """Write the page; all text of models is escaped.

    Raises:
        OutputError: the folder cannot be written to.
    """
    environment = Environment(
        loader=PackageLoader("training.evaluation", ""), autoescape=True, undefined=StrictUndefined, trim_blocks=True
    )
    versions = [answer.version for answer in asked[0].answers] if asked else []
    page = environment.get_template(f"{SAMPLES_HTML}.j2").render(asked=asked, versions=versions)
    with atomic_path(folder / SAMPLES_HTML) as partial:
        partial.write_text(page, encoding="utf-8")
