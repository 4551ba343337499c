"""A browser's window on the studio, as the tests of its pages need it."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager

import pytest
from playwright.sync_api import Browser, BrowserContext, Page, expect, sync_playwright

from bot.adapters.sqlite.store import SqliteStore
from tests.bot.helpers.studio_world import Client

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser")
needs_chromium = pytest.mark.skipif(
    CHROMIUM is None,
    reason="NO CHROMIUM HERE: the studio was tested by forms alone; apt-get install chromium, and test again",
)
PATIENCE_MS = 60_000
"""A busy machine takes its time; what should be there comes at once on others."""
PAGES = ("/", "/?status=all", "/posted", "/models", "/experiments", "/try?genres=dream+pop&go=1")


@contextmanager
def open_chromium() -> Iterator[Browser]:
    expect.set_options(timeout=PATIENCE_MS)
    with sync_playwright() as playwright:
        # Chromium's sandbox refuses to run as root, as which CI runs.
        sandbox = ["--no-sandbox"] if os.geteuid() == 0 else []
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=[*sandbox, "--disable-gpu"])
        yield browser
        browser.close()


class Watched:
    """A browser's window whose faults, and whose requests to anywhere but the studio, are counted."""

    def __init__(self, context: BrowserContext, studio: Client) -> None:
        self.page = context.new_page()
        self.page.set_default_timeout(PATIENCE_MS)
        self.address = studio.address.rstrip("/")
        self.faults: list[str] = []
        self.foreign: list[str] = []
        self.page.on("pageerror", lambda error: self.faults.append(str(error)))
        self.page.on("console", lambda message: self._hear(message.type, message.text))
        self.page.on("request", lambda request: self._see(request.url))

    def _hear(self, kind: str, text: str) -> None:
        # The browser reports answers of 4xx, which some tests provoke, as if they were faults of the page.
        if kind in {"error", "warning"} and "Failed to load resource" not in text:
            self.faults.append(text)

    def _see(self, url: str) -> None:
        if not url.startswith(self.address):
            self.foreign.append(url)

    def open(self, path: str = "/") -> Page:
        """Go to a page, and wait for its script if it has one."""
        self.page.goto(self.address + path)
        return self.page


def statuses(store: SqliteStore, *names: str) -> list[str]:
    found = {row.candidate.id: row.candidate.status.value for row in store.rows()}
    return [found[name] for name in names]


def current(page: Page) -> str | None:
    return page.locator(".candidate.is-current").get_attribute("data-id")


def said(page: Page, text: str) -> None:
    expect(page.locator(".toast [data-message]")).to_have_text(text)


def ready(page: Page) -> None:
    """Wait for the scripts of a page that was just turned to."""
    expect(page.locator("html[data-ready]")).to_be_attached()
