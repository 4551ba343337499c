"""Contents of an archive, checked before TorchServe sees it.

TorchServe accepts settings with which a version answers nothing (a batch size of 0), or that end one of its threads (a
batch size of -64), and unpacks members wherever their names say. Whatever an archive holds, this module describes it
or raises an `ArchiveError` with the reason.
"""

from __future__ import annotations

import json
import zipfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO, Final

import yaml

from foundation.archive_members import ArchiveMembersError, check_members
from handlers.contract import (
    ARCHIVE_CONFIG,
    CONTRACT,
    CONTRACT_FIELD,
    DEFAULT_BEST_OF,
    FIRST_CONTRACT,
    RANK_BY_FIELD,
    RankBy,
)
from handlers.reference import REFERENCE, Reference
from serving.errors import ArchiveError

MANIFEST: Final = "MAR-INF/MANIFEST.json"
MAX_BATCH_SIZE: Final = 1024
"""The length of TorchServe's queue for a version: a larger batch could never be filled."""
_HANDLERS: Final = "handlers/__init__.py"
_DEFAULT_BATCH_SIZE: Final = 1
_DEFAULT_BATCH_DELAY_MS: Final = 100
_DEFAULT_RESPONSE_TIMEOUT_S: Final = 120
_ACCEPTABILITY: Final = "acceptability.json"
"""Member of an archive whose worker ranks candidates, and decodes `DEFAULT_BEST_OF` by default."""
_VALUE: Final = "served_value.safetensors"
"""Member of an archive whose worker can rank candidates by a value function."""
_MAX_DOCUMENT: Final = 64 * 2**20
"""Bytes of a member that is read into memory."""
_SETTINGS: Final = {
    "minWorkers": (0, 64),
    "maxWorkers": (0, 64),
    "batchSize": (1, MAX_BATCH_SIZE),
    "maxBatchDelay": (0, 60_000),
    "responseTimeout": (1, 86_400),
    "startupTimeout": (1, 86_400),
    "jobQueueSize": (1, 100_000),
}
"""Lowest and highest value of the settings in model-config.yaml that TorchServe itself reads."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ArchiveInfo:
    """Content of an archive, as its manifest and configuration describe it."""

    model: str
    version: str
    sha256: str
    topics: tuple[str, ...]
    desired_topic: str
    num_genres: int
    batch_size: int
    """Maximum number of requests in a batch of its worker."""
    contract: int = FIRST_CONTRACT
    """Version of the request's JSON that its worker reads; see `handlers.contract.CONTRACT_FIELD`."""
    default_best_of: int = 1
    """Candidates that its worker decodes for each sample of a request that does not say."""
    max_batch_delay_ms: int = _DEFAULT_BATCH_DELAY_MS
    """Time for which its worker waits for a batch to fill."""
    response_timeout_s: int = _DEFAULT_RESPONSE_TIMEOUT_S
    """Time after which TorchServe ends a worker that has not answered."""
    ranks_by_value: bool = False
    """Whether it holds a value function, by which its worker can rank candidates."""
    rank_by: RankBy = RankBy.ACCEPTABILITY
    """Rule by which its worker ranks candidates where a request does not say."""
    reference: Reference | None = None
    """Usual figures of its requests and samples; None where the archive does not tell them."""


def read_contents(source: Path | BinaryIO, *, model: str, version: str, sha256: str) -> ArchiveInfo:
    """Read every member of an archive, and return its description.

    Args:
        source: the file, by its path or open.
        model: name of the registered model.
        version: its version in the registry.
        sha256: hash of the file, for the description.

    Raises:
        ArchiveError: the archive is damaged, is another version's, or holds something that TorchServe must not see.
    """
    name = f"the archive of {model} {version}"
    try:
        with zipfile.ZipFile(source) as archive:
            check_members(archive.infolist())
            _check_sums(name, archive)
            return _read_info(name, archive, model=model, version=version, sha256=sha256)
    except ArchiveError:
        raise
    except ArchiveMembersError as fault:
        raise ArchiveError(f"{name} {fault}: register the model again") from fault
    # An archive is data from outside, and the libraries that read it fail in ways that they do not list: zlib.error,
    # NotImplementedError, RuntimeError, RecursionError, EOFError and more have been seen.
    except Exception as cause:
        raise ArchiveError(f"{name} is damaged ({type(cause).__name__}: {cause}): register the model again") from cause


def _check_sums(name: str, archive: zipfile.ZipFile) -> None:
    damaged = archive.testzip()
    if damaged is not None:
        raise ArchiveError(f"{name} is damaged ({damaged} has another checksum): register the model again")


def _read_info(name: str, archive: zipfile.ZipFile, *, model: str, version: str, sha256: str) -> ArchiveInfo:
    manifest = json.loads(_read(name, archive, MANIFEST))["model"]
    named = (manifest["modelName"], manifest["modelVersion"])
    if named != (model, version):
        raise ArchiveError(f"{name} is named {named[0]} {named[1]} in its manifest: register it again")
    names = set(archive.namelist())
    for member in (manifest["handler"], _HANDLERS):
        if member not in names:
            raise ArchiveError(f"{name} lacks {member}: register the model again")
    config = json.loads(_read(name, archive, ARCHIVE_CONFIG))
    document = yaml.safe_load(_read(name, archive, manifest["configFile"])) if "configFile" in manifest else {}
    settings = _worker_settings(name, document)
    return ArchiveInfo(
        model=model,
        version=version,
        sha256=sha256,
        topics=tuple(map(str, config["topics"])),
        desired_topic=str(config["desired_topic"]),
        num_genres=_checked(name, ARCHIVE_CONFIG, config, "num_genres", (0, 10**6)),
        batch_size=int(settings.get("batchSize", _DEFAULT_BATCH_SIZE)),
        contract=_checked(
            name, ARCHIVE_CONFIG, {CONTRACT_FIELD: FIRST_CONTRACT, **config}, CONTRACT_FIELD, (FIRST_CONTRACT, CONTRACT)
        ),
        default_best_of=DEFAULT_BEST_OF if _ACCEPTABILITY in names else 1,
        # TorchServe reads 0 as its default.
        max_batch_delay_ms=int(settings.get("maxBatchDelay") or _DEFAULT_BATCH_DELAY_MS),
        response_timeout_s=int(settings.get("responseTimeout", _DEFAULT_RESPONSE_TIMEOUT_S)),
        ranks_by_value=_VALUE in names,
        rank_by=_rank_by(name, config, has_value=_VALUE in names),
        reference=_reference(name, archive) if REFERENCE in names else None,
    )


def _rank_by(name: str, config: Mapping[str, Any], *, has_value: bool) -> RankBy:
    rule = config.get(RANK_BY_FIELD, RankBy.ACCEPTABILITY)
    if rule not in set(RankBy) or (RankBy(rule).needs_values and not has_value):
        raise ArchiveError(
            f"{name} ranks candidates by {rule!r} in its {ARCHIVE_CONFIG}, which must be one of {', '.join(RankBy)}, "
            f"and needs {_VALUE} for all but the first: register the model again"
        )
    return RankBy(rule)


def _reference(name: str, archive: zipfile.ZipFile) -> Reference:
    try:
        return Reference.from_json(_read(name, archive, REFERENCE))
    except ValueError as fault:
        raise ArchiveError(f"{name} has a {REFERENCE} that is not one: {fault}. Pack and register it again") from fault


def _read(name: str, archive: zipfile.ZipFile, member: str) -> bytes:
    """Read a document whole, unless it is far larger than any that a training writes."""
    size = archive.getinfo(member).file_size
    if size > _MAX_DOCUMENT:
        raise ArchiveError(f"{name} has a {member} of {size} bytes, above {_MAX_DOCUMENT}: register the model again")
    return archive.read(member)


def _worker_settings(name: str, serving: object) -> Mapping[str, Any]:
    """Check the settings for TorchServe, and return them."""
    if not isinstance(serving, Mapping):
        raise ArchiveError(
            f"{name} has a configuration for TorchServe that is {type(serving).__name__} instead of a mapping of "
            "settings: register the model again"
        )
    for key, bounds in _SETTINGS.items():
        if key in serving:
            _checked(name, "its configuration for TorchServe", serving, key, bounds)
    return serving


def _checked(name: str, place: str, settings: Mapping[Any, Any], key: str, bounds: tuple[int, int]) -> int:
    value, (lowest, highest) = settings[key], bounds
    if not isinstance(value, int) or isinstance(value, bool) or not lowest <= value <= highest:
        raise ArchiveError(
            f"{name} has {key} {value!r} in {place}, which must be a whole number from {lowest} to {highest}: pack and "
            "register the model again"
        )
    return value
