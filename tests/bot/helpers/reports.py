"""Reports of experiments as files of a workspace."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

HTML = (
    "<!doctype html><html lang='en'><head><meta charset='utf-8'><title>autumn</title>"
    "<style>:root { color-scheme: light dark } h1 { color: rgb(1, 2, 3) }</style></head>"
    "<body><h1>The whole report</h1><script>document.title = 'owned'</script>"
    "<svg width='9' height='9'><circle r='4' cx='4' cy='4' style='fill: rgb(4, 5, 6)'/></svg></body></html>"
)


def arm(version: str, role: str = "control", **changes: Any) -> dict[str, Any]:
    figures = {"songs": 40, "samples": 1200, "accepted": 480, "acceptance": {"value": 0.4, "low": 0.3, "high": 0.5}}
    return {"version": version, "role": role, **figures, **changes}


def head(name: str = "autumn", **changes: Any) -> dict[str, Any]:
    document = {
        "name": name,
        "model": "lcgan",
        "design": "interleaved",
        "state": "running",
        "recommendation": f"Go on with {name}: 12 more songs decide it.",
        "updated_at": "2026-11-30T06:00:00Z",
        "arms": [arm("3"), arm("7", "treatment", acceptance={"value": 0.625, "low": 0.5, "high": 0.75})],
    }
    return {**document, **changes}


def write_report(
    workspace: Path, name: str = "autumn", *, html: str | None = HTML, text: str = "", **changes: Any
) -> Path:
    """Write a report's files; `text` stands in the place of the head, and without `html` the page is missing."""
    folder = workspace / "experiments" / name
    folder.mkdir(parents=True)
    (folder / "report.json").write_text(text or json.dumps(head(name, **changes)), encoding="utf-8")
    if html is not None:
        (folder / "report.html").write_text(html, encoding="utf-8")
    return folder
