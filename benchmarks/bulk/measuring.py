"""Samples for files of songs of growing size, and the gateway's answers to the songs of the smallest file."""

from __future__ import annotations

import asyncio
import json
import resource
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Final

import pyarrow.parquet as pq

from benchmarks.serving.archive import Archive
from benchmarks.serving.asking import ask_all
from benchmarks.serving.calls import Asked
from benchmarks.serving.plan import Serving
from benchmarks.serving.run import GATEWAY, RunningServer, prepare_site, server_of
from bulk.generating import generate_many
from bulk.models import Model
from foundation.parallel.processes import Processes
from handlers.contract import CommentaryRequest
from serving.v1 import commentary_pb2

Texts = list[tuple[str, ...]]
"""Texts of each song, in order."""

_CLIENTS: Final = 32
_PART_SONGS: Final = 128
"""Songs of a part: few, so that all processes have parts of the smallest file."""
_OF_SONGS: Final = ("genres", "artist", "title", "seed", "unit", "request_id")


@dataclass(frozen=True, slots=True, kw_only=True)
class Size:
    """Figures of one file of songs."""

    songs: int
    seconds: float
    """Time of the command, starting its processes included."""
    songs_per_second: float
    core_hours_per_million: float
    """Hours of one core for a million songs, by processor time, without loading the model."""
    parent_mib: float
    """Most memory that the command's own process had."""
    process_mib: float
    """Most memory that one of its processes had."""


@dataclass(frozen=True, slots=True, kw_only=True)
class BulkFigures:
    """Figures of the benchmark."""

    samples: int
    """Samples for each song."""
    workers: int
    sizes: tuple[Size, ...]
    linear: float
    """Cost of a song in the largest file, divided by that in the smallest, in processor time: 1 is linear."""
    gateway_songs_per_second: float
    vs_gateway: float
    """Songs a second of the largest file, divided by the gateway's."""
    different: int
    """Songs of the smallest file whose texts differ from the gateway's."""


def measure(
    archive: Archive,
    model: Model,
    folder: Path,
    *,
    asked: Asked,
    best_of: int | None,
    sizes: Sequence[int],
    serving: Serving,
    note: Callable[[str], None],
) -> BulkFigures:
    """Write samples for files of songs, and ask the gateway for those of the first.

    Args:
        archive: archive of the model.
        model: the same, unpacked.
        folder: empty folder for all files.
        asked: values of all requests.
        best_of: candidates for each sample; None for the archive's own number.
        sizes: numbers of songs, ascending.
        serving: settings of the gateway's workers; of the processes, as many are started.
        note: is told what is being done.

    Raises:
        ServerError: the gateway does not answer.
    """
    measured = []
    for size in sizes:
        note(f"{size} songs, {serving.workers} processes")
        measured.append(_bulk(folder, model, asked=asked, best_of=best_of, size=size, workers=serving.workers))
    note(f"the gateway, {serving}")
    requests = [_request(asked, number, best_of) for number in range(sizes[0])]
    with server_of(GATEWAY, prepare_site(archive, folder, folder), serving) as server:
        _ask(server, archive.model, requests[: 2 * _CLIENTS])  # Java compiles its frequent code
        started = time.perf_counter()
        texts = _ask(server, archive.model, requests)
        gateway_s = time.perf_counter() - started
    written = _texts(folder / f"out-{sizes[0]}")
    per_second = len(requests) / gateway_s
    return BulkFigures(
        samples=asked.samples,
        workers=serving.workers,
        sizes=tuple(measured),
        linear=measured[-1].core_hours_per_million / measured[0].core_hours_per_million,
        gateway_songs_per_second=per_second,
        vs_gateway=measured[-1].songs_per_second / per_second,
        different=sum(one != other for one, other in zip(texts, written, strict=True)),
    )


def to_document(figures: BulkFigures) -> dict[str, Any]:
    """Return the figures as a JSON document."""
    return asdict(figures)


def _bulk(folder: Path, model: Model, *, asked: Asked, best_of: int | None, size: int, workers: int) -> Size:
    songs = folder / f"songs-{size}.jsonl"
    with songs.open("w", encoding="utf-8") as file:
        for number in range(size):
            request = asked.request(number)
            row = {name: getattr(request, name) for name in ("genres", "artist", "title", "seed")}
            file.write(json.dumps({"id": str(number), **row}, ensure_ascii=False) + "\n")
    shared = _request(asked, 0, best_of).to_mapping()
    options = {name: value for name, value in shared.items() if name not in _OF_SONGS and value is not None}
    done = generate_many(
        songs, folder / f"out-{size}", model=model, options=options, engine=Processes(workers), part_songs=_PART_SONGS
    )
    return Size(
        songs=done.songs,
        seconds=done.seconds,
        songs_per_second=done.songs_per_second,
        core_hours_per_million=done.core_hours_per_million,
        parent_mib=resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024,
        process_mib=resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss / 1024,
    )


def _request(asked: Asked, number: int, best_of: int | None) -> CommentaryRequest:
    return CommentaryRequest.from_mapping({**asked.request(number).to_mapping(), "best_of": best_of})


def _ask(server: RunningServer, model: str, requests: Sequence[CommentaryRequest]) -> Texts:
    """Ask for all requests, some at a time, and return the texts."""
    texts: dict[int, tuple[str, ...]] = {}

    def take(number: int, answer: commentary_pb2.GenerateResponse) -> None:
        texts[number] = tuple(sample.text for sample in answer.samples)

    asyncio.run(ask_all(server, model, requests.__getitem__, take, number=len(requests), clients=_CLIENTS))
    return [texts[number] for number in range(len(requests))]


def _texts(folder: Path) -> Texts:
    """Return the texts of a run."""
    return [
        tuple(sample["text"] for sample in samples or ())
        for path in sorted(folder.glob("part-*.parquet"))
        for samples in pq.read_table(path, columns=["samples"])["samples"].to_pylist()
    ]
