"""Templates and their filters. All values are escaped."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import jinja2
from starlette.responses import HTMLResponse

from bot.domain.candidates import BLIND, RejectReason
from handlers.contract import MAX_TEXT_LENGTH

_UNITS = ((86_400 * 365, "y"), (86_400 * 30, "mo"), (86_400, "d"), (3_600, "h"), (60, "min"))
_SHOWN = frozenset(
    "\n\t\N{ZERO WIDTH JOINER}\N{ZERO WIDTH NON-JOINER}"
    "\N{LEFT-TO-RIGHT MARK}\N{RIGHT-TO-LEFT MARK}\N{ARABIC LETTER MARK}"
)
"""Characters that Python counts as not printable but that are part of normal text."""


class Renderer:
    """Renderer of the package's templates.

    Args:
        common: variables of every template.
    """

    def __init__(self, **common: object) -> None:
        self._environment = jinja2.Environment(
            loader=jinja2.PackageLoader("bot.studio"),
            autoescape=True,
            undefined=jinja2.StrictUndefined,
            trim_blocks=True,
            lstrip_blocks=True,
        )
        self._environment.globals.update(
            reasons=tuple(RejectReason), blind_words=BLIND, max_text=MAX_TEXT_LENGTH, **common
        )
        self._environment.filters.update(visible=visible, ago=ago)

    def page(self, template: str, *, status_code: int = 200, **values: Any) -> HTMLResponse:
        """Render a template with values as a response."""
        text = self._environment.get_template(template).render(values)
        # UTF-8 cannot encode half of a surrogate pair.
        return HTMLResponse(text.encode("utf-8", "replace"), status_code=status_code)


def visible(text: object) -> str:
    r"""Replace invisible characters, and those that change the direction of others, by a visible mark.

    >>> visible("a\x00b\u202ec")
    'a�b�c'
    """
    return "".join(
        character if character.isprintable() or character in _SHOWN else "\N{REPLACEMENT CHARACTER}"
        for character in str(text)
        if character != "\r"
    )


def ago(time: str, *, now: datetime | None = None) -> str:
    """Return the age of a time in one unit; a text that is not a time is returned unchanged.

    >>> ago("2026-01-04T10:00:00Z", now=datetime(2026, 1, 4, 13, 5, tzinfo=UTC))
    '3 h ago'
    """
    try:
        then = datetime.fromisoformat(time)
    except ValueError:
        return visible(time)
    then = then if then.tzinfo is not None else then.replace(tzinfo=UTC)
    seconds = ((now or datetime.now(UTC)) - then).total_seconds()
    if seconds < 0:
        return f"{then:%d %b %Y, %H:%M}"
    for size, unit in _UNITS:
        if seconds >= size:
            return f"{int(seconds // size)} {unit} ago"
    return "just now"
