"""`bot check`: complete and missing settings, and a real call for each part."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import closing

from bot.adapters.files.word_lists import read_words
from bot.adapters.lookups.catalog import FileCatalog
from bot.adapters.sqlite.store import SqliteStore
from bot.bootstrap import build as bootstrap
from bot.bootstrap import knowledge, networks, posting
from bot.domain.check import CheckResult, CheckStatus
from bot.domain.errors import BotError, NoServiceError, SettingsError
from bot.domain.networks import NETWORKS
from bot.domain.wait_words import pace_words
from bot.environment import env_name
from bot.sections import TO_FILE
from bot.settings import BotSettings
from foundation.commands import serve_command


def check(settings: BotSettings, *, redact: Callable[[str], str] = str) -> Iterator[CheckResult]:
    """Check each part in turn; the calls change nothing."""
    local = {
        "sources": lambda: ", ".join(source.name for source in networks.open_sources(settings)),
        "database": lambda: _database(settings),
        "gateway": lambda: _gateway(settings),
    }
    if settings.catalog is not None:
        local["catalog"] = lambda: _catalog(settings)
    if settings.genres.labels is not None:
        local["genres"] = lambda: _genres(settings)
    local["flags"] = lambda: _flags(settings)
    for part, attempt in local.items():
        yield _try(part, attempt, redact)
    for part, section in settings.accounts.items():
        if section.is_on:
            yield _try(part, networks.checks(settings)[part], redact)
        elif section.is_begun:
            missing = ", ".join(f"{name} ({env_name(f'{part}.{name}')})" for name in section.missing)
            yield CheckResult(part=part, status=CheckStatus.INCOMPLETE, detail=f"missing: {missing}")
        else:
            yield CheckResult(part=part, status=CheckStatus.OFF, detail=f"needs {', '.join(section.needed)}")
    yield _try("posting", lambda: _posting(settings), redact)


def _try(part: str, attempt: Callable[[], str], redact: Callable[[str], str]) -> CheckResult:
    try:
        return CheckResult(part=part, status=CheckStatus.WORKS, detail=redact(attempt()))
    except BotError as error:
        return CheckResult(part=part, status=CheckStatus.FAILS, detail=redact(str(error)))


def _database(settings: BotSettings) -> str:
    if not settings.database.is_file():
        return f"{settings.database} will be created"
    with SqliteStore(settings.database) as store:
        return f"{settings.database}, {store.count_pending()} source posts pending"


def _gateway(settings: BotSettings) -> str:
    with closing(bootstrap.open_commentary(settings, timeout_s=2.0)) as commentary:
        if not commentary.is_reachable():
            raise NoServiceError(
                f"no server at {settings.target}; set target, or start one: {serve_command(settings.target)}"
            )
    return f"{settings.target} answers"


def _catalog(settings: BotSettings) -> str:
    if settings.catalog is None:
        raise SettingsError("no catalog is set")
    return f"{len(FileCatalog(settings.catalog))} artists"


def _genres(settings: BotSettings) -> str:
    nearest = knowledge.open_nearest(settings.genres, knowledge.open_catalog(settings))
    ways = [
        way for way, is_on in (("company", settings.catalog), ("words", True), ("place", settings.genres.map)) if is_on
    ]
    return f"{len(nearest or ())} that the model knows; the nearest one is chosen by {', '.join(ways)}"


def _flags(settings: BotSettings) -> str:
    screen = settings.screen
    if screen.sentences is not None and not screen.sentences.is_file():
        raise SettingsError(f"the training text {screen.sentences} of screen.sentences does not exist")
    words = f" and {len(read_words(screen.slurs))} words of your own" if screen.slurs is not None else ""
    copies = f", copies of {screen.sentences}" if screen.sentences is not None else "; copies: set screen.sentences"
    return f"profanity, length, repeats, slurs{words}{copies}"


def _posting(settings: BotSettings) -> str:
    *others, last = NETWORKS
    publisher = networks.open_publisher(settings)
    if publisher is None:
        return f"nowhere: set post.to to {TO_FILE}, {', '.join(others)} or {last}"
    modes = ", ".join(sorted(publisher.capabilities))
    pace = pace_words(posting.pace(settings))
    how = f"dry run, nothing is posted; {pace}" if settings.post.dry_run else pace
    return f"to {publisher.check()} ({modes}); {how}"
