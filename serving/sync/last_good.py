"""Last good state of the served models, as files: what serve starts with while the registry cannot be read.

There is one JSON file for each model, written in one step. A file that cannot be written or read is a line in the log
and nothing more. The archives themselves are in the model store; their hashes are compared before they are loaded.
"""

from __future__ import annotations

import contextlib
import dataclasses
import hashlib
import json
import logging
import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final
from urllib.parse import quote

from foundation.private_files import make_private, private_opener
from foundation.redaction import redacted
from handlers.contract import archive_name
from serving.registry.versions import RegisteredVersion

_log = logging.getLogger(__name__)

_FORMAT: Final = 1
_LISTS: Final = ("aliases",)
_TABLES: Final = ("facts", "traffic")


@dataclass(frozen=True, slots=True, kw_only=True)
class LastGood:
    """State of one model in which it answered."""

    model: str
    champion: str
    """Version that answered requests without a pin."""
    previous: str | None
    versions: tuple[RegisteredVersion, ...]
    """Versions that were live, the champion included."""
    tagged: tuple[RegisteredVersion, ...]
    """Versions whose traffic tags counted."""


class LastGoodFiles:
    """Last good states on the disk.

    Args:
        folder: folder of the files; it is made when the first is written. None keeps nothing.
        registry: address of the registry; the states of another registry are not used.
    """

    def __init__(self, folder: Path | None, *, registry: str) -> None:
        self._folder = folder
        self._registry = hashlib.sha256(redacted(registry).encode()).hexdigest()[:16]
        self._told: set[str] = set()

    def read(self, model: str) -> LastGood | None:
        """Return the last good state of a model; None if there is none that can be used."""
        if self._folder is None:
            return None
        path = self._path(self._folder, model)
        try:
            document = json.loads(path.read_text(encoding="utf-8"))
            if document["format"] != _FORMAT or document["registry"] != self._registry:
                return None
            return _state(model, document)
        except FileNotFoundError:
            return None
        # Whatever is in the file, serve starts: it then waits for the registry.
        except Exception as cause:  # noqa: BLE001
            self._tell(f"the last good state in {path} cannot be used ({type(cause).__name__}: {cause})")
            return None

    def write(self, state: LastGood) -> bool:
        """Keep a state; return whether it is on the disk."""
        if self._folder is None:
            return False
        path = self._path(self._folder, state.model)
        document = {"format": _FORMAT, "registry": self._registry, **_document(state)}
        partial = path.with_name(f".{path.name}.{os.getpid()}")
        try:
            make_private(self._folder)
            try:
                with open(partial, "w", encoding="utf-8", opener=private_opener) as file:
                    file.write(json.dumps(document, indent=2, ensure_ascii=False) + "\n")
                    file.flush()
                    os.fsync(file.fileno())
                partial.replace(path)
            finally:
                with contextlib.suppress(OSError):
                    partial.unlink(missing_ok=True)
        except OSError as cause:
            self._tell(
                f"the last good state cannot be kept in {path} ({cause.strerror}): serving goes on, but a restart "
                "needs the registry"
            )
            return False
        self._told.clear()
        return True

    @staticmethod
    def _path(folder: Path, model: str) -> Path:
        return folder / f"{quote(model, safe='')}.json"

    def _tell(self, message: str) -> None:
        if message not in self._told:
            _log.warning("%s", message)
            self._told.add(message)


def _document(state: LastGood) -> dict[str, Any]:
    """Return a state as JSON has it; each version with the name of its archive, for people who look for it."""
    return {
        "model": state.model,
        "champion": state.champion,
        "previous": state.previous,
        "versions": [
            {**dataclasses.asdict(entry), "archive": archive_name(entry.model, entry.version)}
            for entry in state.versions
        ],
        "tagged": [dataclasses.asdict(entry) for entry in state.tagged],
    }


def _state(model: str, document: Mapping[str, Any]) -> LastGood:
    """Read a state.

    Raises:
        ValueError, KeyError, TypeError: the document is not one.
    """
    if document["model"] != model:
        raise ValueError(f"it is the state of {document['model']!r}")
    versions = tuple(_version(model, entry) for entry in document["versions"])
    champion, previous = document["champion"], document["previous"]
    if champion not in {entry.version for entry in versions}:
        raise ValueError(f"the champion {champion!r} is not among its versions")
    return LastGood(
        model=model,
        champion=champion,
        previous=None if previous is None else str(previous),
        versions=versions,
        tagged=tuple(_version(model, entry) for entry in document["tagged"]),
    )


def _version(model: str, entry: Mapping[str, Any]) -> RegisteredVersion:
    fields = {each.name for each in dataclasses.fields(RegisteredVersion)}
    values = {name: _value(name, value) for name, value in entry.items() if name in fields}
    version = RegisteredVersion(**values)
    if version.model != model or not version.version.isdecimal():
        raise ValueError(f"{version.model!r} {version.version!r} is not a version of {model}")
    return version


def _value(name: str, value: Any) -> Any:
    if name in _LISTS and isinstance(value, list):
        return tuple(map(str, value))
    if name in _TABLES and isinstance(value, dict):
        return {str(key): str(each) for key, each in value.items()}
    if isinstance(value, str):
        return value
    raise TypeError(f"{name} is {value!r}")
