"""Templates, and how values look in them. Everything from outside is escaped, whatever the template."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import jinja2
from starlette.responses import HTMLResponse

_UNITS = ((86_400 * 365, "y"), (86_400 * 30, "mo"), (86_400, "d"), (3_600, "h"), (60, "min"))
_SHOWN = frozenset(
    "\n\t\N{ZERO WIDTH JOINER}\N{ZERO WIDTH NON-JOINER}"
    "\N{LEFT-TO-RIGHT MARK}\N{RIGHT-TO-LEFT MARK}\N{ARABIC LETTER MARK}"
)
"""Not printable by Python's definition, and yet part of how people write."""


class Renderer:
    """Makes pages out of the package's templates.

    Args:
        common: what every template knows.
    """

    def __init__(self, **common: object) -> None:
        self._environment = jinja2.Environment(
            loader=jinja2.PackageLoader("bot.studio"),
            autoescape=True,
            undefined=jinja2.StrictUndefined,
            trim_blocks=True,
            lstrip_blocks=True,
        )
        self._environment.globals.update(common)
        self._environment.filters.update(visible=visible, ago=ago)

    def page(self, template: str, *, status_code: int = 200, **values: Any) -> HTMLResponse:
        """A template with values as an answer."""
        text = self._environment.get_template(template).render(values)
        # Half of a surrogate pair is nothing that UTF-8 can hold.
        return HTMLResponse(text.encode("utf-8", "replace"), status_code=status_code)


def visible(text: object) -> str:
    r"""A text in which characters that cannot be seen, and those that turn the direction of others, show as marks.

    >>> visible("a\x00b\u202ec")
    'a�b�c'
    """
    return "".join(
        character if character.isprintable() or character in _SHOWN else "\N{REPLACEMENT CHARACTER}"
        for character in str(text)
        if character != "\r"
    )


def ago(time: str, *, now: datetime | None = None) -> str:
    """How long ago a time was, in one unit; what is no time comes back as it is.

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
