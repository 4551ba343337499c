"""Held-out scores of a CVAE over training time.

held_out.json    beside the bundle: a point for each epoch
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any, Final

from training.errors import CheckpointError
from training.files import read_json, write_json

HELD_OUT_FILE: Final = "held_out.json"


@dataclass(frozen=True, slots=True, kw_only=True)
class HeldOutPoint:
    """Scores of a CVAE after one epoch of its training; see `training.cvae.scores.CvaeScores`."""

    seconds: float
    """Wall time of the training so far, including the time before an interruption."""
    step: int
    elbo: float
    """Evidence lower bound, in nats per sentence."""
    kl: float
    mutual_information: float
    perplexity_bound: float
    bits_per_character: float

    @classmethod
    def of(cls, scores: Mapping[str, float], *, seconds: float, step: int) -> HeldOutPoint:
        """Make a point from scores by name, some of which the curve leaves out."""
        names = [each.name for each in fields(cls) if each.name not in ("seconds", "step")]
        return cls(seconds=seconds, step=step, **{name: float(scores[name]) for name in names})

    @classmethod
    def from_document(cls, document: Mapping[str, Any]) -> HeldOutPoint:
        """Make a point from the result of `document`.

        Raises:
            KeyError, TypeError, ValueError: the document has another form.
        """
        point = cls.of(document, seconds=float(document["seconds"]), step=int(document["step"]))
        if not all(math.isfinite(value) for value in asdict(point).values()):
            raise ValueError(f"a score is not finite: {point}")
        return point

    def document(self) -> dict[str, float]:
        """Return the point in the form that files have."""
        return asdict(self)


def save_held_out(points: Sequence[HeldOutPoint], folder: Path) -> None:
    """Write the curve into a folder, atomically."""
    write_json(folder / HELD_OUT_FILE, [point.document() for point in points])


def load_held_out(folder: Path) -> tuple[HeldOutPoint, ...]:
    """Read the curve of a folder; it is empty where no file was written, as in archives and by earlier versions.

    Raises:
        CheckpointError: the file is not a curve.
    """
    path = folder / HELD_OUT_FILE
    if not path.is_file():
        return ()
    try:
        return tuple(HeldOutPoint.from_document(document) for document in read_json(path))
    except (OSError, KeyError, TypeError, ValueError, AttributeError) as cause:
        raise CheckpointError(
            f"{path} is not a curve of held-out scores ({type(cause).__name__}: {cause}); remove it to use the model "
            "without the curve"
        ) from cause
