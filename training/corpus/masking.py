"""Masking: placeholders where a text names its song, so that a model learns sentences and not names."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Final

from training.corpus.cleaning import ARTIST, AUTHOR, SITE, TITLE, plain_quotes, repair

_FEATURED: Final = re.compile(r"\s*[(\[]?\b(?:ft|feat|featuring|prod)\b\.?\s.*$", re.IGNORECASE)
_LAST_FIRST: Final = re.compile(r"^([^\s,]+),\s?([^\s,]+)$")
"""Name as a shop writes it: "TOLK,BRAM"."""
_BRACKETS: Final = re.compile(r"\s*[(\[][^()\[\]]*[)\]]\s*$")
_JOINED: Final = re.compile(r"\s+(?:&|x|with|vs\.?)\s+|,\s", re.IGNORECASE)
_EDGES: Final = " \t\"'“”‘’:;,.-–—|/"
_MIN_SITE: Final = 6
"""Minimum letters of a site's name that is masked; shorter names are too often a word."""
_OPENERS: Final = frozenset(
    [
        "and",
        "as",
        "at",
        "but",
        "for",
        "from",
        "here",
        "if",
        "in",
        "like",
        "on",
        "so",
        "still",
        "that",
        "the",
        "then",
        "though",
        "until",
        "when",
        "where",
        "while",
        "with",
        "yet",
    ]
)
"""Words that have a capital before a surname only because they start the sentence."""


@dataclass(frozen=True, slots=True, kw_only=True)
class _Names:
    """Forms in which texts write a song's artist and title, longest first."""

    artist: tuple[str, ...]
    title: tuple[str, ...]
    surname: str | None


def mask(
    paragraphs: Sequence[str],
    *,
    artist: str | None,
    title: str | None,
    author: str | None = None,
    site: str | None = None,
) -> list[str]:
    """Replace the names of a post's song, writer and site by `ARTIST`, `TITLE`, `AUTHOR` and `SITE`.

    A title in quotes is the title even if the artist has the same name. Names of several words are found in any case,
    names of one word only as they are spelt or in capitals. A title of one word outside quotes is found only within a
    sentence: at its start, "Home" is too often just a home. The last word of an artist's name is masked if the post
    uses it within a sentence with a capital, and never without one.
    """
    if not paragraphs:
        return []
    names = _names(artist or "", title or "")
    text = "\n".join(paragraphs)
    if author or site:
        text = _mask_origin(text, author or "", site or "")
    folded = text.casefold()
    titles = tuple(form for form in names.title if form.casefold() in folded)
    artists = tuple(form for form in names.artist if form.casefold() in folded)
    if titles:
        text = _quoted(titles).sub(TITLE, text)
    if artists:
        text = _pattern(artists, anywhere=True).sub(ARTIST, text)
    rest = tuple(form for form in titles if form not in names.artist)
    if rest:
        text = _pattern(rest, anywhere=False).sub(TITLE, text)
    if names.surname and names.surname in text:
        text = _mask_surname(text, names.surname)
    return text.split("\n")


@lru_cache(maxsize=1024)
def _names(artist: str, title: str) -> _Names:
    whole = _LAST_FIRST.sub(r"\2 \1", _flat(artist))
    alone = _FEATURED.sub("", whole)
    first = _JOINED.split(alone)[0]
    forms = [whole, alone, first]
    forms += [form[4:] for form in forms if form.casefold().startswith("the ")]
    bare_title = _FEATURED.sub("", _flat(title))
    short_title = _BRACKETS.sub("", bare_title)
    titles = [_flat(title), bare_title, short_title, short_title.split(" - ")[0]]
    return _Names(artist=_distinct(forms), title=_distinct(titles), surname=_surname(first))


def _mask_origin(text: str, author: str, site: str) -> str:
    """Mask writer and site; a writer's name of one word, such as "Sun" or "admin", is left."""
    writer = _flat(author)
    if " " in writer:
        text = re.sub(rf"(?<!\w){re.escape(writer)}(?!\w)", AUTHOR, text, flags=re.IGNORECASE)
    place = _place(site)
    return place.sub(SITE, text) if place else text


@lru_cache(maxsize=1024)
def _place(site: str) -> re.Pattern[str] | None:
    """Pattern of a domain's name, also as words: "www.loudtide.com" is "Loud Tide"."""
    domain = site.casefold().removeprefix("https://").removeprefix("http://").removeprefix("www.").split("/")[0]
    name = re.sub(r"[^a-z0-9]", "", domain.split(".")[0])
    if len(name) < _MIN_SITE:
        return None
    return re.compile(rf"(?<!\w)(?:{re.escape(domain)}|{' ?'.join(name)})(?!\w)", re.IGNORECASE)


def _surname(name: str) -> str | None:
    """Return the last of two or three words that all have a capital: a surname, or the short name of a band."""
    words = name.split()
    if 2 <= len(words) <= 3 and all(word[:1].isupper() for word in words) and len(words[-1]) >= 4:
        return words[-1] if words[-1].isalpha() else None
    return None


def _mask_surname(text: str, surname: str) -> str:
    within = re.search(rf"(?<=[a-z,] ){surname}(?!\w)", text)
    if not within or re.search(rf"\b{surname.casefold()}\b", text):
        return text

    def replace(match: re.Match[str]) -> str:
        before = match[1] or ""
        # "Ada Frostholm" is not "Bram Frostholm", the artist of this post.
        other = before and before.strip().casefold() not in _OPENERS
        return match[0] if other else before + ARTIST

    return re.sub(rf"\b([A-Z][\w.'-]* )?{surname}(?!\w)", replace, text)


def _flat(name: str) -> str:
    return " ".join(plain_quotes(repair(name)).split()).strip(_EDGES)


def _distinct(forms: list[str]) -> tuple[str, ...]:
    stripped = (form.strip(_EDGES) for form in forms)
    return tuple(sorted({form for form in stripped if len(form) > 1}, key=lambda form: (-len(form), form)))


@lru_cache(maxsize=1024)
def _quoted(forms: tuple[str, ...]) -> re.Pattern[str]:
    return re.compile(rf"(?<=[\"'])(?:{'|'.join(map(re.escape, forms))})(?=[,.!?]?[\"'])", re.IGNORECASE)


@lru_cache(maxsize=1024)
def _pattern(forms: tuple[str, ...], *, anywhere: bool) -> re.Pattern[str]:
    options = []
    for form in forms:
        escaped = re.escape(form)
        if " " in form and len(form) >= 7:
            options.append(f"(?i:{escaped})")
        elif form != form.casefold() or (anywhere and not form.isalpha()):
            before = "" if anywhere else r"(?<=[a-z,] )"
            options.append(f"{before}(?:{escaped}|{re.escape(form.upper())})")
    # Without a form, the pattern never matches.
    return re.compile(rf"(?<!\w)(?:{'|'.join(options)})(?!\w)" if options else r"(?!)")
