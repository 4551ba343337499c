"""Benchmark of the replay: the gateway answers requests, and the same archive answers its exposures again.

The exposures are those that the gateway wrote, and the texts those that its clients got: equal texts and seeds mean
that a sample depends on weights, request and seed to the last bit, whatever the batch was.
"""

from __future__ import annotations

import asyncio
import shutil
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final

from benchmarks.serving.archive import Archive
from benchmarks.serving.asking import ask_all
from benchmarks.serving.calls import Asked
from benchmarks.serving.errors import ServerError
from benchmarks.serving.plan import Serving
from benchmarks.serving.run import GATEWAY, RunningServer, prepare_site, server_of
from experiments.replay import check, load_model, replay
from handlers.contract import CommentaryRequest
from serving.traffic.exposures import Exposure
from serving.traffic.reading import ExposureFiles
from serving.v1 import commentary_pb2

Texts = dict[tuple[str, int], str]
"""Texts by the id of their exposure and their seed."""

_CLIENTS: Final = 16
_FLUSH_S: Final = 30.0
"""Time within which the gateway's last exposures are on the disk."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ReplayFigures:
    """Figures of the benchmark."""

    exposures: int
    texts: int
    """Number of texts that were compared."""
    different: int
    """Number of exposures whose samples differ in a seed or a text."""
    left_out: int
    served_s: float
    """Seconds in which the gateway answered all requests."""
    replay_s: float
    """Seconds of the replay."""
    per_second: float
    """Exposures a second of the replay."""


def measure(
    archive: Archive,
    folder: Path,
    *,
    serving: Serving,
    exposures: int,
    samples: int,
    best_of: int | None,
    note: Callable[[str], None],
) -> ReplayFigures:
    """Serve requests, and replay them.

    Args:
        archive: archive of the version.
        folder: empty folder for all files.
        serving: settings of the server.
        exposures: number of requests, of which each becomes an exposure.
        samples: samples of a request.
        best_of: candidates for each sample; None for the archive's own number.
        note: is told what is being done.

    Raises:
        ServerError: the gateway does not answer, or loses exposures.
    """
    site = prepare_site(archive, folder, folder)
    asked = Asked(samples=samples)
    note(f"serving {exposures} requests")
    with server_of(GATEWAY, site, serving) as server:
        started = time.perf_counter()
        texts = _ask(server, archive.model, asked, best_of, exposures)
        served_s = time.perf_counter() - started
        (scratch,) = folder.glob("server-*")
        rows = _exposures(scratch / "exposures", exposures)
        served = Path(shutil.copy(next((scratch / "store").glob("*.mar")), folder / "served.mar"))
    note(f"replaying {exposures} exposures")
    model = load_model(served, version=archive.version, sha256=rows[0].archive_sha256)
    started = time.perf_counter()
    replayed = replay(rows, model)
    replay_s = time.perf_counter() - started
    checked = check(replayed, texts)
    return ReplayFigures(
        exposures=checked.exposures,
        texts=checked.texts,
        different=len(checked.different),
        left_out=len(replayed.left_out),
        served_s=served_s,
        replay_s=replay_s,
        per_second=len(rows) / replay_s,
    )


def _ask(server: RunningServer, model: str, asked: Asked, best_of: int | None, number: int) -> Texts:
    """Ask for all requests, some at a time, and return the texts."""
    texts: Texts = {}

    def request(each: int) -> CommentaryRequest:
        return replace(asked.request(each), best_of=best_of)

    def take(_: int, answer: commentary_pb2.GenerateResponse) -> None:
        texts.update({(answer.arms[0].exposure_id, sample.seed): sample.text for sample in answer.samples})

    asyncio.run(ask_all(server, model, request, take, number=number, clients=_CLIENTS))
    return texts


def _exposures(folder: Path, number: int) -> list[Exposure]:
    """Return the gateway's exposures once all of them are on the disk."""
    ends = time.monotonic() + _FLUSH_S
    while True:
        rows = list(ExposureFiles(folders=[folder]))
        if len(rows) == number:
            return rows
        if time.monotonic() > ends:
            raise ServerError(f"the gateway wrote {len(rows)} exposures of {number} requests")
        time.sleep(0.2)
