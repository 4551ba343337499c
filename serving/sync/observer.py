"""Counts of the sync, for metrics."""

from __future__ import annotations


class SyncObserver:
    """Receiver of the sync's events; a subclass counts those that it wants. Calls come on the service's event loop."""

    def switched(self, model: str) -> None:
        """Another version became the champion that answers."""

    def failed(self, model: str) -> None:
        """A reading of the registry failed, or said what cannot be followed."""

    def refused(self, model: str) -> None:
        """A version could not be made live."""
