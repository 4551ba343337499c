"""Realistic dirt of scraped posts, added to clean text by a seeded generator.

Every function takes clean text and returns text that a reader still understands and that cleaning should restore.
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
    "The words are by Oda Fennick, with thanks to Bram Velth and the good people of Night Ferry Records.",
    "Buy a copy on colored vinyl in our shop before the last one is gone.",
)
"""Lines that sites put under every post. The fourth has no typical word and is recognised only by its repetition."""

FRAGMENTS: Final = (
    "LOUD, LOUDER, LOUDEST, AND THEN SOME MORE OF THAT.",
    "Tracks: 01. 02. 03. 04. 05. 06. 07. 08. 09.",
    "and so on, and so forth",
    "Wow.",
)
"""Lines that are not sentences: in capitals, of numbers, without an end, too short."""


def add_dirt(sentences: list[str], *, title: str, random: Random) -> str:
    """Join a post's sentences to its text as it would be scraped."""
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
    """Make quotes typographic: opening and closing ones by turns."""
    pieces = text.replace("'", "’").split('"')
    return "".join(piece + "“”"[number % 2] for number, piece in enumerate(pieces[:-1])) + pieces[-1]


def _mojibake(text: str, title: str) -> str:
    """Decode UTF-8 as Windows-1252, as databases of the 2010s did."""
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
