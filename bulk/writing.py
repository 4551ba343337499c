"""Parts of the songs, answered in a process: rows of songs go in, and the bytes of a Parquet file come out.

The bytes are decided by the songs, the options and the model alone, on one kind of processor: not by the process, the
number of processes, or the engine.
"""

from __future__ import annotations

import platform
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any, Final

import pyarrow as pa
import pyarrow.parquet as pq
import torch

from bulk.asking import genres_of, id_of, request_of
from bulk.code import code_sha256
from bulk.errors import ModelError, PartError
from bulk.songs import Song
from handlers.batches import ValidRequest
from handlers.commentary import Commentator
from handlers.contract import CommentaryRequest, CommentaryResponse, ContractError, Sample
from handlers.model.bundle import BundleError
from handlers.worker.halving import Half, answer_apart

_REQUESTS_AT_ONCE: Final = 64
"""Songs of one decode, as many as a batch of the gateway has."""
_COMPRESSION: Final = "zstd"

SAMPLE: Final = pa.struct(
    {
        "text": pa.string(),
        "seed": pa.int64(),
        "token_count": pa.int32(),
        "log_prob": pa.float64(),
        "finish_reason": pa.string(),
        "topics": pa.list_(pa.float64()),
        "value": pa.float64(),
    }
)
"""One sample, as the gateway's answer has it."""
SCHEMA: Final = pa.schema(
    {
        "row": pa.int64(),
        "id": pa.string(),
        "artist": pa.string(),
        "title": pa.string(),
        "genres": pa.list_(pa.string()),
        "seed": pa.int64(),
        "samples": pa.list_(SAMPLE),
        "genres_used": pa.list_(pa.string()),
        "genres_unknown": pa.list_(pa.string()),
        "error": pa.string(),
    }
)
"""One song: what the file has of it, its seed, its samples, or the reason why it has none."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Kind:
    """Kind of machine, on which the last bits of a sample depend."""

    processor: str
    """Instructions that torch uses, such as AVX512."""
    precision: str
    """Precision of the weights."""
    decoded_by: str
    """Library that computes the steps; see `Commentator.decoded_by`."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Part:
    """Answered part of the songs."""

    content: bytes
    """A file of Parquet with the schema `SCHEMA`."""
    songs: int
    errors: int
    """Songs without samples."""
    samples: int
    seconds: float
    """Processor time, without loading the model."""
    kind: Kind


@dataclass(frozen=True, slots=True, kw_only=True)
class Writer:
    """Preparation of a process that answers parts. It travels to other machines, or knows a folder on this one.

    Attributes:
        options: values of the requests' fields that all songs share.
        code: `bulk.code.code_sha256` of the process that starts the others.
        device: device of the decode.
        folder: folder of the bundle; empty where `files` has it.
        files: files of the bundle by name.
    """

    options: Mapping[str, Any]
    code: str
    device: str = "cpu"
    folder: str = ""
    files: Mapping[str, bytes] = field(default_factory=dict)

    def __call__(self) -> Callable[[Sequence[Song]], Part]:
        """Load the model and return the function that answers a part.

        Raises:
            PartError: this process has other code.
            ModelError: the bundle cannot be used, or cannot do what the options ask for.
        """
        if code_sha256() != self.code:
            raise PartError(
                f"the node {platform.node()} has other code than this one, or other libraries: install the same "
                "release of deephypebot with the same constraints on every node"
            )
        # A core for each process: more threads gain less than more processes do.
        torch.set_num_threads(1)
        commentator = self._commentator()
        try:
            commentator.check(CommentaryRequest.from_mapping({"genres": [], **self.options}))
        except ContractError as fault:
            raise ModelError(str(fault)) from fault
        return partial(answer_part, commentator=commentator, options=self.options)

    def _commentator(self) -> Commentator:
        try:
            if self.folder:
                return Commentator.load(Path(self.folder), device=self.device)
            with tempfile.TemporaryDirectory(prefix="deephypebot-bulk-") as folder:
                for name, content in self.files.items():
                    Path(folder, name).write_bytes(content)
                return Commentator.load(Path(folder), device=self.device)
        except BundleError as cause:
            raise ModelError(f"the model cannot be loaded: {cause}") from cause


def answer_part(songs: Sequence[Song], *, commentator: Commentator, options: Mapping[str, Any]) -> Part:
    """Answer the songs of a part.

    Args:
        songs: the songs, in order.
        commentator: model that answers.
        options: values of the requests' fields that all songs share.
    """
    started = time.process_time()
    rows: list[dict[str, Any]] = []
    for start in range(0, len(songs), _REQUESTS_AT_ONCE):
        rows += _rows(songs[start : start + _REQUESTS_AT_ONCE], commentator, options)
    return Part(
        content=_parquet(rows),
        songs=len(rows),
        errors=sum(row["error"] is not None for row in rows),
        samples=sum(len(row["samples"] or ()) for row in rows),
        seconds=time.process_time() - started,
        kind=_kind(commentator),
    )


def _rows(songs: Sequence[Song], commentator: Commentator, options: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Return the rows of some songs, which are one decode."""
    asked = [_asked(song, commentator, options) for song in songs]
    valid = [ValidRequest(request=each) for each in asked if isinstance(each, CommentaryRequest)]
    answers: list[CommentaryResponse | str] = []
    for part in answer_apart(commentator, valid):
        if isinstance(part, Half):
            answers += part.answered.responses
        else:
            answers.append(f"the decode failed: {type(part.cause).__name__}: {part.cause}")
    waiting = iter(answers)
    return [
        _row(song, each, next(waiting)) if isinstance(each, CommentaryRequest) else _row(song, None, each)
        for song, each in zip(songs, asked, strict=True)
    ]


def _asked(song: Song, commentator: Commentator, options: Mapping[str, Any]) -> CommentaryRequest | str:
    """Return the request of a song, or the reason why there is none."""
    try:
        request = request_of(song, options)
        commentator.check(request)
    except ContractError as fault:
        return str(fault)
    return request


def _row(song: Song, request: CommentaryRequest | None, answer: CommentaryResponse | str) -> dict[str, Any]:
    answered = answer if isinstance(answer, CommentaryResponse) else None
    return {
        "row": song.row,
        "id": _id(song),
        "artist": _text(song.values.get("artist")),
        "title": _text(song.values.get("title")),
        "genres": _genres(song),
        "seed": None if request is None else request.seed,
        "samples": None if answered is None else [_sample(each) for each in answered.samples],
        "genres_used": None if answered is None else answered.genres_used,
        "genres_unknown": None if answered is None else answered.genres_unknown,
        "error": _text(answer),
    }


def _sample(sample: Sample) -> dict[str, Any]:
    return {
        "text": sample.text,
        "seed": sample.seed,
        "token_count": sample.token_count,
        "log_prob": sample.log_prob,
        "finish_reason": None if sample.finish_reason is None else sample.finish_reason.value,
        "topics": sample.topics,
        "value": sample.value,
    }


def _id(song: Song) -> str:
    try:
        return _text(id_of(song)) or ""
    except ContractError:
        return str(song.row)


def _genres(song: Song) -> list[str] | None:
    """Return a song's genres for the eye, also those that a request refuses."""
    try:
        genres = genres_of(song)
    except ContractError:
        return None
    return None if genres is None else [text for each in genres if (text := _text(each)) is not None]


def _text(value: object) -> str | None:
    """Return a text that a file can hold; None for anything else."""
    return value.encode(errors="backslashreplace").decode() if isinstance(value, str) else None


def _parquet(rows: Sequence[Mapping[str, Any]]) -> bytes:
    """Return rows as a file of Parquet; its pages have checksums, by which a damaged file is found."""
    sink = pa.BufferOutputStream()
    table = pa.Table.from_pylist(list(rows), schema=SCHEMA)
    pq.write_table(table, sink, compression=_COMPRESSION, write_page_checksum=True)
    return sink.getvalue().to_pybytes()  # type: ignore[no-any-return] # pyarrow has no types


def _kind(commentator: Commentator) -> Kind:
    return Kind(
        processor=_processor(commentator.device),
        precision=commentator.precision.value,
        decoded_by=commentator.decoded_by,
    )


def _processor(device: torch.device) -> str:
    return torch.cuda.get_device_name(device) if device.type == "cuda" else torch.backends.cpu.get_cpu_capability()
