"""Texts of a report's rows: real text, files of samples, and samples of models for the same genres.

Shapes: B samples, Z latent vector.
"""

from __future__ import annotations

import ast
import hashlib
import json
import re
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from enum import StrEnum
from pathlib import Path
from typing import Final

import numpy as np

from handlers.contract import DEFAULT_TEMPERATURE, DEFAULT_TOP_P, MAX_SAMPLES, SamplingParams
from handlers.decoding.engine import Engine, SequenceSpec
from handlers.decoding.random_numbers import derive_seed
from handlers.ranking import best_candidates
from training.corpus import Corpus
from training.errors import CorpusError
from training.evaluation.models import LoadedModel
from training.files import read_json, write_json
from training.fingerprints import fingerprint
from training.progress import Progress, silent
from training.worker_code import worker_code_sha256

_PART: Final = 512
"""Sequences decoded between two reports of progress."""
_GENRES: Final = re.compile(r"\[.*\]")
_SEEDS_APART: Final = 1 << 32
_MIN_TEXTS: Final = 10


class RowKind(StrEnum):
    """Origin of a row's texts."""

    REAL = "real"
    BASELINE = "baseline"
    MODEL = "model"
    BEST_OF = "best_of"


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


@dataclass(frozen=True, slots=True, kw_only=True)
class DecodePlan:
    """Settings of decoding."""

    num_samples: int = 5000
    """Samples per seed."""
    seeds: int = 3
    best_of: int = 4
    """Candidates per sample of each model's second row; 1 leaves that row out."""
    temperature: float = DEFAULT_TEMPERATURE
    top_p: float = DEFAULT_TOP_P
    guidance: float = 1.0
    """Weight of the genres; see `handlers.decoding.guidance`."""


def real_sets(corpus: Corpus, split: str, plan: DecodePlan) -> list[SampleSet]:
    """Draw disjoint sets of a split's sentences, one per seed as long as they last.

    A split with fewer sentences than a set needs is one set.

    Raises:
        CorpusError: the split is too small to compare anything with.
    """
    part = corpus.part(split)
    if len(part) < _MIN_TEXTS:
        raise CorpusError(f"the {split} split has {len(part)} sentences, too few to compare with; give more posts")
    order = np.random.default_rng(1).permutation(len(part))
    return [
        SampleSet(
            texts=[part.texts[number] for number in chosen],
            genres=[list(part.genres[number]) for number in chosen],
            keys=[part.post_ids[number] for number in chosen],
        )
        for chosen in _dealt(order.tolist(), plan)
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
        lines = [line.strip() for line in path.read_text(encoding="utf-8").splitlines()]
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
    if len(texts) < _MIN_TEXTS:
        raise CorpusError(f"{path} has {len(texts)} samples; a row needs at least {_MIN_TEXTS}, one per line")
    sets = [
        SampleSet(
            texts=[texts[place] for place in places],
            genres=[genres[place] for place in places] if any(genres) else None,
            keys=[f"{name} {place}" for place in places],
        )
        for places in _dealt(range(len(texts)), plan)
    ]
    return TextRow(name=name, kind=RowKind.BASELINE, sets=sets)


def decode_rows(
    model: LoadedModel, asked: Sequence[SampleSet], plan: DecodePlan, *, cache: Path | None, progress: Progress
) -> list[TextRow]:
    """Decode two rows for the genres of real sentences: a model's first candidates, and the best of several.

    The first candidate of each sample is the sample without ranking, so one decode makes both rows. Candidates are
    ranked as in the worker (`handlers.ranking`).

    Args:
        model: the model.
        asked: sets of real sentences, whose genres are requested; seeds take turns if there are more of them.
        plan: settings of decoding.
        cache: folder that keeps samples, in files named by everything that they depend on.
        progress: called with the number of decoded candidates.
    """
    plain: list[SampleSet] = []
    best: list[SampleSet] = []
    engine = Engine(model.bundle)
    total = plan.num_samples * plan.best_of * plan.seeds
    for seed in range(plan.seeds):
        each = asked[seed % len(asked)]
        # A split smaller than the number of samples is repeated from its start.
        genres = [(each.genres or [[]])[number % len(each)] for number in range(plan.num_samples)]
        path = None if cache is None else cache / f"samples-{_key(model, genres, plan, seed)}.json"
        if path is not None and path.is_file():
            first, chosen = (SampleSet(**document) for document in read_json(path))
        else:
            first, chosen = _decode(
                engine, model, genres, plan, seed=seed, progress=_from(progress, seed, plan.seeds, total)
            )
            if path is not None:
                write_json(path, [asdict(first), asdict(chosen)])
        plain.append(first)
        best.append(chosen)
    progress(total, total, model.name)
    rows = [TextRow(name=model.name, kind=RowKind.MODEL, sets=plain, model=model)]
    if plan.best_of > 1:
        name = f"{model.name}, best of {plan.best_of}"
        rows.append(TextRow(name=name, kind=RowKind.BEST_OF, sets=best, model=model))
    return rows


def _decode(
    engine: Engine,
    model: LoadedModel,
    genres: Sequence[Sequence[str]],
    plan: DecodePlan,
    *,
    seed: int,
    progress: Progress,
) -> tuple[SampleSet, SampleSet]:
    """Decode and return the first candidates, and the best of all candidates."""
    bundle, size = model.bundle, plan.best_of
    used = [list(bundle.genres.resolve(each)[0]) for each in genres]
    rows = [
        SequenceSpec(
            genres=tuple(bundle.genres.indices(labels)),
            seed=derive_seed(seed * _SEEDS_APART + number, candidate * MAX_SAMPLES),
            sampling=SamplingParams(temperature=plan.temperature, top_p=plan.top_p, guidance=plan.guidance),
            topic=bundle.topics.desired,
        )
        for number, labels in enumerate(used)
        for candidate in range(size)
    ]
    step = max(1, _PART // size) * size
    texts: list[str] = []
    counts: list[int] = []
    chosen: list[int] = []
    started = time.perf_counter()
    decoding = 0.0
    for start in range(0, len(rows), step):
        before = time.perf_counter()
        z_BZ = engine.latent_vectors(rows[start : start + step])
        decoded = engine.decode(rows[start : start + step], z_BZ)
        decoding += time.perf_counter() - before
        written = [bundle.vocabulary.decode(each.ids) for each in decoded]
        texts += written
        counts += [each.token_count for each in decoded]
        if size > 1:
            desired = bundle.topics.shares(written)[:, bundle.topics.desired].tolist()
            odds = engine.genre_log_odds(rows[start : start + step], decoded, z_BZ)
            copied = None if bundle.copies is None else bundle.copies.count(written)
            chosen += [start + index for index in best_candidates(decoded, desired, odds, size, copied)]
        progress(start + len(decoded), len(rows), model.name)
    seconds = time.perf_counter() - started
    first = list(range(0, len(rows), size))
    # The first candidates took one part in `size` of the decoding; ranking counts for the best ones only.
    plain = _set(texts, used, first, tokens=sum(counts[index] for index in first), seconds=decoding / size)
    return plain, _set(texts, used, chosen or first, tokens=sum(counts), seconds=seconds)


def _set(
    texts: Sequence[str], genres: list[list[str]], chosen: Sequence[int], *, tokens: int, seconds: float
) -> SampleSet:
    return SampleSet(
        texts=[texts[index] for index in chosen],
        genres=genres,
        keys=[f"sample {index}" for index in chosen],
        tokens=tokens,
        seconds=seconds,
    )


def temperature_rows(
    model: LoadedModel,
    asked: SampleSet,
    plan: DecodePlan,
    temperatures: Sequence[float],
    *,
    cache: Path | None,
    progress: Progress,
) -> list[tuple[float, TextRow]]:
    """Decode a model's row at each of several temperatures, without ranking."""
    rows = []
    for number, temperature in enumerate(temperatures):
        progress(number, len(temperatures), f"{model.name} at temperature {temperature:g}")
        at = replace(plan, temperature=temperature, best_of=1, seeds=1)
        rows.append((temperature, decode_rows(model, [asked], at, cache=cache, progress=silent)[0]))
    progress(1, 1, model.name)
    return rows


def _listed(line: str) -> list[str] | None:
    """Parse a line that is a list of strings in Python or JSON; None for any other line."""
    if not _GENRES.fullmatch(line):
        return None
    try:
        value = ast.literal_eval(line)
    except (ValueError, SyntaxError):
        return None
    return value if isinstance(value, list) and all(isinstance(each, str) for each in value) else None


def _key(model: LoadedModel, genres: Sequence[Sequence[str]], plan: DecodePlan, seed: int) -> str:
    asked = hashlib.sha256(json.dumps(genres).encode()).hexdigest()
    how = (plan.best_of, plan.temperature, plan.top_p, plan.guidance)
    return fingerprint(model.sha256, worker_code_sha256(), asked, *how, seed)


def _from(progress: Progress, number: int, sets: int, whole: int) -> Progress:
    def tell(done: float, total: float, note: str) -> None:
        progress(whole / sets * (number + done / total), whole, note)

    return tell
