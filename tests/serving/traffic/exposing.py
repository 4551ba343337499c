"""Requests, answers and versions for tests of exposures."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from handlers.contract import CommentaryRequest, CommentaryResponse, ModelIdentity, Sample, Timings
from serving.registry.contents import ArchiveInfo
from serving.traffic.exposures import Recorder
from serving.traffic.policy import AssignedBy
from serving.traffic.segments import ExposureSettings, Segments


def info(version: str = "2", model: str = "lcgan") -> ArchiveInfo:
    return ArchiveInfo(
        model=model,
        version=version,
        sha256=version * 64,
        topics=("sound",),
        desired_topic="sound",
        num_genres=12,
        batch_size=8,
    )


def answer(*, seeds: tuple[int, ...] = (7, 8), queue_ms: float = 1.5, decode_ms: float = 3.25) -> CommentaryResponse:
    return CommentaryResponse(
        samples=tuple(Sample(text="x", token_count=1, log_prob=-1.0, topics=(), seed=seed) for seed in seeds),
        model=ModelIdentity(name="lcgan", version="2"),
        genres_used=("dream pop",),
        genres_unknown=("zydeco",),
        timings=Timings(queue_ms=queue_ms, decode_ms=decode_ms),
    )


def request(**values: Any) -> CommentaryRequest:
    return CommentaryRequest.from_mapping({"genres": ("dream pop", "zydeco"), **values})


def recorder(folder: Path, *, host: str = "one", **settings: Any) -> Recorder:
    return Recorder(Segments(ExposureSettings(folder=folder, **settings), host=host), host=host)


def record(
    to: Recorder, *, version: str = "2", by: AssignedBy = AssignedBy.UNIT, experiment: str = "", **values: Any
) -> str:
    return to.record(request(**values), answer(), info=info(version), by=by, revision="abc", experiment=experiment)
