"""How good a CVAE was on held-out sentences, and after how long a training: what the time bought.

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
    """A CVAE's scores at one moment of its training; see `training.cvae.scores.CvaeScores`."""

    seconds: float
    """Of training, by the clock on the wall, those before an interruption counted."""
    step: int
    elbo: float
    """Nats per sentence."""
    kl: float
    mutual_information: float
    perplexity_bound: float
    bits_per_character: float

    @classmethod
    def of(cls, scores: Mapping[str, float], *, seconds: float, step: int) -> HeldOutPoint:
        """From scores by name, some of which the curve leaves out."""
        names = [each.name for each in fields(cls) if each.name not in ("seconds", "step")]
        return cls(seconds=seconds, step=step, **{name: float(scores[name]) for name in names})

    @classmethod
    def from_document(cls, document: Mapping[str, Any]) -> HeldOutPoint:
        """From what `document` made.

        Raises:
            KeyError, TypeError, ValueError: it is something else.
        """
        point = cls.of(document, seconds=float(document["seconds"]), step=int(document["step"]))
        if not all(math.isfinite(value) for value in asdict(point).values()):
            raise ValueError(f"a score is no number: {point}")
        return point

    def document(self) -> dict[str, float]:
        """As files have it."""
        return asdict(self)


def save_held_out(points: Sequence[HeldOutPoint], folder: Path) -> None:
    """Write the curve into a folder, whole or not at all."""
    write_json(folder / HELD_OUT_FILE, [point.document() for point in points])


def load_held_out(folder: Path) -> tuple[HeldOutPoint, ...]:
    """The curve of a folder; empty where none was kept, as in archives and with models older than that file.

    Raises:
        CheckpointError: the file is something else.
    """
    path = folder / HELD_OUT_FILE
    if not path.is_file():
        return ()
    try:
        return tuple(HeldOutPoint.from_document(document) for document in read_json(path))
    except (OSError, KeyError, TypeError, ValueError, AttributeError) as cause:
        raise CheckpointError(
            f"{path} is no curve of held-out scores ({type(cause).__name__}: {cause}); remove it, and the model is "
            "used without"
        ) from cause
