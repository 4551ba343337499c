"""Take the picture of docs/guides/mlflow.md: a version's page of a running tracking server, with its verdicts.

Example: python scripts/mlflow_picture.py http://127.0.0.1:5000 lcgan 2
"""

from __future__ import annotations

import os
import shutil
import sys
from pathlib import Path
from typing import Final

from mlflow import MlflowClient
from playwright.sync_api import sync_playwright

from experiments.tracking.mlflow_store import logged_model_id

PICTURE: Final = Path(__file__).parents[1] / "docs" / "pictures" / "mlflow-verdicts.png"
SIZE: Final = (1100, 760)
_PATIENCE_MS: Final = 120_000


def page_of(address: str, model: str, version: str) -> str:
    """Return the address of the page of a version's logged model, where MLflow shows its metrics."""
    client = MlflowClient(address, address)
    found = client.get_model_version(model, version)
    logged = client.get_logged_model(logged_model_id(found.model_id, found.source))
    return f"{address}/#/experiments/{logged.experiment_id}/models/{logged.model_id}"


def main() -> None:
    """Take it."""
    address, model, version, *out = sys.argv[1:]
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(
            executable_path=shutil.which("chromium"), args=["--no-sandbox"] if os.geteuid() == 0 else []
        )
        page = browser.new_page(viewport={"width": SIZE[0], "height": SIZE[1]})
        page.set_default_timeout(_PATIENCE_MS)
        page.goto(page_of(address.rstrip("/"), model, version))
        page.get_by_placeholder("Search metrics").fill("verdicts")
        page.get_by_role("button", name="Close", exact=True).last.click()  # MLflow's assistant
        page.get_by_text("verdicts.judged").first.scroll_into_view_if_needed()
        page.wait_for_timeout(1000)
        page.screenshot(path=out[0] if out else PICTURE)
        browser.close()


if __name__ == "__main__":
    main()
