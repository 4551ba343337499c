"""Texts of a report's rows: real text and files of samples; `samples` decodes those of models.

Shapes: N texts.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import Final

import numpy as np

from foundation.text_lines import split_lines
from training.corpus import Corpus
from training.errors import CorpusError
from training.evaluation.judges import Judges
from training.evaluation.models import LoadedModel
from training.evaluation.plan import DecodePlan
from training.evaluation.words import BoolArray

_GENRES: Final = re.compile(r"\[.*\]")
MIN_TEXTS: Final = 10
"""Minimum number of texts of a row."""


class RowKind(StrEnum):
    """Origin of a row's texts."""

    REAL = "real"
    REAL_KIND = "real_kind"
    """Real text of the desired kind alone."""
    BASELINE = "baseline"
    MODEL = "model"
    """First candidates of a model: the model itself, without a choice."""
    SERVED = "served"
    """Best of several candidates of a model, as its worker chooses them."""

    @property
    def is_real(self) -> bool:
        """Whether the texts are held-out real text."""
        return self in (RowKind.REAL, RowKind.REAL_KIND)


@dataclass(frozen=True, slots=True, kw_only=True)
class SampleSet:
    """Texts of one seed."""

    texts: list[str]
    genres: list[list[str]] | None
    """Genres of each text, requested ones for a sample; None if they are unknown."""
    keys: list[str]
    """Group of each text: the post of a real sentence, a group of its own for a sample."""
    tokens: int = 0
    """Tokens drawn for all texts, including those of candidates that were not kept."""
    seconds: float = 0.0
    """Duration of decoding."""

    def __len__(self) -> int:
        return len(self.texts)


@dataclass(frozen=True, slots=True, kw_only=True)
class TextRow:
    """Row of the report before it is measured: one set of texts per seed."""

    name: str
    kind: RowKind
    sets: list[SampleSet]
    model: LoadedModel | None = None


def real_sets(corpus: Corpus, split: str, plan: DecodePlan) -> list[SampleSet]:
    """Draw disjoint sets of a split's sentences, one per seed as long as they last.

    A split with fewer sentences than a set needs is one set.

    Raises:
        CorpusError: the split is too small to compare anything with.
    """
    part = corpus.part(split)
    if len(part) < MIN_TEXTS:
        raise CorpusError(f"the {split} split has {len(part)} sentences, too few to compare with; give more posts")
    return _sets(part, range(len(part)), plan)


def desired_sets(corpus: Corpus, split: str, plan: DecodePlan, judges: Judges) -> list[SampleSet]:
    """Draw disjoint sets of a split's sentences that both judges call desired; none if there are too few of them."""
    part = corpus.part(split)
    chosen = np.flatnonzero(judged_desired(part.texts, judges))
    return _sets(part, chosen.tolist(), plan) if len(chosen) >= MIN_TEXTS else []


def judged_desired(texts: Sequence[str], judges: Judges) -> BoolArray:
    """Whether both judges call each text desired, [N]."""
    desired_N = np.ones(len(texts), dtype=np.bool_)
    for judge in judges.all():
        desired_N &= judge.shares(texts) > 0
    return desired_N


def _sets(part: Corpus, places: Sequence[int], plan: DecodePlan) -> list[SampleSet]:
    order = np.random.default_rng(1).permutation(len(places))
    return [
        SampleSet(
            texts=[part.texts[number] for number in chosen],
            genres=[list(part.genres[number]) for number in chosen],
            keys=[part.post_ids[number] for number in chosen],
        )
        for chosen in _dealt([places[number] for number in order.tolist()], plan)
    ]


def _dealt(texts: Sequence[int], plan: DecodePlan) -> list[Sequence[int]]:
    """Split texts into sets of the plan's size, one per seed as long as they last, and at least one."""
    size = plan.num_samples
    number = max(1, min(plan.seeds, len(texts) // size))
    return [texts[seed * size : (seed + 1) * size] for seed in range(number)]


def read_baseline(name: str, path: Path, corpus: Corpus, plan: DecodePlan) -> TextRow:
    """Read samples from a file, one per line; a line that is a list of strings gives the genres of the next line.

    The samples are split into sets of the plan's size, one per seed; a file with fewer samples is one set.

    Raises:
        CorpusError: the file cannot be read or holds too few samples.
    """
    try:
        lines = [line.strip() for line in split_lines(path.read_text(encoding="utf-8"))]
    except (OSError, UnicodeDecodeError) as cause:
        raise CorpusError(f"{path} cannot be read: {cause}") from cause
    texts: list[str] = []
    genres: list[list[str]] = []
    asked: list[str] = []
    for line in filter(None, lines):
        listed = _listed(line)
        if listed is not None:
            asked = listed
            continue
        texts.append(line)
        genres.append(list(corpus.genre_table.resolve(asked)[0]))
        asked = []
    if len(texts) < MIN_TEXTS:
        raise CorpusError(f"{path} has {len(texts)} samples; a row needs at least {MIN_TEXTS}, one per line")
    sets = [
        SampleSet(
            texts=[texts[place] for place in places],
            genres=[genres[place] for place in places] if any(genres) else None,
            keys=[f"{name} {place}" for place in places],
        )
        for places in _dealt(range(len(texts)), plan)
    ]
    return TextRow(name=name, kind=RowKind.BASELINE, sets=sets)


def _listed(line: str) -> list[str] | None:
    """Parse a line that is a list of strings in Python or JSON; None for any other line."""
    if not _GENRES.fullmatch(line):
        return None
    try:
        value = ast.literal_eval(line)
    except (ValueError, SyntaxError):
        return None
    return value if isinstance(value, list) and all(isinstance(each, str) for each in value) else None
