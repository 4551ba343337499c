"""Sheet for blind readers: sentences of several sources in a random order, without their sources."""

from __future__ import annotations

import json
import random
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from foundation.text_lines import split_lines
from training.errors import RatingsError
from training.files import atomic_path, write_json

SHEET_FILE: Final = "sheet.txt"
KEY_FILE: Final = "key.json"
READERS_FILE: Final = "readers.md"
_INSTRUCTIONS: Final = """\
You are a demanding curator of an account that posts one sentence about a song at a time. Rate each sentence of
{sheet} (number, tab, sentence) by itself, as a reader who knows nothing else about it. `<artist>` and `<title>` stand
for the names of the song and its artist: read them as if the names stood there.

Write a line for each sentence into a file that is named for you, such as `anna.tsv`: number, grammar, sense, flavour,
accept, separated by tabs, and nothing else.

- grammar, 1 to 5: is it correct, fluent English with real words? 5 is flawless.
- sense, 1 to 5: does it mean something coherent and plausible about music? 5 makes perfect sense.
- flavour, 1 to 5: is it vivid and interesting? 5 is striking, 1 is dead.
- accept, 0 or 1: would you post it, exactly as it is? It need not be brilliant, but it must be correct, make sense by
  itself and be about the music.

Read every line yourself. Scripts and lists of words are not readers. Rate every number once.
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Sheet:
    """Sentences in the order in which readers see them."""

    rows: tuple[tuple[str, str], ...]
    """Source and text of each number."""

    def counts(self) -> dict[str, int]:
        """Return the number of sentences of each source."""
        sources = [source for source, _ in self.rows]
        return {source: sources.count(source) for source in sorted(set(sources))}


def mix(sources: Mapping[str, Sequence[str]], *, each: int, seed: int) -> Sheet:
    """Draw sentences of each source, none twice, and shuffle them all; the same seed gives the same sheet.

    Args:
        sources: sentences by the name of their source.
        each: number of sentences of each source; a source with fewer gives all.
        seed: seed of the draw and of the order.

    Raises:
        RatingsError: there are no sentences, or fewer than one is asked for.
    """
    if each < 1:
        raise RatingsError(f"each source gives at least 1 sentence, got {each}")
    rows: list[tuple[str, str]] = []
    for number, (name, texts) in enumerate(sources.items()):
        # A generator for each source, so that another source more leaves the draw of the others as it is.
        distinct = list(dict.fromkeys(" ".join(text.split()) for text in texts if text.strip()))
        chosen = random.Random(f"{seed} {number}").sample(distinct, min(each, len(distinct)))
        if not chosen:
            raise RatingsError(f"the source {name} has no sentences")
        rows += [(name, text) for text in chosen]
    if not rows:
        raise RatingsError("a sheet needs at least one source")
    random.Random(seed).shuffle(rows)
    return Sheet(rows=tuple(rows))


def write_sheet(sheet: Sheet, folder: Path) -> None:
    """Write the sheet and the instructions for readers, and apart from them the key, which readers must not see.

    Raises:
        OutputError: the folder cannot be written to.
    """
    with atomic_path(folder / SHEET_FILE) as partial:
        partial.write_text(
            "".join(f"{number}\t{text}\n" for number, (_, text) in enumerate(sheet.rows)), encoding="utf-8"
        )
    with atomic_path(folder / READERS_FILE) as partial:
        partial.write_text(_INSTRUCTIONS.format(sheet=SHEET_FILE), encoding="utf-8")
    write_json(folder / "key" / KEY_FILE, [list(row) for row in sheet.rows])


def read_sentences(path: Path) -> list[str]:
    """Read sentences of a file: one a line, or JSON lines with `text`; lines with a list (of genres) are left out.

    Raises:
        RatingsError: the file cannot be read, or a JSON line has no text.
    """
    try:
        lines = split_lines(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError) as cause:
        raise RatingsError(f"{path} cannot be read: {cause}") from cause
    texts = []
    for place, line in enumerate(map(str.strip, lines), start=1):
        if line.startswith("{"):
            texts.append(_text(path, place, line))
        elif line and not (line.startswith("[") and line.endswith("]")):
            texts.append(line)
    return texts


def _text(path: Path, place: int, line: str) -> str:
    try:
        text = json.loads(line)["text"]
    except (ValueError, KeyError, TypeError) as cause:
        raise RatingsError(f'{path}:{place} is not {{"text": ...}}') from cause
    if not isinstance(text, str):
        raise RatingsError(f'{path}:{place} is not {{"text": ...}}')
    return text
