"""Samples of models for the genres of real text, decoded as the worker decodes them."""

from __future__ import annotations

import hashlib
import json
from collections import defaultdict
from collections.abc import Callable, Sequence
from dataclasses import asdict, replace
from functools import partial
from pathlib import Path
from typing import Final

from handlers.commentary import Commentator
from handlers.contract import CommentaryRequest
from training.evaluation.models import LoadedModel
from training.evaluation.plan import DecodePlan
from training.evaluation.rows import RowKind, SampleSet, TextRow
from training.files import read_json, write_json
from training.fingerprints import fingerprint
from training.progress import Progress, silent
from training.worker_code import worker_code_sha256

_PART: Final = 512
"""Sequences decoded between two reports of progress."""
_SEEDS_APART: Final = 1 << 32


def decode_rows(
    model: LoadedModel, asked: Sequence[SampleSet], plan: DecodePlan, *, cache: Path | None, progress: Progress
) -> list[TextRow]:
    """Decode two rows for the genres of real sentences: a model's first candidates, and the best of several.

    Both are the worker's own answers (`handlers.commentary`) to requests of the same seeds, so the first candidate of
    each sample is the text of the first row.

    Args:
        model: the model.
        asked: sets of real sentences, whose genres are requested; seeds take turns if there are more of them.
        plan: settings of decoding.
        cache: folder that keeps samples, in files named by everything that they depend on.
        progress: called with the number of decoded candidates.
    """
    commentator = Commentator(model.bundle)
    # A number that is not stated is the model's own.
    most = plan.best_of or commentator.default_best_of
    parts = [(best_of, seed) for best_of in sorted({1, most}) for seed in range(plan.seeds)]
    total = float(plan.num_samples * sum(best_of for best_of, _ in parts))
    sets: dict[int, list[SampleSet]] = defaultdict(list)
    done = 0.0
    for best_of, seed in parts:
        genres = _genres(asked[seed % len(asked)], plan.num_samples)
        at = replace(plan, best_of=best_of)
        path = None if cache is None else cache / f"samples-{_key(model, genres, at, seed)}.json"
        part = _part(progress, done, plan.num_samples * best_of, total)
        sets[best_of].append(_cached(path, partial(_decode, commentator, genres, at, seed=seed, progress=part)))
        done += plan.num_samples * best_of
    progress(total, total, model.name)
    return [
        TextRow(
            name=_row_name(model, best_of, most, plan),
            kind=RowKind.MODEL if best_of == 1 else RowKind.SERVED,
            sets=each,
            model=model,
        )
        for best_of, each in sets.items()
    ]


def _genres(asked: SampleSet, size: int) -> list[list[str]]:
    """Genres to request; a split smaller than the number of samples is repeated from its start."""
    return [(asked.genres or [[]])[number % len(asked)] for number in range(size)]


def _cached(path: Path | None, decode: Callable[[], SampleSet]) -> SampleSet:
    """Read a set from the disk, or decode and keep it."""
    if path is not None and path.is_file():
        return SampleSet(**read_json(path))
    decoded = decode()
    if path is not None:
        write_json(path, asdict(decoded))
    return decoded


def _row_name(model: LoadedModel, best_of: int, most: int, plan: DecodePlan) -> str:
    if most == 1:
        return model.name
    if best_of == 1:
        return f"{model.name}, first candidate"
    return f"{model.name}, as served" if plan.served else f"{model.name}, best of {best_of}"


def _decode(
    commentator: Commentator, genres: Sequence[Sequence[str]], plan: DecodePlan, *, seed: int, progress: Progress
) -> SampleSet:
    requests = [
        CommentaryRequest(
            genres=tuple(labels),
            num_samples=1,
            best_of=plan.best_of,
            seed=seed * _SEEDS_APART + number,
            sampling=plan.sampling,
        )
        for number, labels in enumerate(genres)
    ]
    step = max(1, _PART // (plan.best_of or 1))
    texts: list[str] = []
    used: list[list[str]] = []
    tokens, seconds = 0, 0.0
    for start in range(0, len(requests), step):
        answered = commentator.answer_batch(requests[start : start + step])
        texts += [response.samples[0].text for response in answered.responses]
        used += [list(response.genres_used) for response in answered.responses]
        tokens += answered.times.tokens
        seconds += answered.seconds
        progress(len(texts), len(requests), "")
    keys = [f"sample {number}" for number in range(len(texts))]
    return SampleSet(texts=texts, genres=used, keys=keys, tokens=tokens, seconds=seconds)


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
        at = replace(plan, sampling=replace(plan.sampling, temperature=temperature), best_of=1, seeds=1)
        rows.append((temperature, decode_rows(model, [asked], at, cache=cache, progress=silent)[0]))
    progress(1, 1, model.name)
    return rows


def _key(model: LoadedModel, genres: Sequence[Sequence[str]], plan: DecodePlan, seed: int) -> str:
    asked = hashlib.sha256(json.dumps(genres).encode()).hexdigest()
    return fingerprint(model.sha256, worker_code_sha256(), asked, plan.best_of, plan.sampling, seed)


def _part(progress: Progress, before: float, own: float, whole: float) -> Progress:
    """Progress of one part of several, `own` of the whole after `before`."""

    def report(done: float, total: float, note: str) -> None:
        progress(before + own * done / total, whole, note)

    return report
