"""Take the pictures of docs/guides/studio.md from a running studio: all of them, or those whose names begin so.

Example: python scripts/studio_pictures.py http://127.0.0.1:8733/
         python scripts/studio_pictures.py http://127.0.0.1:8733/ studio-experiments
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


QUEUE: Final = "/?order=newest"
TRY: Final = "/try?query=Ona Vell - Slow Lamp&genres=dream pop, shoegaze&num_samples=6&best_of=4&seed=7&go=1"


@dataclass(frozen=True, slots=True, kw_only=True)
class Picture:
    """A page in a state."""

    name: str
    path: str = QUEUE
    size: tuple[int, int] = DESK
    """Width and height, in pixels."""
    dark: bool = False
    keys: str = ""
    """Pressed one after the other before the picture is taken; what they decide is taken back."""
    shows: str = ""
    """Selector of a part of the page that the picture begins with; empty for the beginning of the page."""


def in_both_themes(name: str, path: str, *, height: int, keys: str = "", shows_on_phone: str = "") -> list[Picture]:
    """A page on a desk and on a telephone, light and dark."""
    return [
        Picture(name=f"{name}{size_name}{theme}", path=path, size=size, dark=bool(theme), keys=keys, shows=shows)
        for size_name, size, shows in (("", (DESK[0], height), ""), ("-phone", PHONE, shows_on_phone))
        for theme in ("", "-dark")
    ]


PICTURES: Final = (
    *in_both_themes("studio", QUEUE, height=DESK[1], keys="are", shows_on_phone=".song"),
    *in_both_themes("studio-posted", "/posted", height=560),
    *in_both_themes("studio-try", TRY, height=800, shows_on_phone=".results"),
    *in_both_themes("studio-models", "/models", height=330),
    *in_both_themes("studio-experiments", "/experiments", height=720),
    Picture(name="studio-keys", size=(1280, 620), dark=True, keys="?"),
)


def take(browser: Browser, address: str, picture: Picture) -> None:
    """One picture."""
    width, height = picture.size
    context = browser.new_context(viewport={"width": width, "height": height})
    page = context.new_page()
    page.emulate_media(color_scheme="dark" if picture.dark else "light", reduced_motion="reduce")
    page.goto(address.rstrip("/") + picture.path)
    page.wait_for_selector("html[data-ready]")
    for key in picture.keys:
        page.keyboard.press(key)
        page.wait_for_timeout(300)
    if picture.shows:
        page.locator(picture.shows).first.evaluate(
            "part => scrollTo(0, part.getBoundingClientRect().top + scrollY - 100)"
        )
    page.wait_for_timeout(300)
    page.screenshot(path=FOLDER / f"{picture.name}.png")
    page.keyboard.press("Escape")
    for _ in [key for key in picture.keys if key in "arxA"]:
        page.keyboard.press("u")
        page.wait_for_timeout(300)
    context.close()


def main() -> None:
    """All of them, or those that are named."""
    address, *beginnings = sys.argv[1:]
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(
            executable_path=shutil.which("chromium"), args=["--no-sandbox"] if os.geteuid() == 0 else []
        )
        for picture in PICTURES:
            if beginnings and not picture.name.startswith(tuple(beginnings)):
                continue
            take(browser, address, picture)
        browser.close()


if __name__ == "__main__":
    main()
