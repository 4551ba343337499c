"""A stage's folder: named by everything its content depends on, marked when whole, reused when it is there.

workspace/stages/cvae-3f9a1c0b7d2e/
    checkpoint.pt      while it is under way, so that it can go on
    bundle/, *.png     what it made
    run.json           the tracked run that made it
    done.json          written last: its figures
    published.json     what it was registered as, with its archive beside it
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
    """One stage of one training."""

    name: str
    key: str
    root: Path

    @property
    def directory(self) -> Path:
        """Where the stage keeps its files; made when first asked for.

        Raises:
            OutputError: it cannot be made.
        """
        return make_folder(self.root / f"{self.name}-{self.key}")

    def result(self) -> dict[str, Any] | None:
        """What `finish` recorded, or None while the stage is not done."""
        path = self.directory / _DONE
        if not path.exists():
            return None
        with self.reading():
            document: dict[str, Any] = read_json(path)
            return {"figures": dict(document["figures"]), **document}

    @contextmanager
    def reading(self) -> Iterator[None]:
        """Say what to do when a file of the stage turns out to be damaged within the block.

        Raises:
            CheckpointError: it is.
        """
        try:
            yield
        except (OSError, ValueError, LookupError, TypeError, RuntimeError, SafetensorError, BundleError) as cause:
            reason = str(cause).partition("\n")[0]
            raise CheckpointError(
                f"the stage in {self.directory} is damaged ({type(cause).__name__}: {reason}); remove that folder, and "
                "the stage is made anew"
            ) from cause

    def record_run(self, run_id: str) -> None:
        """Remember the tracked run that made the stage."""
        write_json(self.directory / _RUN, {"run_id": run_id})

    def run_id(self) -> str:
        """The tracked run that made the stage; empty when none did."""
        path = self.directory / _RUN
        with self.reading():
            return str(read_json(path)["run_id"]) if path.exists() else ""

    def finish(self, **facts: Any) -> dict[str, Any]:
        """Mark the stage done and keep its figures."""
        write_json(self.directory / _DONE, facts)
        return facts
