"""Rows of a file of verdicts, which `deephypebot experiment verdicts` writes: JSON lines, one judged sample each.

{"model": "lcgan", "version": "3", "seed": 71, "genres": ["ambient"], "topic": null, "temperature": 0.7, ...,
 "artist": "Ona Vell", "title": "Slow Tide", "text": "...", "accepted": true, "edited_text": null}
"""

from __future__ import annotations

import hashlib
import json
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from foundation.model_versions import VersionName
from foundation.text_lines import split_lines
from handlers.contract import MAX_SEED, SAMPLING_FIELDS, ContractError, SamplingParams
from training.errors import VerdictsError

MIN_VERDICTS: Final = 20
"""Minimum number of verdicts. Fewer say next to nothing: the interval of an acceptance is 0.4 wide with 20."""
MIN_OF_EACH_KIND: Final = 5
"""Minimum number of accepted and of rejected samples, one for each fold of the cross-validation."""
_TEXTS: Final = ("model", "version", "text")
_OPTIONAL_TEXTS: Final = ("archive_sha256", "topic", "artist", "title", "edited_text", "curator")


@dataclass(frozen=True, slots=True, kw_only=True)
class JudgedText:
    """Sample with the verdict of a curator."""

    model: str
    version: str
    archive_sha256: str = ""
    """SHA-256 of the archive that wrote it; empty where the file does not say."""
    seed: int
    """Seed with which a request for one sample, with `best_of` 1, gives the text again."""
    genres: tuple[str, ...]
    topic: str | None = None
    """Topic that was asked for; None for the model's own."""
    sampling: SamplingParams
    artist: str | None = None
    title: str | None = None
    text: str
    """Sample as it was generated, with the names of its song."""
    accepted: bool
    edited_text: str | None = None
    """Text that the curator made of it; None if there was no edit."""
    curator: str = ""

    @property
    def written_by(self) -> str:
        """Version that wrote it, as commands print it."""
        return str(VersionName(model=self.model, version=self.version))


@dataclass(frozen=True, slots=True, kw_only=True)
class Verdicts:
    """Verdicts of a file, enough of them and of both kinds."""

    rows: tuple[JudgedText, ...]
    sha256: str
    """SHA-256 of the file."""

    @property
    def accepted(self) -> int:
        """Number of accepted samples, edited ones included."""
        return sum(row.accepted for row in self.rows)

    @property
    def edited(self) -> int:
        """Number of samples with an edit."""
        return sum(row.edited_text is not None for row in self.rows)

    @property
    def versions(self) -> Mapping[str, int]:
        """Number of verdicts on each version, the most first."""
        return dict(Counter(row.written_by for row in self.rows).most_common())

    def __str__(self) -> str:
        """Return the numbers in words."""
        told = ", ".join(f"{count} of {version}" for version, count in self.versions.items())
        return f"{len(self.rows)} verdicts ({told}): {self.accepted} accepted, {self.edited} of all edited"


def read_verdicts(path: Path) -> Verdicts:
    """Read a file of verdicts.

    Raises:
        VerdictsError: the file cannot be read, a line is not a verdict, or there are too few verdicts, or of one kind.
    """
    try:
        content = path.read_bytes()
        lines = split_lines(content.decode())
    except (OSError, UnicodeDecodeError) as cause:
        raise VerdictsError(
            f"{path} cannot be read ({cause}); write it with `deephypebot experiment verdicts --out {path}`"
        ) from cause
    rows = [_row(path, number, line) for number, line in enumerate(lines, 1) if line.strip()]
    found = Verdicts(rows=tuple(rows), sha256=hashlib.sha256(content).hexdigest())
    if len(rows) < MIN_VERDICTS:
        raise VerdictsError(
            f"{path} holds {len(rows)} verdicts, and training on fewer than {MIN_VERDICTS} would follow chance; judge "
            "more samples, or train without --verdicts"
        )
    rejected = len(rows) - found.accepted
    if min(found.accepted, rejected) < MIN_OF_EACH_KIND:
        raise VerdictsError(
            f"{found.accepted} samples of {path} are accepted and {rejected} rejected; what to prefer can be learned "
            f"from {MIN_OF_EACH_KIND} of each kind. Judge more samples, or train without --verdicts"
        )
    return found


def _row(path: Path, number: int, line: str) -> JudgedText:
    try:
        document = json.loads(line)
    except (ValueError, RecursionError) as cause:
        raise _invalid(path, number, f"is not valid JSON: {cause}") from cause
    if not isinstance(document, Mapping):
        raise _invalid(path, number, f"must be a JSON object, got {type(document).__name__}")
    if missing := [name for name in (*_TEXTS, "seed", "genres", "accepted") if name not in document]:
        raise _invalid(path, number, f"lacks {', '.join(missing)}")
    problem = _problem(document)
    if problem:
        raise _invalid(path, number, problem)
    given = {name: document[name] for name in SAMPLING_FIELDS if document.get(name) is not None}
    try:
        sampling = SamplingParams(**given)
    except (ContractError, TypeError) as cause:
        raise _invalid(path, number, str(cause)) from cause
    optional = {name: document[name] for name in _OPTIONAL_TEXTS if document.get(name) is not None}
    return JudgedText(
        **{name: document[name] for name in _TEXTS},
        **optional,
        seed=document["seed"],
        genres=tuple(document["genres"]),
        accepted=document["accepted"],
        sampling=sampling,
    )


def _problem(document: Mapping[str, Any]) -> str:
    """Return the first fault of a row's values; empty without one."""
    for name in _TEXTS:
        if not isinstance(document[name], str) or not document[name].strip():
            return f"{name} must be a text that is not empty, got {document[name]!r}"
    for name in _OPTIONAL_TEXTS:
        if not isinstance(document.get(name), str | None):
            return f"{name} must be a text or null, got {document[name]!r}"
    seed, genres, accepted = document["seed"], document["genres"], document["accepted"]
    if isinstance(seed, bool) or not isinstance(seed, int) or not 0 <= seed <= MAX_SEED:
        return f"seed must be a whole number from 0 to {MAX_SEED}, got {seed!r}"
    if not isinstance(genres, list) or not all(isinstance(genre, str) for genre in genres):
        return f"genres must be a list of texts, got {genres!r}"
    if not isinstance(accepted, bool):
        return f"accepted must be true or false, got {accepted!r}; samples without a verdict do not belong in the file"
    return ""


def _invalid(path: Path, number: int, problem: str) -> VerdictsError:
    return VerdictsError(f"{path}, line {number}: {problem}")
