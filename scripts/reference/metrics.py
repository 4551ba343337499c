"""The page of metrics: those of a worker, of the gateway and of the bot."""

from __future__ import annotations

import ast
import inspect
from collections import Counter
from collections.abc import Iterable, Iterator
from datetime import UTC, datetime
from itertools import pairwise
from pathlib import Path
from typing import Any, Final

import yaml
from markdown import table
from prometheus_client.core import Metric
from prometheus_client.metrics import MetricWrapperBase

from bot.domain.candidates import CandidateStatus, Decision
from bot.domain.outgoing_posts import OutgoingPostStatus
from bot.domain.source_posts import SourcePostStatus
from bot.observe.health import Pulse
from bot.observe.metrics import StateCollector
from bot.ports import StoreState, VersionTally
from handlers.worker import metrics as worker
from serving.gateway import metrics as gateway
from serving.traffic.exposures import ShadowOutcome
from serving.traffic.figures import FigureBook

ROOT: Final = Path(__file__).resolve().parents[2]
_INTRODUCTION: Final = (
    "Three pages for Prometheus: TorchServe's (`deephypebot serve --metrics-port`), the gateway's "
    "(`deephypebot serve --gateway-metrics-port`, with TorchServe's behind it) and the bot's (setting `metrics_port`)."
)
_HEADER: Final = ("metric", "type", "labels", "meaning")


def page() -> list[str]:
    """Lines of the page."""
    return [
        "# Metrics",
        "",
        _INTRODUCTION,
        "",
        *table(_HEADER, [*_worker(), *_gateway(), *_bot()]),
        "",
        "TorchServe's own metrics, shown on the page of a worker too, are named in `serving/workers/metrics.yaml`.",
    ]


def _worker() -> Iterator[list[str]]:
    """Metrics of `metrics.yaml` that a worker adds to; their meaning stands under the constants of their names."""
    meanings = _constants(worker)
    document = yaml.safe_load((ROOT / "serving/workers/metrics.yaml").read_text(encoding="utf-8"))
    for kind, entries in document["model_metrics"].items():
        for entry in entries:
            if entry["name"] in meanings:
                labels = ", ".join(f"`{label}`" for label in entry["dimensions"])
                yield [f"`{entry['name']}`", kind, labels, meanings[entry["name"]]]


def _constants(module: Any) -> dict[str, str]:
    """Docstrings of a module's constants, by the constants' values."""
    body = ast.parse(inspect.getsource(module)).body
    return {
        getattr(module, before.target.id): " ".join(after.value.value.split())
        for before, after in pairwise(body)
        if isinstance(before, ast.AnnAssign)
        and isinstance(before.target, ast.Name)
        and isinstance(getattr(module, before.target.id), str)
        and isinstance(after, ast.Expr)
        and isinstance(after.value, ast.Constant)
    }


def _gateway() -> list[list[str]]:
    book = FigureBook()
    book.of("lcgan", "1").add_shadow(ShadowOutcome.ANSWERED)
    registry = gateway.GatewayMetrics(in_flight=lambda: 0, book=book).registry
    # An instrument without a value yet has no sample that its labels could be read from.
    instruments = [each for each in registry._collector_to_names if isinstance(each, MetricWrapperBase)]  # noqa: SLF001
    labels = {each._name: each._labelnames for each in instruments}  # noqa: SLF001 - nothing public has them
    rows = _rows(registry.collect())
    for row in rows:
        row[2] = row[2] or ", ".join(
            f"`{label}`" for label in labels.get(row[0].strip("`").removesuffix("_total").removesuffix("_info"), ())
        )
    return rows


def _bot() -> list[list[str]]:
    """Metrics of a made-up state in which none is missing."""
    tally = VersionTally(model="lcgan", model_version="1", waiting=1, accepted=1, rejected=1)
    now = datetime.now(UTC)
    state = StoreState(
        source_posts=dict.fromkeys(SourcePostStatus, 1),
        candidates=dict.fromkeys(CandidateStatus, 1),
        odd_items={"x:timeline:17": 1},
        set_aside=(),
        cursors={},
        read_at={"x": now.isoformat()},
        last_error=None,
        last_error_at=None,
        failures=(),
        posts=dict.fromkeys(OutgoingPostStatus, 1),
        usage={"x post": 1},
        versions=(tally,),
        appends_in_doubt=1,
        verdicts={("lcgan", "1", Decision.ACCEPT): 1},
        refusals={("x", "too long"): 1},
    )
    pulse = Pulse(patience_s=1, last_good_at=0.0, problems=Counter(["board"]))
    collector = StateCollector(lambda: state, lambda: now, pulse=pulse, events=lambda: {"sent": 1})
    return _rows(collector.collect())


def _rows(metrics: Iterable[Metric]) -> list[list[str]]:
    return sorted([_name(metric), metric.type, _labels(metric), metric.documentation] for metric in metrics)


def _name(metric: Metric) -> str:
    suffix = {"counter": "_total", "info": "_info"}.get(metric.type, "")
    return f"`{metric.name}{suffix}`"


def _labels(metric: Metric) -> str:
    """Label names, from the samples or, where there are none yet, from the instrument."""
    found = dict.fromkeys(label for sample in metric.samples for label in sample.labels if label != "le")
    found = found or dict.fromkeys(getattr(metric, "_labelnames", ()))
    return ", ".join(f"`{label}`" for label in found)
