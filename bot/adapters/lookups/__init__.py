"""Lookups of songs and genres: services on the net, a catalog file, genre lists.

A service is a module of this package with a function `open_lookup`, a settings section of the same name, and an entry
in `LOOKUPS`.
"""

from __future__ import annotations

from importlib import import_module
from typing import Final, Protocol, cast

from bot.ports import LookupService
from bot.sections import Section

LOOKUPS: Final = ("spotify", "lastfm", "musicbrainz")
"""Services that know artists, the best first."""


class _Module(Protocol):
    def open_lookup(self, section: Section) -> LookupService:
        """Open the service with its section of the settings."""


def open_lookup(name: str, section: Section) -> LookupService:
    """Open a service. Its module, and the library that it may need, is imported here and not before.

    Args:
        name: one of `LOOKUPS`.
        section: the service's section of the settings.

    Raises:
        SettingsError: a credential is missing.
    """
    module = cast("_Module", import_module(f"{__name__}.{name}"))
    return module.open_lookup(section)
