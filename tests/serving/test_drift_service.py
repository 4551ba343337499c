"""Drift on the real service: it is in the log, on the page of metrics, and a tag of the version."""

from __future__ import annotations

import urllib.request
from pathlib import Path

import pytest

from serving.client import CommentaryClient
from serving.registry.client import Registry
from serving.registry.versions import DRIFT_TAG_PREFIX
from serving.traffic.reading import ExposureFiles
from tests.handlers.references import EXAMPLE
from tests.serving.echo_handler import UNKNOWN_GENRE
from tests.serving.support import EchoRegistry, ask, running_service, wait_until

pytestmark = [pytest.mark.integration, pytest.mark.timeout(180)]

MODEL = "drifting"
EARLIER = "length (2026-01-01T00:00Z): an alarm of another gateway, or before a restart"


def test_traffic_that_leaves_the_archives_reference_is_told_everywhere(registry: EchoRegistry, tmp_path: Path) -> None:
    registry.alias(MODEL, "champion", registry.register(MODEL, reference=EXAMPLE.to_json()))
    Registry(registry.uri).set_drift(MODEL, "1", "length", EARLIER)
    with running_service(registry.uri, tmp_path, [MODEL]) as service, CommentaryClient(service.target) as client:
        for number in range(200):
            genre = ("dream pop", "techno", "dream pop")[number % 3]
            client.generate(ask(genres=[genre]), model=MODEL)
        assert "drifts" not in service.log()
        for number in range(120):
            client.generate(ask(genres=[UNKNOWN_GENRE if number % 2 else "techno"]), model=MODEL)
        wait_until(lambda: registry.tag(MODEL, "1", f"{DRIFT_TAG_PREFIX}unknown"))
        with urllib.request.urlopen(service.ready["gateway_metrics"], timeout=10) as page:  # noqa: S310 - our own
            text = page.read().decode()
        rows = {row.id: row for row in ExposureFiles(folders=[service.folder / "exposures"])}
    tag = registry.tag(MODEL, "1", f"{DRIFT_TAG_PREFIX}unknown")
    assert tag.startswith("unknown (")
    shown = [key.strip() for key in tag.partition("exposures ")[2].split(",")]
    assert [rows[key].genres_unknown for key in shown] == [(UNKNOWN_GENRE,)] * 5
    assert f'deephypebot_gateway_drift_alarms_total{{feature="unknown",model="{MODEL}",version="1"}} 1.0' in text
    assert f"the traffic of {MODEL}/1 drifts: unknown: " in (tmp_path / "serve.log").read_text()
    (version,) = Registry(registry.uri).versions(MODEL)
    assert version.drift.splitlines() == [EARLIER, tag]
