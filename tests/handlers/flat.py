"""Requests and sequences from flat keyword arguments, the sampling parameters among them."""

from __future__ import annotations

import dataclasses
from typing import Any

from handlers.contract import SAMPLING_FIELDS, CommentaryRequest, SamplingParams
from handlers.decoding.sequences import SequenceSpec


def _nested(values: dict[str, Any]) -> dict[str, Any]:
    sampling = {name: values.pop(name) for name in SAMPLING_FIELDS if name in values}
    return {**values, "sampling": SamplingParams(**sampling)}


def spec(**values: Any) -> SequenceSpec:
    return SequenceSpec(**_nested({"genres": (), "seed": 0, **values}))


def request(**values: Any) -> CommentaryRequest:
    return CommentaryRequest(**_nested({"genres": (), **values}))


def changed(row: SequenceSpec, **sampling: Any) -> SequenceSpec:
    return dataclasses.replace(row, sampling=dataclasses.replace(row.sampling, **sampling))
