"""A studio on loopback, on a database of invented posts and a gateway that speaks the protocol."""

from __future__ import annotations

import contextlib
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, Protocol

import pytest
from playwright.sync_api import Browser, BrowserContext

from bot.adapters.sqlite.store import SqliteStore
from bot.domain.candidates import Flag
from bot.domain.source_posts import Kind, SourcePost
from bot.settings import load
from bot.studio.server import local_parts, running
from tests.bot.helpers.studio_browser import Watched, open_chromium
from tests.bot.helpers.studio_world import HOSTILE, LONG_WORD, RTL, Client, Untouched, add_song


class Target(Protocol):
    @property
    def target(self) -> str: ...


@pytest.fixture(scope="session")
def world(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A database of twenty songs, made once: each commit of it waits for the disk."""
    path = tmp_path_factory.mktemp("studio") / "bot.db"
    with SqliteStore(path) as store:
        fill(store)
    return path


@pytest.fixture
def filled(world: Path, database: Path) -> Iterator[SqliteStore]:
    """A copy of the twenty songs."""
    database.parent.mkdir(parents=True)
    shutil.copyfile(world, database)
    with SqliteStore(database) as store:
        yield store


def fill(store: SqliteStore) -> None:
    """The first three songs plain, then one of everything that breaks pages, then many."""
    for number, title in enumerate(("Slow Lamp", "Tin Sea", "Moss"), start=1):
        source_post = SourcePost(
            id=str(100 + number),
            text=f"Listen to {title}",
            author="@radio",
            created_at="2026-01-04T10:00:00Z",
            kind=Kind.TIMELINE,
        )
        add_song(store, source_post, [f"{title}, take {take}." for take in (1, 2, 3)], title=title)
    hostile = SourcePost(
        id="</li><b>'\"", text=HOSTILE + " and much more. " * 200, author=HOSTILE, url="javascript:alert(1)"
    )
    add_song(
        store,
        hostile,
        [HOSTILE, RTL, LONG_WORD],
        artist=HOSTILE,
        title=HOSTILE,
        genres=(HOSTILE,),
        flags={1: (Flag.BLOCKED,), 2: (Flag.COPY, Flag.REPEAT)},
        url="javascript:alert(1)",
    )
    for number in range(16):
        add_song(
            store, SourcePost(id=f"more-{number}", text="Another one"), [f"Song {number}."], title=f"Song {number}"
        )


@pytest.fixture
def open_studio(database: Path, catalog_path: Path) -> Iterator[Callable[..., Client]]:
    """Studios on the tests' database; further keyword arguments are settings."""
    with contextlib.ExitStack() as stack:

        def start(target: str = "127.0.0.1:1", *, interpolation_model: str | None = None, **options: Any) -> Client:
            settings = load(workspace=database.parent, catalog=catalog_path, target=target, **options)
            parts = stack.enter_context(local_parts(settings, who="ana", interpolation_model=interpolation_model))
            return Client(stack.enter_context(running(parts, port=0)))

        yield start


@pytest.fixture
def studio(filled: SqliteStore, gateway: Target, open_studio: Callable[..., Client]) -> Client:  # noqa: ARG001 -- made first
    """A studio with songs and a gateway."""
    return open_studio(gateway.target)


@pytest.fixture(scope="module")
def untouched(world: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Untouched]:
    """A studio that no test of a module gets to change anything in."""
    workspace = tmp_path_factory.mktemp("untouched")
    settings = load(workspace=workspace, target="127.0.0.1:1")
    shutil.copyfile(world, settings.database)
    with local_parts(settings, who="ana") as parts, running(parts, port=0) as address:
        yield Untouched(address, settings.database)


@pytest.fixture(scope="module")
def chromium() -> Iterator[Browser]:
    with open_chromium() as browser:
        yield browser


@pytest.fixture
def window(chromium: Browser, studio: Client) -> Iterator[Callable[..., Watched]]:
    """Windows on the studio; keyword arguments go to the browser's context. At the end none has complained."""
    opened: list[tuple[Watched, BrowserContext]] = []

    def make(**options: object) -> Watched:
        context = chromium.new_context(**{"viewport": {"width": 1280, "height": 900}, **options})  # type: ignore[arg-type]  # a test names the right ones
        opened.append((Watched(context, studio), context))
        return opened[-1][0]

    yield make
    for watched, context in opened:
        assert watched.faults == []
        assert watched.foreign == []
        context.close()
