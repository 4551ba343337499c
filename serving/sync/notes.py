"""Reports of the sync on one model: in the log once, and as tags in the registry for as long as they are true."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Iterable, Mapping

from handlers.contract import PREVIOUS
from serving.errors import RegistryError
from serving.registry.owned_reasons import STALE_S, OwnedReasons, reason_in
from serving.registry.versions import ModelSnapshot, RegisteredVersion
from serving.sync.background import Tasks
from serving.sync.readings import Readings

_log = logging.getLogger(__name__)


class Notes:
    """Reports and tags of one model.

    Args:
        model: name of the registered model.
        readings: the registry.
        reasons: reasons of this host.
    """

    def __init__(self, model: str, readings: Readings, *, reasons: OwnedReasons) -> None:
        self._model = model
        self._readings = readings
        self._reasons = reasons
        self._told: frozenset[str] = frozenset()
        self._wanted: Mapping[str, str] = {}
        self._written: dict[str, tuple[str, float]] = {}
        """Reason of each tag, and the time at which it was written, in seconds since 1970."""
        self._failure = ""
        self._tasks = Tasks()

    def tell(self, reports: Iterable[str], faults: Mapping[str, str]) -> int:
        """Log what was not true at the last call; return the number of new faults.

        Args:
            reports: for the log alone.
            faults: for the log, and for the tag of the version, or of the model if the version is empty.
        """
        messages = frozenset((*reports, *faults.values()))
        for message in sorted(messages - self._told):
            _log.warning("%s", message)
        num_new = len(set(faults.values()) - self._told)
        self._told = messages
        self._wanted = faults
        return num_new

    async def write(self, reading: ModelSnapshot) -> None:
        """Write the tags that the registry lacks, and remove those of this host that are not true any more.

        A tag that cannot be written is tried again at the next call.

        Args:
            reading: the last reading, in which the model has a tag that an earlier process may have left.
        """
        if not reading.registered:
            return
        now = time.time()
        if reading.sync_error and self._reasons.may_remove(reading.sync_error, now):
            self._written.setdefault("", (reason_in(reading.sync_error), now))
        self._written = {version: self._written[version] for version in self._written.keys() & {"", *reading.existing}}
        for version, reason in self._wanted.items():
            written, at = self._written.get(version, ("", 0.0))
            # One that is still true is written again before another host takes it for left behind.
            if (written != reason or now - at > STALE_S / 2) and await self._set(version, reason):
                self._written[version] = (reason, now)
        texts = {"": reading.sync_error, **{entry.version: entry.sync_error for entry in reading.versions}}
        for version in [version for version in self._written if version not in self._wanted]:
            # Another host may have written its own reason over this one's.
            if not self._reasons.may_remove(texts.get(version, ""), now) or await self._set(version, ""):
                del self._written[version]

    def tag(self, version: str, reason: str) -> None:
        """Write the reason of a version's refusal into its tag, or remove it, beside all else and in order."""
        name = self._tag(version)
        before = self._tasks.get(name)

        async def write() -> None:
            if before is not None:
                await asyncio.wait([before])
            await self._set(version, reason)

        self._tasks.start(name, write())

    def untag(self, entry: RegisteredVersion) -> None:
        """Remove the reason of a version that is live, unless it is another host's, which could not load it.

        A reason that `write` keeps in the tag, and one that is being written, stay as well.
        """
        is_kept = (
            entry.version in self._wanted or entry.version in self._written or self._tag(entry.version) in self._tasks
        )
        if entry.sync_error and not is_kept and self._reasons.may_remove(entry.sync_error, time.time()):
            self.tag(entry.version, "")

    def keep_way_back(self, version: str) -> None:
        """Give the alias `previous` to the version that answered until now.

        `models promote` has set it already. A person who moves an alias in MLflow's page moves that one alone.
        """
        self._tasks.start(f"the way back to {self._model}/{version}", self._keep_way_back(version))

    async def close(self) -> None:
        """Write nothing more."""
        await self._tasks.close()

    def _tag(self, version: str) -> str:
        return f"the tag of {self._model}/{version}"

    async def _keep_way_back(self, version: str) -> None:
        name = f"{self._model}/{version}"
        try:
            await self._readings.set_previous(self._model, version)
        except RegistryError as fault:
            _log.warning("%s answered until now and cannot become %r: %s", name, PREVIOUS, fault)
        else:
            _log.info("%s, which answered until now, is %r", name, PREVIOUS)

    async def _set(self, version: str, reason: str) -> bool:
        """Write a reason into the tag of a version, or of the model if the version is empty, or remove it.

        Returns:
            Whether the registry has it. If not, the log says why, once for the same reason.
        """
        try:
            await self._readings.set_sync_error(self._model, version, self._reasons.sign(reason, time.time()))
        except RegistryError as fault:
            if str(fault) != self._failure:
                _log.warning("the tag of %s could not be written: %s", f"{self._model}/{version}".rstrip("/"), fault)
            self._failure = str(fault)
            return False
        self._failure = ""
        return True
