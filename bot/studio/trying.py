"""The try-it page: genres or a free query -> samples, and interpolation between two sentences."""

from __future__ import annotations

import secrets
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from urllib.parse import parse_qsl, urlencode, urlsplit

from starlette.concurrency import run_in_threadpool
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import RedirectResponse, Response

from bot.domain.errors import BotError
from bot.domain.songs.parser import parse_songs
from bot.domain.songs.song import Song, credit
from bot.ports import InterpolationPoint, LiveVersion, SongFacts
from bot.studio.cards import Bar, topic_bars
from bot.studio.forms import MAX_FIELDS, one, own_form
from bot.studio.security import is_own
from bot.studio.site import Site, site_of
from handlers.contract import (
    FIRST_NAMES,
    MAX_BEST_OF,
    MAX_GENRES,
    MAX_SAMPLES,
    MAX_TOKENS,
    CommentaryRequest,
    CommentaryResponse,
    ContractError,
    RankBy,
    Sample,
    SamplingParams,
    field_values,
)

INTERPOLATION_STEPS = 11
_SAMPLING = field_values(SamplingParams())
"""Sampling parameters with their defaults. The form has an input for each."""
_LISTS = tuple(name for name, default in _SAMPLING.items() if isinstance(default, tuple))
_NUMBERS: Mapping[str, type[int | float]] = {
    **dict.fromkeys(("num_samples", "best_of", "seed"), int),
    **{name: type(default) for name, default in _SAMPLING.items() if name not in _LISTS},
}
_RARE = tuple(name for name in _SAMPLING if name not in {"temperature", "top_p", "guidance"})
"""Parameters in the part of the form that is open only where one of them is set."""
_DEFAULTS = CommentaryRequest(genres=())
_RENAMED = {first_name: name for name, first_name in FIRST_NAMES.items()}
"""Fields of bookmarks from version 0.1."""
_SEED_BITS = 31
"""Bits of a random seed: many seeds, but few enough digits to read aloud."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Found:
    """Song that was found in a free query, with its lookups."""

    song: Song
    facts: SongFacts
    others: tuple[Song, ...]
    """Other songs that the text names."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Result:
    """A request and its samples."""

    request: CommentaryRequest
    response: CommentaryResponse
    samples: tuple[tuple[Sample, tuple[Bar, ...], str], ...]
    """Samples with their topics and the address that generates each alone."""
    address: str
    """Address of the same result: with the seed and the version that generated it."""


class _RefusedError(Exception):
    """A value of the form is invalid."""


def try_page(request: Request) -> Response:
    """GET /try: the form, and its result once it was sent.

    The address contains all values, so that a result can be bookmarked and shared. A link from another site fills in
    the form, but nothing is requested until the user presses the button.
    """
    site = site_of(request)
    values = {_RENAMED.get(name, name): value for name, value in request.query_params.items()}
    own = is_own(request.headers)
    found, result, fault = None, None, ""
    points: Sequence[InterpolationPoint] = ()
    if own and "walk" in values:
        points, fault = _interpolate(site, values)
    elif own and "go" in values:
        try:
            found, result = _samples(site, values)
        except (_RefusedError, ContractError, BotError) as error:
            fault = str(error)
    with site.parts.open_desk() as desk:
        counts = desk.counts()
    filled = {**_defaults(), **values, **({"seed": str(result.request.seed)} if result else {})}
    return site.page(
        "try",
        "try.html",
        values=filled,
        shows_rare=any(filled[name] != _defaults()[name] for name in _RARE),
        found=found,
        result=result,
        fault=fault,
        points=points,
        can_interpolate=site.parts.interpolator is not None,
        versions=site.versions(),
        topics=_topics(site.versions(), values.get("version", "")),
        rules=_rules(site.versions(), values.get("version", ""), values.get("rank_by", "")),
        max_samples=MAX_SAMPLES,
        max_best_of=MAX_BEST_OF,
        max_tokens=MAX_TOKENS,
        again=_address(values, seed=str(secrets.randbits(_SEED_BITS))) if result else "",
        counts=counts,
    )


async def add_to_queue(request: Request) -> Response:
    """POST /try: put a sample into the queue, as a candidate of a source post of the studio."""
    form = await own_form(request)
    return await run_in_threadpool(_add, site_of(request), one(form, "address"), one(form, "text"))


def _add(site: Site, address: str, text: str) -> Response:
    values = dict(parse_qsl(urlsplit(address).query, keep_blank_values=True, max_num_fields=MAX_FIELDS))
    try:
        _, result = _samples(site, values)
    except (_RefusedError, ContractError) as error:
        raise HTTPException(400, str(error)) from error
    chosen = tuple(sample for sample in result.response.samples if sample.text == text)[:1]
    if not chosen:
        raise HTTPException(409, "the model generates other texts now: nothing was added; generate them again")
    response = replace(result.response, samples=chosen)
    post, candidates = site.parts.corrector.add(
        result.request, response, text=values.get("query", "").strip(), who=site.who
    )
    with site.parts.open_desk() as desk:
        desk.add_song(post, candidates)
    return RedirectResponse("/?status=waiting&order=newest", 303)


def _samples(site: Site, values: Mapping[str, str]) -> tuple[Found | None, Result]:
    found = _found(site, values.get("query", "").strip())
    asked = _request(values, found)
    model, _, version = values.get("version", "").partition(" ")
    response = site.parts.server.write(asked, model=model or None, version=version or None)
    live = site.find_version(response.model.name, response.model.version)
    kept = {**values, "seed": str(asked.seed)}
    samples = tuple(
        (sample, topic_bars(sample.topics, live), _address(kept, num_samples="1", best_of="1", seed=str(sample.seed)))
        for sample in response.samples
    )
    address = _address(kept, version=f"{response.model.name} {response.model.version}")
    return found, Result(request=asked, response=response, samples=samples, address=address)


def _found(site: Site, query: str) -> Found | None:
    if not query:
        return None
    songs = parse_songs(query, is_artist=site.parts.resolver.is_artist)
    if not songs:
        raise _RefusedError("no song was found in the query: write it as Artist – Title, or give genres instead")
    best = max(songs, key=lambda song: song.confidence)
    return Found(
        song=best,
        facts=site.parts.resolver.resolve(best),
        others=tuple(song for song in songs if song is not best),
    )


def _request(values: Mapping[str, str], found: Found | None) -> CommentaryRequest:
    genres = _parts(values.get("genres", ""))
    document: dict[str, object] = {"genres": genres, "seed": secrets.randbits(_SEED_BITS)}
    if found is not None:
        # Typed values override those of the song that was found.
        document |= {"genres": genres or found.facts.genres[:MAX_GENRES], "title": found.song.title}
        document |= {"artist": found.facts.artist or credit(found.song.artists)}
    document |= {
        name: text for name in ("artist", "title", "topic", "rank_by") if (text := values.get(name, "").strip())
    }
    document |= {name: parts for name in _LISTS if (parts := _parts(values.get(name, "")))}
    for name, kind in _NUMBERS.items():
        if text := values.get(name, "").strip():
            document[name] = _number(name, text, kind)
    return CommentaryRequest.from_mapping(document)


def _number(name: str, text: str, kind: type[int | float]) -> int | float:
    try:
        return kind(text)
    except ValueError as cause:
        what = "a whole number" if kind is int else "a number"
        raise _RefusedError(f"{name} must be {what}, got {text[:60]!r}") from cause


def _interpolate(site: Site, values: Mapping[str, str]) -> tuple[Sequence[InterpolationPoint], str]:
    if site.parts.interpolator is None:
        return (), "this studio was started without a model to interpolate with"
    genres = _parts(values.get("genres", ""))
    try:
        first, last = values.get("first", ""), values.get("last", "")
        return site.parts.interpolator.interpolate(first, last, steps=INTERPOLATION_STEPS, genres=genres), ""
    except BotError as error:
        return (), str(error)


def _defaults() -> dict[str, str]:
    texts = ("query", "genres", "artist", "title", "topic", "version", "best_of", "rank_by", "seed", "first", "last")
    shown = {"num_samples": _DEFAULTS.num_samples, **_SAMPLING}
    return {
        **dict.fromkeys(texts, ""),
        **{name: ", ".join(value) if isinstance(value, tuple) else str(value) for name, value in shown.items()},
    }


def _parts(text: str) -> tuple[str, ...]:
    """Split a text at its commas."""
    return tuple(filter(None, (part.strip() for part in text.split(","))))


def _topics(versions: Sequence[LiveVersion], chosen: str) -> tuple[tuple[str, bool], ...]:
    """Return the topics of the chosen version, or of the first champion, and whether each is the desired one."""
    named = [live for live in versions if f"{live.model} {live.version}" == chosen]
    for live in [*named, *(live for live in versions if live.champion)]:
        return tuple((topic, topic == live.desired_topic) for topic in live.topics)
    return ()


def _rules(versions: Sequence[LiveVersion], chosen: str, asked: str) -> tuple[str, ...]:
    """Return the rules to choose from beside the version's own, if the chosen version or any ranks by value.

    They are shown for a bookmark of one as well: a form that lacked it would ask for something else.
    """
    named = [live for live in versions if f"{live.model} {live.version}" == chosen] or list(versions)
    rules = tuple(RankBy)
    return rules if asked in rules or any(live.ranks_by_value for live in named) else ()


def _address(values: Mapping[str, str], **changed: str) -> str:
    return f"/try?{urlencode({**values, 'go': '1', **changed})}"
