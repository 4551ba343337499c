"""Sync of the curators' verdicts to MLflow: record what changed, send it, log the versions' figures."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from itertools import chain
from pathlib import Path
from typing import Final

from experiments.tracking.ledger import Absence, Ledger, VersionFigures, WaitingTrace
from experiments.tracking.mlflow_store import MlflowVerdicts, RefusedError
from experiments.tracking.songs import SongRecord
from experiments.tracking.traces import traces_of
from serving.errors import RegistryError

_BATCH: Final = 50
"""Traces whose spans go in one call."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SyncResult:
    """Outcome of one sync."""

    changed: int
    """Traces whose state changed since the last sync: songs by version."""
    sent: int
    """Traces that MLflow has now and had not before."""
    waiting: int
    """Traces that wait for MLflow, in the ledger."""
    seconds: float
    """Time of the sync in seconds."""
    away: Absence | None = None
    """Since when MLflow has been away; None if it answered."""
    skipped: Mapping[str, int] = field(default_factory=dict)
    """Versions without a logged model, to which MLflow can attach nothing, and the number of their traces."""
    refused: int = 0
    """Traces that MLflow does not take; they are sent again when they change."""
    refusal: str = ""
    """Reason for one of them."""

    @property
    def sentences(self) -> tuple[str, ...]:
        """Sentences for the log: what was sent, and what was not."""
        found: list[str] = []
        if self.away is not None:
            since = f"{self.away.since:%Y-%m-%d %H:%M:%S} UTC"
            found.append(
                f"MLflow has been away since {since}: {self.waiting} songs with verdicts wait in the ledger,"
                f" and the next sync goes on ({self.away.reason})"
            )
        elif self.sent:
            found.append(f"{self.sent} songs with verdicts are in MLflow now ({self.seconds:.1f} s)")
        for name, number in self.skipped.items():
            found.append(
                f"{name} has no logged model in the registry: the verdicts on {number} of its songs are not in MLflow;"
                f" register the version again with `deephypebot train` to have them there"
            )
        if self.refused:
            found.append(f"MLflow does not take {self.refused} songs: {self.refusal}")
        return tuple(found)


class VerdictSync:
    """Brings MLflow to the verdicts of the bot's store.

    Args:
        tracking_uri: `sqlite:///PATH` or the address of a tracking server.
        ledger_path: file of the ledger, `WORKSPACE/experiments/mlflow.db`.
        now: returns the aware time of the clock.
    """

    def __init__(
        self, tracking_uri: str, ledger_path: Path, *, now: Callable[[], datetime] = lambda: datetime.now(UTC)
    ) -> None:
        self._uri = tracking_uri
        self._ledger_path = ledger_path
        self._now = now
        self._mlflow: MlflowVerdicts | None = None

    def sync(self, songs: Iterable[SongRecord]) -> SyncResult:
        """Record what changed since the last sync, and send it. While MLflow is away, it waits in the ledger.

        Args:
            songs: all songs of the bot's store (`read_songs`), of one reading; they are not kept in memory.

        Raises:
            ExperimentError: the ledger cannot be used.
        """
        start = time.perf_counter()
        with Ledger(self._ledger_path) as ledger:
            mlflow, away = self._open(ledger)
            changed = ledger.record(chain.from_iterable(map(traces_of, songs)))
            sent, skipped = 0, {}
            if mlflow is not None:
                courier = _Courier(ledger, mlflow, self._now)
                away = courier.work()
                sent, skipped = courier.sent, courier.skipped
            refused, refusal = ledger.refused()
            waiting = sum(ledger.waiting_versions().values()) - sum(skipped.values())
            return SyncResult(
                changed=changed,
                sent=sent,
                waiting=waiting,
                seconds=time.perf_counter() - start,
                away=away,
                skipped=skipped,
                refused=refused,
                refusal=refusal,
            )

    def _open(self, ledger: Ledger) -> tuple[MlflowVerdicts | None, Absence | None]:
        """Return MLflow and name it as the ledger's place; None, with the time of its absence, if it is away."""
        try:
            # Opened for each sync: there may be another MLflow under the same address now.
            mlflow = MlflowVerdicts(self._uri)
            ledger.aim(mlflow.target, logged=mlflow.logged_figures)
        except RegistryError as cause:
            return None, ledger.set_absence(self._now(), str(cause))
        return mlflow, None


class _Courier:
    """One delivery from the ledger to MLflow."""

    def __init__(self, ledger: Ledger, mlflow: MlflowVerdicts, now: Callable[[], datetime]) -> None:
        self._ledger = ledger
        self._mlflow = mlflow
        self._now = now
        self.sent = 0
        self.skipped: dict[str, int] = {}

    def work(self) -> Absence | None:
        """Send all that waits; return since when MLflow has been away if it does not answer."""
        try:
            for (model, version), number in self._ledger.waiting_versions().items():
                if model_id := self._mlflow.model_id(model, version):
                    self._send(model, version, model_id)
                else:
                    self.skipped[f"{model}/{version}"] = number
            self._log()
        except RegistryError as cause:
            return self._ledger.set_absence(self._now(), str(cause))
        self._ledger.end_absence()
        return None

    def _send(self, model: str, version: str, model_id: str) -> None:
        while batch := self._ledger.waiting(model, version, _BATCH):
            try:
                self._mlflow.send(batch, model_id)
            except RefusedError:
                for one in batch:
                    self._send_one(one, model_id)
            else:
                self._ledger.settle(batch)
                self.sent += len(batch)

    def _send_one(self, one: WaitingTrace, model_id: str) -> None:
        try:
            try:
                self._mlflow.send([one], model_id)
            except RefusedError:
                self._mlflow.send_feedback(one)
        except RefusedError as cause:
            self._ledger.refuse(one, str(cause))
        else:
            self._ledger.settle([one])
            self.sent += 1

    def _log(self) -> None:
        # First those of an earlier sync that did not get so far: figures are logged in their order.
        self._log_recorded()
        for figures in self._ledger.changed_figures():
            if self._mlflow.model_id(figures.model, figures.version):
                self._ledger.record_figures(self._dated(figures))
        self._log_recorded()

    def _dated(self, figures: VersionFigures) -> VersionFigures:
        # Later than those before, whatever the clock says: MLflow shows the newest.
        time_ms = max(round(self._now().timestamp() * 1000), figures.time_ms + 1)
        return replace(figures, step=figures.step + 1, time_ms=time_ms)

    def _log_recorded(self) -> None:
        for figures in self._ledger.unlogged_figures():
            if model_id := self._mlflow.model_id(figures.model, figures.version):
                self._mlflow.log(figures, model_id)
            self._ledger.settle_figures(figures)
