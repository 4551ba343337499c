"""Pulse of a running bot, and the port that shows it."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from functools import partial

from bot.adapters.sqlite.probe import write_problem
from bot.adapters.sqlite.store import SqliteStore
from bot.observe.health import Pulse
from bot.ports import EvaluationEvents, StoreState
from bot.settings import BotSettings

_SLOWEST_PASSES = 8.0
"""Maximum intervals between the ends of two passes: idle passes are up to five apart, and each takes time."""
_LONGEST_PASS_S = 120.0


@contextmanager
def watched(settings: BotSettings, events: EvaluationEvents | None = None) -> Iterator[Pulse]:
    """Yield the pulse of a bot; it is shown on `settings.metrics_port` unless that is 0.

    Args:
        settings: the bot's settings.
        events: sends verdicts as events; None where none are sent.

    Raises:
        SettingsError: the port is taken.
    """
    pulse = Pulse(
        patience_s=settings.interval_s * _SLOWEST_PASSES + _LONGEST_PASS_S,
        unwritable=partial(write_problem, settings.database),
    )
    if not settings.metrics_port:
        yield pulse
        return
    # Imported here: a bot without a metrics port does not need it.
    from bot.observe.health import serving  # noqa: PLC0415
    from bot.observe.metrics import StateCollector, registry  # noqa: PLC0415

    def read() -> StoreState:
        with SqliteStore(settings.database) as store:
            return store.state()

    told = events.counts if events is not None else dict[str, int]
    collector = StateCollector(read, lambda: datetime.now(UTC), pulse=pulse, events=told)
    with serving(settings.metrics_port, registry(collector), pulse, host=settings.metrics_host):
        yield pulse
