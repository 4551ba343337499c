"""The queue's address: status, order, place, and what is searched for. An address can be shared and is checked."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date
from math import ceil
from urllib.parse import urlencode

from starlette.exceptions import HTTPException

from bot.domain.candidates import CandidateStatus, Flag
from bot.ports import CUT_OFF, Order, SongFilter, SongPage, SongQuery
from bot.studio.forms import choice

ALL = "all"
FLAGS = (CUT_OFF, *(flag.value for flag in Flag))
MAX_LENGTH = 200
"""Maximum characters of a value."""
_LABELS = {
    "q": "search",
    "artist": "artist",
    "genre": "genre",
    "flag": "flag",
    "version": "version",
    "who": "decided by",
    "since": "since",
    "until": "until",
}
_OF_DECIDED = ("version", "who")
"""Filters that would tell a curator about candidates without a verdict."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Chip:
    """A filter in force."""

    label: str
    value: str
    without: str
    """Address without it."""


class QueueAddress:
    """Address of a page of the queue.

    Args:
        params: the values of the address; empty ones do not count.

    Raises:
        HTTPException: 400, which names the value.
    """

    def __init__(self, params: Mapping[str, str]) -> None:
        self.status = params.get("status", "") or CandidateStatus.WAITING.value
        status = None if self.status == ALL else choice(CandidateStatus, "status", self.status, CandidateStatus.WAITING)
        order = choice(Order, "order", params.get("order", ""), Order.OLDEST)
        self.order = order.value
        self.wanted = {name: text for name in _LABELS if (text := params.get(name, "").strip())}
        self.shown = {**dict.fromkeys(_LABELS, ""), **self.wanted}
        for name, text in self.wanted.items():
            if len(text) > MAX_LENGTH:
                raise HTTPException(400, f"{name} has at most {MAX_LENGTH} characters, got {len(text)}")
        after, before = params.get("after", ""), params.get("before", "")
        if after and before:
            raise HTTPException(400, f"a page is after or before a song, got after {after!r} and before {before!r}")
        self.place = {name: value for name, value in (("after", after), ("before", before)) if value}
        self.query = SongQuery(status=status, filter=self._filter(), order=order, after=after, before=before)

    def _filter(self) -> SongFilter:
        wanted = self.wanted
        if self.status == CandidateStatus.WAITING and (name := next(filter(wanted.get, _OF_DECIDED), "")):
            raise HTTPException(
                400, f"{name} selects candidates with a verdict: choose status accepted, rejected or all, not waiting"
            )
        if (flag := wanted.get("flag", "")) and flag not in FLAGS:
            raise HTTPException(400, f"flag must be one of {', '.join(FLAGS)}, got {flag!r}")
        since, until = _day(wanted, "since"), _day(wanted, "until")
        if since is not None and until is not None and since > until:
            raise HTTPException(400, f"since must not be after until, got {since} and {until}")
        return SongFilter(
            words=wanted.get("q", ""),
            artist=wanted.get("artist", ""),
            genre=wanted.get("genre", ""),
            flag=flag,
            version=_version(wanted["version"]) if "version" in wanted else None,
            who=wanted.get("who", ""),
            since=since,
            until=until,
        )

    def __str__(self) -> str:
        return self.to(**self.place)

    def to(self, *, without: str = "", **changed: str) -> str:
        """Return the address of another page: without a filter, with other values."""
        status = changed.pop("status", self.status)
        # What no page of that status accepts is left out.
        left_out = {without, *(_OF_DECIDED if status == CandidateStatus.WAITING else ())}
        kept = {name: text for name, text in self.wanted.items() if name not in left_out}
        return f"/?{urlencode({'status': status, 'order': self.order, **kept, **changed})}"

    def chips(self) -> list[Chip]:
        """Return the filters in force."""
        return [
            Chip(label=_LABELS[name], value=text, without=self.to(without=name)) for name, text in self.wanted.items()
        ]

    def pages(self, page: SongPage) -> Pages:
        """Return the page's number and its neighbours."""
        limit = self.query.limit
        number = ceil(page.first / limit) + 1
        here = page.songs[0].place if page.songs else self.place.get("after", "")
        return Pages(
            number=number,
            count=max(ceil(page.total / limit), number),
            songs=page.total,
            first=self.to() if page.first else "",
            previous=self.to(before=here) if page.first and here else "",
            next=self.to(after=page.songs[-1].place) if page.more and page.songs else "",
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Pages:
    """Place of a page among the others; an address is empty where it would not lead anywhere."""

    number: int
    count: int
    songs: int
    first: str
    previous: str
    next: str


def _day(wanted: Mapping[str, str], name: str) -> date | None:
    if name not in wanted:
        return None
    try:
        return date.fromisoformat(wanted[name])
    except ValueError as cause:
        raise HTTPException(400, f"{name} must be a day such as 2026-01-31, got {wanted[name]!r}") from cause


def _version(text: str) -> tuple[str, str]:
    model, slash, version = text.rpartition("/")
    if not (model and slash and version):
        raise HTTPException(400, f"version must be a model and its version such as lcgan/3, got {text!r}")
    return model, version
