"""The bot's state for Prometheus: read from the database when it is asked for, so that a restart resets nothing."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from datetime import datetime
from typing import TypeVar

from prometheus_client import CollectorRegistry
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from bot.domain.outgoing_posts import OutgoingPostStatus
from bot.domain.source_posts import SourcePostStatus
from bot.domain.spend import spend
from bot.ports import StoreState

_Key = TypeVar("_Key", bound=str)
_ON_ITS_WAY = (OutgoingPostStatus.PENDING, OutgoingPostStatus.SENDING, OutgoingPostStatus.UNKNOWN)


class StateCollector(Collector):
    """Metrics of a store's state.

    Args:
        read: the state as it is now; raises what it likes, the scrape then fails and says so.
        now: the aware time.
    """

    def __init__(self, read: Callable[[], StoreState], now: Callable[[], datetime]) -> None:
        self._read = read
        self._now = now

    def collect(self) -> Iterable[Metric]:
        """See `Collector.collect`."""
        state = self._read()
        yield _by("tweets", "Tweets of all sources, by what became of them.", "status", state.source_posts)
        yield _by("candidates", "Candidates in the queue, by verdict.", "status", state.candidates)
        yield _by("posts", "Posts, by where they stand.", "status", state.posts)
        yield GaugeMetricFamily(
            "deephypebot_outbox_depth",
            "Posts that are accepted and not known to be out.",
            value=sum(state.posts[status] for status in _ON_ITS_WAY),
        )
        yield GaugeMetricFamily(
            "deephypebot_board_doubtful", "Candidates that may be on the board or not.", value=state.appends_in_doubt
        )
        yield self._ages(state)
        yield from _parse_rate(state)
        yield from _verdicts(state)
        yield _by("usage_this_month", "What the networks bill, this month.", "item", state.usage)
        yield GaugeMetricFamily(
            "deephypebot_spend_this_month_dollars", "What that comes to, estimated.", value=spend(state.usage)
        )
        yield GaugeMetricFamily("deephypebot_bad_rows", "Rows of feeds that are no tweets.", value=state.bad_rows)

    def _ages(self, state: StoreState) -> Metric:
        ages = GaugeMetricFamily("deephypebot_poll_age_seconds", "Since a source was last read.", labels=["source"])
        for source, read_at in state.read_at.items():
            ages.add_metric([source], (self._now() - datetime.fromisoformat(read_at)).total_seconds())
        return ages


def _by(name: str, text: str, label: str, counts: Mapping[_Key, int]) -> Metric:
    family = GaugeMetricFamily(f"deephypebot_{name}", text, labels=[label])
    for value, count in counts.items():
        family.add_metric([str(value)], count)
    return family


def _parse_rate(state: StoreState) -> Iterable[Metric]:
    found = state.source_posts[SourcePostStatus.DONE] + state.source_posts[SourcePostStatus.FAILED]
    parsed = found + state.source_posts[SourcePostStatus.NO_SONG]
    if parsed:
        yield GaugeMetricFamily(
            "deephypebot_parse_rate", "Share of the tweets in which a song was found.", value=found / parsed
        )


def _verdicts(state: StoreState) -> Iterable[Metric]:
    verdicts = CounterMetricFamily(
        "deephypebot_verdicts", "Candidates that are decided on.", labels=["model", "version", "verdict"]
    )
    rates = GaugeMetricFamily(
        "deephypebot_accept_rate", "Share of the decided candidates that were accepted.", labels=["model", "version"]
    )
    for tally in state.versions:
        labels = [tally.model, tally.model_version]
        verdicts.add_metric([*labels, "accepted"], tally.accepted)
        verdicts.add_metric([*labels, "rejected"], tally.rejected)
        if decided := tally.accepted + tally.rejected:
            rates.add_metric(labels, tally.accepted / decided)
    yield verdicts
    yield rates


def registry(collector: Collector) -> CollectorRegistry:
    """A registry that holds the bot's metrics alone."""
    own = CollectorRegistry(auto_describe=False)
    own.register(collector)
    return own
