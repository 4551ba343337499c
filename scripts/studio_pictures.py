"""Takes the pictures of docs/studio.md of a studio that runs: python scripts/studio_pictures.py http://127.0.0.1:8733/"""

from __future__ import annotations

import os
import shutil
import sys
from pathlib import Path
from typing import Final

from playwright.sync_api import Browser, sync_playwright

FOLDER: Final = Path(__file__).parents[1] / "docs"
DESK: Final = (1280, 860)
PHONE: Final = (390, 844)
# Name, address, size, colours, keys.
PICTURES: Final = (
    ("studio", "/?order=newest", DESK, "light", "are"),
    ("studio-dark", "/?order=newest", DESK, "dark", ""),
    ("studio-phone", "/?order=newest", PHONE, "light", ""),
    ("studio-phone-dark", "/?order=newest", PHONE, "dark", ""),
    ("studio-try", "/try?genres=dream pop, shoegaze&seed=7&go=1", (1280, 720), "light", ""),
    ("studio-posted", "/posted", (1280, 560), "light", ""),
    ("studio-models", "/models", (1280, 280), "light", ""),
    ("studio-keys", "/?order=newest", (1280, 640), "dark", "?"),
)


def take(browser: Browser, address: str, name: str, path: str, size: tuple[int, int], scheme: str, keys: str) -> None:
    """One picture; what its keys decided is taken back."""
    width, height = size
    context = browser.new_context(viewport={"width": width, "height": height})
    page = context.new_page()
    page.emulate_media(color_scheme="dark" if scheme == "dark" else "light", reduced_motion="reduce")
    page.goto(address.rstrip("/") + path)
    for key in keys:
        page.keyboard.press(key)
        page.wait_for_timeout(300)
    page.wait_for_timeout(300)
    page.screenshot(path=FOLDER / f"{name}.png")
    page.keyboard.press("Escape")
    for _ in "".join(key for key in keys if key in "arx"):
        page.keyboard.press("u")
        page.wait_for_timeout(300)
    context.close()


def main() -> None:
    """All of them."""
    (address,) = sys.argv[1:]
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(
            executable_path=shutil.which("chromium"), args=["--no-sandbox"] if os.geteuid() == 0 else []
        )
        for picture in PICTURES:
            take(browser, address, *picture)
        browser.close()


if __name__ == "__main__":
    main()
