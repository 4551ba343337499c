"""The alert rules and the dashboard name what is on the pages of metrics, in PromQL that parses."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.deploy.queries import Reader, metrics

ROOT = Path(__file__).resolve().parents[2]
FOLDER = ROOT / "deploy" / "monitoring"
RUNBOOK = ROOT / "docs" / "guides" / "runbook.md"
VARIABLES = {"$__rate_interval": "5m"}
"""What Grafana puts in."""


def alerts() -> list[dict[str, Any]]:
    groups = yaml.safe_load((FOLDER / "alerts.yaml").read_text())["groups"]
    return [rule for group in groups for rule in group["rules"]]


def panels() -> list[dict[str, Any]]:
    return list(json.loads((FOLDER / "dashboard.json").read_text())["panels"])


def queries() -> Iterator[str]:
    yield from (rule["expr"] for rule in alerts())
    for panel in panels():
        for target in panel["targets"]:
            query = target["expr"]
            for variable, value in VARIABLES.items():
                query = query.replace(variable, value)
            yield query


@pytest.mark.parametrize("query", sorted(set(queries())))
def test_a_query_parses_and_its_metrics_have_the_labels_that_it_names(query: str) -> None:
    known, read = metrics(), Reader(query)
    assert read.series or "time()" in query
    for name, labels in read.series:
        assert name in known, name
        assert labels <= known[name], (name, labels)
    assert read.grouped <= set().union(*(known[name] for name, _ in read.series))


def test_the_reader_finds_a_metric_that_does_not_exist_wherever_it_is() -> None:
    read = Reader('sum by (a) (rate(one{b="c"}[5m])) / (-two > 0.02 or max_over_time(three[1h:5m]))')
    assert ([name for name, _ in read.series], read.grouped) == (["one", "two", "three"], {"a"})


def test_what_is_no_promql_is_refused() -> None:
    with pytest.raises(ValueError, match=r"."):
        Reader("sum by (a) rate(x[5m)")


def test_each_alert_has_a_severity_a_summary_and_a_section_of_the_runbook() -> None:
    sections = {heading.lower() for heading in re.findall(r"^## (\w+)$", RUNBOOK.read_text(), re.MULTILINE)}
    for rule in alerts():
        assert rule["labels"]["severity"] in {"page", "ticket", "info"}
        assert rule["annotations"]["summary"]
        assert rule["annotations"]["runbook_url"] == f"docs/guides/runbook.md#{rule['alert'].lower()}"
    assert sections == {rule["alert"].lower() for rule in alerts()}
    assert len(alerts()) == len({rule["alert"] for rule in alerts()})


def test_labels_in_summaries_are_those_that_the_query_keeps() -> None:
    for rule in alerts():
        named = set(re.findall(r"\$labels\.(\w+)", rule["annotations"]["summary"]))
        assert named <= Reader(rule["expr"]).grouped, rule["alert"]


def test_panels_do_not_overlap_and_each_says_what_it_shows() -> None:
    taken: set[tuple[int, int]] = set()
    for panel in panels():
        assert panel["description"].endswith(".")
        place = panel["gridPos"]
        cells = {
            (x, y)
            for x in range(place["x"], place["x"] + place["w"])
            for y in range(place["y"], place["y"] + place["h"])
        }
        assert not cells & taken
        assert place["x"] + place["w"] <= 24
        taken |= cells
    assert len({panel["id"] for panel in panels()}) == len(panels())
