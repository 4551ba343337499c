"""Interpolation by `deephypebot interpolate` in a process of its own: the encoder needs torch, the bot does not."""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
import threading
import unicodedata
from collections.abc import Sequence
from pathlib import Path

from typing_extensions import override

from bot.domain.errors import InputError, NoServiceError, SongFailedError
from bot.ports import InterpolationPoint, Interpolator

MAX_SENTENCE = 400
"""Characters; a sentence of the corpus has a hundred or two."""
_KEPT = 32
"""Number of interpolations kept: equal arguments give equal points, and each takes seconds."""
_SHOWN = 400


class InterpolateCommand(Interpolator):
    """Interpolator that starts the command, one at a time.

    Args:
        model: as `deephypebot interpolate --model` takes it.
        workspace: where its models are registered.
        timeout_s: maximum seconds of an interpolation, loading torch and the model included.
    """

    def __init__(self, model: str, *, workspace: Path, timeout_s: float = 180.0) -> None:
        self._model = model
        self._workspace = workspace
        self._timeout_s = timeout_s
        self._turn = threading.Lock()
        self._process: subprocess.Popen[bytes] | None = None
        self._closed = False
        self._interpolations: dict[tuple[object, ...], tuple[InterpolationPoint, ...]] = {}

    @override
    def interpolate(self, first: str, last: str, *, steps: int, genres: Sequence[str]) -> Sequence[InterpolationPoint]:
        for sentence in (first, last):
            _check(sentence)
        key = (first, last, steps, tuple(genres))
        if not self._turn.acquire(timeout=self._timeout_s):
            raise NoServiceError("other interpolations are running; retry when they have ended")
        try:
            if key not in self._interpolations:
                self._interpolations[key] = self._run(first, last, steps=steps, genres=genres)
                while len(self._interpolations) > _KEPT:
                    del self._interpolations[next(iter(self._interpolations))]
            return self._interpolations[key]
        finally:
            self._turn.release()

    def close(self) -> None:
        """End the running interpolation."""
        self._closed = True
        process = self._process
        if process is not None:
            process.kill()

    def _run(self, first: str, last: str, *, steps: int, genres: Sequence[str]) -> tuple[InterpolationPoint, ...]:
        if self._closed:
            raise NoServiceError("the studio is being stopped")
        with tempfile.TemporaryDirectory(prefix="deephypebot-interpolate-") as scratch:
            out = Path(scratch) / "interpolation.json"
            options = [f"--model={self._model}", f"--workspace={self._workspace}", f"--steps={steps}", f"--json={out}"]
            options += [f"--genres={genre}" for genre in genres]
            # After "--" a sentence that begins with a dash is not an option.
            command = [sys.executable, "-m", "deephypebot", "interpolate", *options, "--", first, last]
            code, errors = self._wait(command)
            if code != 0:
                raise SongFailedError(f"the interpolation failed: {_last_words(errors)}")
            points = json.loads(out.read_text(encoding="utf-8"))["figures"]["points"]
        return tuple(InterpolationPoint(at=point["at"], text=point["text"]) for point in points)

    def _wait(self, command: list[str]) -> tuple[int, bytes]:
        with subprocess.Popen(  # noqa: S603 -- our own command, and no shell
            command, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE
        ) as process:
            self._process = process
            try:
                _, errors = process.communicate(timeout=self._timeout_s)
            except subprocess.TimeoutExpired as cause:
                raise SongFailedError(
                    f"the interpolation took more than {self._timeout_s:g} s and was stopped"
                ) from cause
            finally:
                process.kill()
                self._process = None
        return process.returncode, errors


def _check(sentence: str) -> None:
    if not sentence.strip():
        raise InputError("interpolation needs two sentences, and one of them is empty")
    if len(sentence) > MAX_SENTENCE:
        raise InputError(f"a sentence has at most {MAX_SENTENCE} characters, got {len(sentence)}")
    if any(unicodedata.category(character) in {"Cc", "Cs"} for character in sentence):
        raise InputError("a sentence must not hold control characters")


def _last_words(errors: bytes) -> str:
    text = " ".join(errors.decode("utf-8", "replace").split())
    return text.rpartition("error:")[2].strip()[-_SHOWN:] or "the command printed nothing"
