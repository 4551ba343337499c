"""Realistic dirt for clean text: what scraped posts carry, put on by a seeded generator.

Every function takes clean text and returns text that a reader would still understand and that cleaning should bring
back to what it was.
"""

from __future__ import annotations

import html
from collections.abc import Callable
from random import Random
from typing import Final

BOILERPLATE: Final = (
    "Follow us on every network and subscribe to our newsletter.",
    "Photo by Oda Fennick.",
    "Click here to read more.",
    "The Tidepool Desk thanks you for reading and sends its love to every single listener.",
    "Share this: Email | Print | Pin",
)
"""Lines that sites put under every post. The fourth has no telling word: only its repetition gives it away."""

FRAGMENTS: Final = (
    "LOUD, LOUDER, LOUDEST, AND THEN SOME MORE OF THAT.",
    "Tracks: 01. 02. 03. 04. 05. 06. 07. 08. 09.",
    "and so on, and so forth",
    "Wow.",
)
"""Lines that are no sentences: capitals, numbers, no end, too short."""


def add_dirt(sentences: list[str], *, title: str, random: Random) -> str:
    """Join a post's sentences to the text of a post as it would be scraped."""
    lines = [" ".join(sentences)]
    if len(sentences) > 3 and random.random() < 0.5:
        cut = random.randrange(1, len(sentences))
        lines = [" ".join(sentences[:cut]), " ".join(sentences[cut:])]
    if random.random() < 0.15:
        lines.append(random.choice(BOILERPLATE))
    if random.random() < 0.10:
        lines.insert(random.randrange(len(lines) + 1), random.choice(FRAGMENTS))
    if random.random() < 0.12:
        lines.append(random.choice(("Listen: {}", "Stream it here: {}", "{}")).format(_url(random)))
    text = "\n\n".join(lines)
    soil = random.choices((None, *_SOILS), weights=(60, *_SOILS.values()))[0]
    return soil(text, title) if soil else text


def _curly(text: str, _title: str) -> str:
    """Typographic quotes: opening after a space, closing elsewhere."""
    pieces = text.replace("'", "’").split('"')
    return "".join(piece + "“”"[number % 2] for number, piece in enumerate(pieces[:-1])) + pieces[-1]


def _mojibake(text: str, title: str) -> str:
    """UTF-8 read as Windows-1252, the way databases of the last decade did it."""
    return _curly(text, title).encode().decode("cp1252", errors="replace").replace("\ufffd", "\x9d")


def _entities(text: str, _title: str) -> str:
    return html.escape(text).replace(" - ", " &ndash; ")


def _tags(text: str, title: str) -> str:
    paragraphs = html.escape(text, quote=False).replace(
        html.escape(title, quote=False), f"<em>{html.escape(title)}</em>"
    )
    return "".join(f'<p class="body">{paragraph}</p>' for paragraph in paragraphs.split("\n\n"))


def _markdown(text: str, title: str) -> str:
    return text.replace(f'"{title}"', f'**"{title}"**').replace(". ", ".  ")


def _link(text: str, title: str) -> str:
    return text.replace(f'"{title}"', f'["{title}"](https://tidepool.example/listen?id=7)', 1)


_SOILS: Final[dict[Callable[[str, str], str], int]] = {
    _curly: 12,
    _mojibake: 7,
    _entities: 6,
    _tags: 6,
    _markdown: 6,
    _link: 3,
}


def _url(random: Random) -> str:
    return f"https://tidepool.example/{random.choice(('p', 'listen', 'stream'))}/{random.randrange(10**6):06d}"
