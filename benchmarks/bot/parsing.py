"""Benchmark of the song parser: precision and recall against a person's labels, and the time per text."""

from __future__ import annotations

import json
import statistics
import time
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from bot.domain.errors import InputError
from bot.domain.keys import loose_key
from bot.domain.rates import Rate
from bot.domain.songs.names import IsArtist, split_credit
from bot.domain.songs.parser import parse_songs
from bot.domain.songs.song import Song, credit
from foundation.text_lines import split_lines

_SHAPE = 'labels are JSON lines of {"text": "...", "songs": [{"artists": ["..."], "title": "..."}]}'


@dataclass(frozen=True, slots=True, kw_only=True)
class LabelledText:
    """A text with the songs that a person found in it."""

    text: str
    songs: tuple[Song, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Miss:
    """A text on which parser and labels differ."""

    text: str
    wrong: tuple[Song, ...]
    """Songs that are found but not labelled."""
    missed: tuple[Song, ...]
    """Songs that are labelled but not found."""

    def lines(self) -> tuple[str, ...]:
        """Return the text on one line, the songs that are found wrongly and those that are missed."""
        return (
            " / ".join(self.text.splitlines()),
            f"    found:    {_listed(self.wrong)}",
            f"    labelled: {_listed(self.missed)}",
        )


@dataclass(slots=True, kw_only=True)
class Score:
    """Result of the parser on labelled texts."""

    texts: int = 0
    found: int = 0
    labelled: int = 0
    right: int = 0
    silent: int = 0
    """Texts without a song in which none was found."""
    without_song: int = 0
    exact_texts: int = 0
    """Texts in which exactly the labelled songs were found."""
    misses: list[Miss] = field(default_factory=list)
    seconds: list[float] = field(default_factory=list)
    """Processor time per text."""

    def figures(self) -> dict[str, Any]:
        """Rates with their 95% intervals, and milliseconds per text."""
        rates = {
            "precision": Rate(count=self.right, total=self.found),
            "recall": Rate(count=self.right, total=self.labelled),
            "texts_exact": Rate(count=self.exact_texts, total=self.texts),
            "silent_where_no_song": Rate(count=self.silent, total=self.without_song),
        }
        milliseconds = sorted(1000 * each for each in self.seconds)
        return {
            "texts": self.texts,
            "songs": self.labelled,
            **{name: rate.as_document() for name, rate in rates.items()},
            "ms_median": statistics.median(milliseconds) if milliseconds else None,
            "ms_max": milliseconds[-1] if milliseconds else None,
        }


def read_labels(path: Path) -> list[LabelledText]:
    """Read labelled texts: JSON lines, or one JSON list of such objects, with "songs" or "expect".

    Raises:
        InputError: a line is not valid; the message names it.
    """
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as cause:
        raise InputError(f"the labels {path} cannot be read: {cause}; {_SHAPE}") from cause
    lines = _items(text) if text.lstrip().startswith("[") else split_lines(text)
    labelled = [_labelled(line, f"{path}, line {number}") for number, line in enumerate(lines, 1) if line.strip()]
    if not labelled:
        raise InputError(f"the labels {path} are empty; {_SHAPE}")
    return labelled


def score(labelled: Iterable[LabelledText], *, is_artist: IsArtist | None = None, min_confidence: float = 0.5) -> Score:
    """Parse every text and compare; songs below `min_confidence` are skipped, as by the bot."""
    result = Score()
    for each in labelled:
        start = time.process_time()
        songs = parse_songs(each.text, is_artist=is_artist)
        result.seconds.append(time.process_time() - start)
        _compare(result, each, [song for song in songs if song.confidence >= min_confidence])
    return result


def _compare(result: Score, each: LabelledText, songs: Sequence[Song]) -> None:
    missed, wrong = list(each.songs), []
    for song in songs:
        match = next((expected for expected in missed if _is_same(song, expected)), None)
        if match is None:
            wrong.append(song)
        else:
            missed.remove(match)
    result.texts += 1
    result.found += len(songs)
    result.labelled += len(each.songs)
    result.right += len(each.songs) - len(missed)
    result.exact_texts += not (missed or wrong)
    result.without_song += not each.songs
    result.silent += not (each.songs or songs)
    if missed or wrong:
        result.misses.append(Miss(text=each.text, wrong=tuple(wrong), missed=tuple(missed)))


def _is_same(song: Song, expected: Song) -> bool:
    """Key of a song: its artists in any order and its title, with the version in the title or apart from it."""
    # "Ona & Tor" and "Ona", "Tor" are the same credit, whether or not a list of artists has the two as one.
    artists, expected_artists = (
        {loose_key(name) for line in each.artists for name in split_credit(line)} for each in (song, expected)
    )
    titles, expected_titles = (
        {loose_key(each.title), loose_key(f"{each.title} {each.version or ''}")} for each in (song, expected)
    )
    return artists == expected_artists and bool(titles & expected_titles)


def _listed(songs: Sequence[Song]) -> str:
    named = (f"{credit(song.artists)} - {song.title}" for song in songs)
    return "; ".join(f"{name} ({song.confidence:g})" for name, song in zip(named, songs, strict=True)) or "nothing"


def _labelled(line: str, place: str) -> LabelledText:
    try:
        document: Any = json.loads(line)
        songs = tuple(
            Song(
                artists=_texts(song["artists"]),
                title=_text(song["title"]),
                version=song.get("version"),
                confidence=1.0,
            )
            for song in (document["songs"] if "songs" in document else document["expect"])
        )
        return LabelledText(text=_text(document["text"]), songs=songs)
    except (ValueError, KeyError, TypeError, RecursionError) as cause:
        raise InputError(f"{place}: {type(cause).__name__} ({cause}); {_SHAPE}") from cause


def _items(text: str) -> list[str]:
    """Return the objects of a JSON list as lines; a text that is not one stays one line, whose error names it."""
    try:
        return [json.dumps(item) for item in json.loads(text)]
    except (ValueError, RecursionError):
        return [text]


def _texts(value: Any) -> tuple[str, ...]:
    if not isinstance(value, list):
        raise TypeError(f"expected a list of strings, got {value!r}")
    return tuple(map(_text, value))


def _text(value: Any) -> str:
    if not isinstance(value, str):
        raise TypeError(f"expected a string, got {value!r}")
    return value
