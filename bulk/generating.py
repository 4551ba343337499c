"""Samples for all songs of a file: from the file through the processes to the folder, resumed where it stopped."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any, Final

from bulk.asking import check_options
from bulk.code import code_sha256, libraries
from bulk.errors import BulkError, PartError, SongsError
from bulk.folder import RunFolder, Sums
from bulk.models import Model
from bulk.songs import Song, read_songs
from bulk.writing import Writer
from foundation.hashes import file_sha256
from foundation.parallel.port import Engine, TaskLostError
from foundation.version import project_version
from handlers.contract import CommentaryRequest, ContractError

PART_SONGS: Final = 1000
_MILLION: Final = 10**6
_HOUR_S: Final = 3600.0

Progress = Callable[[int, int], None]
"""Called with the number of songs that are done and the number of them that have no samples."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Run:
    """Result of a run."""

    songs: int
    errors: int
    """Songs without samples, whose rows say why."""
    samples: int
    parts: int
    songs_before: int
    """Songs whose parts were there before this run."""
    seconds: float
    """Time of this run."""
    process_seconds: float
    """Processor time of its processes, all of them together, without loading the model."""

    @property
    def songs_per_second(self) -> float:
        """Songs of this run in a second, loading the model included."""
        return (self.songs - self.songs_before) / self.seconds if self.seconds else 0.0

    @property
    def core_hours_per_million(self) -> float:
        """Hours of one core for a million songs, by processor time, without loading the model."""
        done = self.songs - self.songs_before
        return self.process_seconds / done * _MILLION / _HOUR_S if done else 0.0


def generate_many(
    songs: Path,
    out: Path,
    *,
    model: Model,
    options: Mapping[str, Any],
    engine: Engine,
    part_songs: int = PART_SONGS,
    device: str = "cpu",
    travels: bool = False,
    progress: Progress | None = None,
) -> Run:
    """Write samples for all songs of a file.

    Args:
        songs: file of songs; see `bulk.songs`.
        out: folder of the run; parts of the same run that are there are kept.
        model: model that answers.
        options: values of the requests' other fields by their names on the wire, the same for all songs.
        engine: engine whose processes answer.
        part_songs: songs of a part; it decides which songs stand in which file.
        device: device of the decode.
        travels: whether processes are on other machines, which need the bundle itself and not its folder.
        progress: see `Progress`.

    Raises:
        BulkError: see `bulk.errors`.
        WorkersError: the engine has no process.
    """
    started = time.perf_counter()
    plan = _plan(songs, model, options, part_songs, device)
    writer = Writer(
        options=options,
        code=plan["code"],
        device=device,
        folder="" if travels else str(model.folder.absolute()),
        files=model.files() if travels else {},
    )
    with RunFolder.opened(out, plan) as folder:
        work = _Work(songs, folder, part_songs, progress)
        work.do(engine, writer)
        parts = [work.parts[number] for number in sorted(work.parts)]
        if not parts:
            raise SongsError(f"{songs} holds no songs")
        folder.finish(parts)
    return Run(
        songs=sum(each.songs for each in parts),
        errors=sum(each.errors for each in parts),
        samples=sum(each.samples for each in parts),
        parts=len(parts),
        songs_before=work.songs_before,
        seconds=time.perf_counter() - started,
        process_seconds=work.process_seconds,
    )


class _Work:
    """Parts of a run: those that were there, and those that are being made."""

    def __init__(self, songs: Path, folder: RunFolder, part_songs: int, progress: Progress | None) -> None:
        self._songs = songs
        self._folder = folder
        self._part_songs = part_songs
        self._progress = progress
        self.parts: dict[int, Sums] = {}
        self.songs_before = 0
        self.process_seconds = 0.0
        self._done = 0
        self._errors = 0

    def do(self, engine: Engine, writer: Writer) -> None:
        """Make the parts that are missing."""
        try:
            with closing(engine.run(writer, self._missing())) as done:
                for number, part in done:
                    self.process_seconds += part.seconds
                    self._keep(self._folder.write(number, part))
        except TaskLostError as cause:
            first = cause.number * self._part_songs + 1
            raise PartError(
                f"part {cause.number} (songs {first} to {first + self._part_songs - 1}) ended its process "
                f"{cause.losses} times ({cause.reason}), perhaps for lack of memory. The other parts that are done are "
                f"kept: the same command continues where it stopped, with fewer --workers where memory is short"
            ) from cause

    def _missing(self) -> Iterator[tuple[int, Sequence[Song]]]:
        """Yield the parts that are not there, with their songs."""
        songs = read_songs(self._songs)
        number = 0
        while part := list(islice(songs, self._part_songs)):
            found = self._folder.find(number)
            if found is None:
                yield number, part
            else:
                self.songs_before += found.songs
                self._keep(found)
            number += 1

    def _keep(self, part: Sums) -> None:
        self.parts[part.part] = part
        self._done += part.songs
        self._errors += part.errors
        if self._progress is not None:
            self._progress(self._done, self._errors)


def _plan(songs: Path, model: Model, options: Mapping[str, Any], part_songs: int, device: str) -> dict[str, Any]:
    """Return everything that the parts depend on, as a JSON document.

    Raises:
        BulkError: an option is wrong.
        SongsError: the file cannot be read.
    """
    try:
        check_options(options)
    except ContractError as fault:
        raise BulkError(str(fault)) from fault
    try:
        described = {"bytes": songs.stat().st_size, "sha256": file_sha256(songs)}
    except OSError as cause:
        raise SongsError(f"{songs} cannot be read: {cause.strerror or cause}") from cause
    shared = CommentaryRequest.from_mapping({"genres": [], **options}).to_mapping()
    return {
        "model": {"name": model.name, "version": model.version, "sha256": model.sha256},
        "settings": {
            **{name: value for name, value in shared.items() if name not in _OF_SONGS},
            "part_songs": part_songs,
            "device": device,
        },
        "input": described,
        "deephypebot": project_version(),
        "libraries": libraries(),
        "code": code_sha256(),
    }


_OF_SONGS: Final = ("genres", "artist", "title", "seed", "unit", "request_id")
"""Fields of a request that are each song's own, or have no meaning here."""
