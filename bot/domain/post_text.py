"""The text of a post: a candidate's text within a template that names its song."""

from __future__ import annotations

import string
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from bot.domain.hidden import without_hidden
from bot.domain.keys import text_key
from bot.domain.songs.song import SongReport
from bot.domain.source_posts import SourcePost, web_address

FIELDS = ("artist", "title", "text", "genres", "link", "source")
"""Fields of a template: the song's artist, title and genres, the candidate's text, the address to listen to the song,
and the address of the source post. A field may be empty; `text` never is."""
TEMPLATE = "{artist} – {title}: {text}"
"""Default of `[post] template`."""
TEXT_ALONE = "{text}"
_NAMED = 3
"""Minimum letters and digits of a name that is looked for in a text: shorter ones are in many words."""


def _parts(source: str) -> Iterator[tuple[str, str | None]]:
    """Literal text and the name of the field behind it, which is None at the end.

    Raises:
        ValueError: a brace has no partner, or a field has a format.
    """
    try:
        parts = list(string.Formatter().parse(source))
    except ValueError as cause:
        raise ValueError(
            f"braces of a template are around a field's name, and {{{{ stands for a brace itself, got {source!r}"
        ) from cause
    for literal, name, form, conversion in parts:
        if form or conversion:
            raise ValueError(f"a field of a template is a name in braces alone, got {source!r}")
        yield literal, name


@dataclass(frozen=True, slots=True, kw_only=True)
class Draft:
    """A text that may be posted, with everything that its post may show."""

    text: str
    report: SongReport
    source_post: SourcePost

    @property
    def names_song(self) -> bool:
        """Whether the text contains the song's artist and title by itself."""
        text = text_key(self.text)
        names = (text_key(self.report.artist), text_key(self.report.song.title))
        return all(len(name) >= _NAMED and name in text for name in names)

    @property
    def fields(self) -> Mapping[str, str]:
        """Values of `FIELDS`. Only the text may have line breaks; the rest comes from outside and is one line."""
        return {
            "artist": _one_line(self.report.artist),
            "title": _one_line(self.report.song.title),
            "text": self.text,
            "genres": _one_line(", ".join(self.report.genres)),
            "link": _one_line(web_address(self.report.url)),
            "source": _one_line(self.source_post.link),
        }


@dataclass(frozen=True, slots=True)
class Template:
    """Template of a post's text, with fields in braces.

    >>> Template("{artist} – {nothing}")
    Traceback (most recent call last):
        ...
    ValueError: unknown field {nothing}; a template has {artist}, {title}, {text}, {genres}, {link}, {source}

    Raises:
        ValueError: the template has an unknown field, lacks `{text}`, or has a brace without a partner.
    """

    source: str

    def __post_init__(self) -> None:
        names = [name for _, name in _parts(self.source) if name is not None]
        unknown = next((name for name in names if name not in FIELDS), None)
        if unknown is not None:
            raise ValueError(
                f"unknown field {{{unknown}}}; a template has {', '.join(f'{{{name}}}' for name in FIELDS)}"
            )
        if names.count("text") != 1:
            raise ValueError(f"a template has {{text}} once, got {self.source!r}")

    def render(self, fields: Mapping[str, str]) -> str:
        r"""Put values into the template. A field without a value takes one space beside it away, or its line.

        >>> Template("{artist}: {text}\n{link}").render({"artist": "Ona Vell", "text": "Slow.", "link": ""})
        'Ona Vell: Slow.'
        """
        text = ""
        after_empty = False
        for literal, name in _parts(self.source):
            is_open = after_empty and (not text or text[-1].isspace())
            text += literal[1:] if is_open and literal[:1] in {" ", "\n"} else literal
            value = fields[name].strip() if name is not None else ""
            after_empty = name is not None and not value
            text += value
        return text.strip()


@dataclass(frozen=True, slots=True, kw_only=True)
class Templates:
    """Templates of the kinds of posts."""

    post: Template = Template(TEMPLATE)
    reply: Template = Template(TEXT_ALONE)
    """Template of a reply, which stands below the post that names the song."""
    named: Template = Template(TEXT_ALONE)
    """Template, instead of `post`, of a text that contains artist and title by itself."""

    def render(self, draft: Draft, *, is_reply: bool) -> str:
        """The text of the post of a draft."""
        template = self.reply if is_reply else self.named if draft.names_song else self.post
        return template.render(draft.fields)


def as_written(text: str) -> str:
    r"""A curator's text as it is stored: one kind of line break, a space for a tab, no blanks around it.

    >>> as_written(" A slow\tlamp.\r\n")
    'A slow lamp.'
    """
    return text.replace("\r\n", "\n").replace("\r", "\n").replace("\t", " ").strip()


def _one_line(value: str) -> str:
    return " ".join(without_hidden(value).split())
