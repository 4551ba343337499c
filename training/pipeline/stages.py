"""Folder of a stage: named by a fingerprint of its inputs, marked when complete, and then reused.

workspace/stages/cvae-3f9a1c0b7d2e/
    checkpoint.pt      state of the training, from which an interrupted one continues
    bundle/, *.png     results
    run.json           id of the tracked run
    done.json          figures; written last
    published.json     the registered version, whose archive lies beside it
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from safetensors import SafetensorError

from handlers.model.bundle import BundleError
from training.errors import CheckpointError
from training.files import make_folder, read_json, write_json

_DONE: Final = "done.json"
_RUN: Final = "run.json"


@dataclass(frozen=True, slots=True, kw_only=True)
class Stage:
    """Stage of a training."""

    name: str
    key: str
    root: Path

    @property
    def directory(self) -> Path:
        """Folder of the stage, created if it does not exist.

        Raises:
            OutputError: the folder cannot be created.
        """
        return make_folder(self.root / f"{self.name}-{self.key}")

    @property
    def is_done(self) -> bool:
        """Whether the stage is done."""
        return (self.root / f"{self.name}-{self.key}" / _DONE).exists()

    def result(self) -> dict[str, Any] | None:
        """Return what `finish` recorded, or None if the stage is not done."""
        path = self.directory / _DONE
        if not path.exists():
            return None
        with self.reading():
            document: dict[str, Any] = read_json(path)
            return {"figures": dict(document["figures"]), **document}

    @contextmanager
    def reading(self) -> Iterator[None]:
        """Turn errors of reading within the block into one that says what to do.

        Raises:
            CheckpointError: a file of the stage is damaged.
        """
        try:
            yield
        except (OSError, ValueError, LookupError, TypeError, RuntimeError, SafetensorError, BundleError) as cause:
            reason = str(cause).partition("\n")[0]
            raise CheckpointError(
                f"the stage in {self.directory} is damaged ({type(cause).__name__}: {reason}); remove that folder to "
                "run the stage again"
            ) from cause

    def record_run(self, run_id: str) -> None:
        """Record the id of the tracked run."""
        write_json(self.directory / _RUN, {"run_id": run_id})

    def run_id(self) -> str:
        """Return the id of the tracked run, or an empty text without one."""
        path = self.directory / _RUN
        with self.reading():
            return str(read_json(path)["run_id"]) if path.exists() else ""

    def finish(self, **facts: Any) -> dict[str, Any]:
        """Mark the stage as done and record its figures and other facts."""
        write_json(self.directory / _DONE, facts)
        return facts
