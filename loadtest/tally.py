"""Number of samples and tokens of a run, over all its processes."""

from __future__ import annotations

import csv
from pathlib import Path
from typing import Any, Final

from handlers.contract import CommentaryResponse

TALLY_SUFFIX: Final = "_samples.csv"
"""Suffix after locust's --csv prefix, as in locust's own files."""
TALLY_COLUMNS: Final = ("Samples", "Tokens", "Samples/s", "Tokens/s")
_REPORT_KEY: Final = "commentary"


class Tally:
    """Counter of samples and tokens in correct answers; workers add theirs to each report to the master."""

    def __init__(self, environment: Any) -> None:
        self.samples = 0
        self.tokens = 0
        self._environment = environment

    def connect(self) -> None:
        """Subscribe to the run's events."""
        events = self._environment.events
        events.request.add_listener(self._count)
        events.report_to_master.add_listener(self._hand_over)
        events.worker_report.add_listener(self._take_in)
        events.test_start.add_listener(self._reset)
        events.reset_stats.add_listener(self._reset)
        if self._environment.reset_stats:
            events.spawning_complete.add_listener(self._reset)

    def per_second(self) -> tuple[float, float]:
        """Return samples and tokens per second, over the same time as locust's requests per second."""
        total = self._environment.stats.total
        if not total.num_requests:
            return 0.0, 0.0
        seconds = max(total.last_request_timestamp - total.start_time, 1e-3)
        return self.samples / seconds, self.tokens / seconds

    def write(self, prefix: str) -> Path:
        """Write the counts beside locust's CSV files and return the path."""
        path = Path(prefix + TALLY_SUFFIX)
        with path.open("w", newline="", encoding="utf-8") as file:
            writer = csv.writer(file)
            writer.writerow(TALLY_COLUMNS)
            writer.writerow((self.samples, self.tokens, *(f"{rate:.3f}" for rate in self.per_second())))
        return path

    def _count(
        self, response: CommentaryResponse | None = None, exception: BaseException | None = None, **_: Any
    ) -> None:
        if response is None or exception is not None:
            return
        self.samples += len(response.samples)
        self.tokens += sum(sample.token_count for sample in response.samples)

    def _hand_over(self, data: dict[str, Any], **_: Any) -> None:
        data[_REPORT_KEY] = [self.samples, self.tokens]
        self._reset()

    def _take_in(self, data: dict[str, Any], **_: Any) -> None:
        samples, tokens = data.get(_REPORT_KEY, (0, 0))
        self.samples += samples
        self.tokens += tokens

    def _reset(self, **_: Any) -> None:
        self.samples = 0
        self.tokens = 0
