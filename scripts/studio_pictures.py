"""Take the pictures of docs/guides/studio.md from a running studio.

Example: python scripts/studio_pictures.py http://127.0.0.1:8733/
"""

from __future__ import annotations

import os
import shutil
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from playwright.sync_api import Browser, sync_playwright

FOLDER: Final = Path(__file__).parents[1] / "docs" / "pictures"
DESK: Final = (1280, 860)
PHONE: Final = (390, 844)


@dataclass(frozen=True, slots=True, kw_only=True)
class Picture:
    """A page in a state."""

    name: str
    path: str = "/?order=newest"
    size: tuple[int, int] = DESK
    """Width and height, in pixels."""
    dark: bool = False
    keys: str = ""
    """Pressed one after the other before the picture is taken; what they decide is taken back."""


PICTURES: Final = (
    Picture(name="studio", keys="are"),
    Picture(name="studio-dark", dark=True),
    Picture(name="studio-phone", size=PHONE),
    Picture(name="studio-phone-dark", size=PHONE, dark=True),
    Picture(name="studio-try", path="/try?genres=dream pop, shoegaze&seed=7&go=1", size=(1280, 720)),
    Picture(name="studio-posted", path="/posted", size=(1280, 560)),
    Picture(name="studio-models", path="/models", size=(1280, 280)),
    Picture(name="studio-keys", size=(1280, 640), dark=True, keys="?"),
)


def take(browser: Browser, address: str, picture: Picture) -> None:
    """One picture."""
    width, height = picture.size
    context = browser.new_context(viewport={"width": width, "height": height})
    page = context.new_page()
    page.emulate_media(color_scheme="dark" if picture.dark else "light", reduced_motion="reduce")
    page.goto(address.rstrip("/") + picture.path)
    for key in picture.keys:
        page.keyboard.press(key)
        page.wait_for_timeout(300)
    page.wait_for_timeout(300)
    page.screenshot(path=FOLDER / f"{picture.name}.png")
    page.keyboard.press("Escape")
    for _ in [key for key in picture.keys if key in "arx"]:
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
            take(browser, address, picture)
        browser.close()


if __name__ == "__main__":
    main()
