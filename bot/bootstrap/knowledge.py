"""Assembly of catalogs, lookups, genres and text checks from the settings."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from datetime import timedelta

from bot.adapters.files.copy_index import open_index
from bot.adapters.files.word_lists import SafetypeWords, read_words
from bot.adapters.lookups.catalog import EmptyCatalog, FileCatalog
from bot.adapters.lookups.genre_files import read_labels, read_map
from bot.bootstrap import networks
from bot.domain.namesakes import Namesakes
from bot.domain.nearest_genre import NearestGenre
from bot.ports import CommentaryService, GenreCache, OddItems, PostHistory, Screen, SongResolver, WordList
from bot.sections import GenreSettings
from bot.services.genres import ChainOptions, ChainResolver
from bot.services.known_genres import KnownGenres
from bot.services.schedule import Clock
from bot.services.screening import TextScreen
from bot.settings import BotSettings

COPIES = "copies.db"
"""Name of the training text's index within the workspace."""

Catalog = EmptyCatalog | FileCatalog


def open_catalog(settings: BotSettings) -> Catalog:
    """Open the local table of artists and genres.

    Raises:
        CatalogError: it cannot be used.
    """
    return FileCatalog(settings.catalog) if settings.catalog is not None else EmptyCatalog()


def open_resolver(
    settings: BotSettings,
    *,
    table: Catalog,
    cache: GenreCache,
    clock: Clock,
    notice: Callable[[str], None],
    odd: OddItems | None = None,
) -> SongResolver:
    """Open the lookups that are switched on, the best first, with the table as the last one.

    Args:
        settings: the bot's settings.
        table: local table of artists and genres.
        cache: earlier answers of lookups.
        clock: source of the current time.
        notice: called with a message when a lookup is paused; from any thread.
        odd: keeps answers that cannot be read.
    """
    songs, lookups = networks.open_lookups(settings)
    namesakes = Namesakes(lambda: ((entry.name, entry.genres) for entry in table.entries()))
    options = ChainOptions(
        known_for=timedelta(days=settings.genres.cache_days),
        unknown_for=timedelta(days=settings.genres.unknown_days),
    )
    return ChainResolver(
        table=table,
        songs=songs,
        lookups=lookups,
        cache=cache,
        clock=clock,
        options=options,
        namesakes=namesakes,
        notice=notice,
        odd=odd,
    )


def open_nearest(genres: GenreSettings, catalog: Catalog) -> NearestGenre | None:
    """Open the model's genres; None if the settings do not name them.

    Raises:
        InputError: a file cannot be used.
    """
    if genres.labels is None:
        return None
    places = read_map(genres.map) if genres.map is not None else {}
    artists = (entry.genres for entry in catalog.entries())
    return NearestGenre(read_labels(genres.labels), artists=artists, places=places)


def in_known_genres(commentary: CommentaryService, genres: GenreSettings, catalog: Catalog) -> CommentaryService:
    """Wrap a service so that requests contain genres that its model knows, if the settings name those.

    Raises:
        InputError: a file cannot be used.
    """
    nearest = open_nearest(genres, catalog)
    return commentary if nearest is None else KnownGenres(commentary, nearest)


@contextmanager
def open_screen(settings: BotSettings, history: PostHistory) -> Iterator[Screen]:
    """Open the checks of a text; they are closed when the block ends.

    Raises:
        InputError: a file cannot be used.
        StoreError: the index of the training text cannot be written.
    """
    screen = settings.screen
    words = open_words(settings)
    with ExitStack() as stack:
        copies = None
        if screen.sentences is not None:
            copies = stack.enter_context(open_index(screen.sentences, settings.workspace / COPIES))
        yield TextScreen(words=words, copies=copies, history=history)


def open_words(settings: BotSettings) -> WordList:
    """Open the lists of bad words.

    Raises:
        InputError: the operator's own list cannot be used.
    """
    slurs = settings.screen.slurs
    return SafetypeWords(blocked=read_words(slurs) if slurs is not None else ())
