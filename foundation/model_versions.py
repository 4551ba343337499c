"""Versions of registered models as commands take and print them: lcgan/2, lcgan@champion."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Final, Self

CHAMPION_ALIAS: Final = "champion"
"""Alias of the version that is meant where a model is named alone."""
URI_PREFIX: Final = "models:/"
"""Prefix of a version in MLflow; commands read it and do not print it."""
TRAINED_CHAMPION_TAG: Final = "champion_by_training"
"""Tag of a registered model whose champion a training set: that version, and the champion before it. Without the tag,
or where the aliases are others by now, a person chose the champion, and no training moves it."""
SPELLINGS: Final = "lcgan/2, lcgan@challenger, or lcgan alone for the champion"

_NAME: Final = re.compile(
    r"(?:models:/)?(?P<model>[^\s/@:]+)"
    r"(?:(?:/| +)(?P<version>[1-9][0-9]{0,17})|@(?P<alias>[^\s/@:]*[^\s/@:0-9][^\s/@:]*))?"
)


class VersionNameError(ValueError):
    """A text does not name a version of a model."""


@dataclass(frozen=True, slots=True, kw_only=True)
class VersionName:
    """A version of a model, by its number or by an alias."""

    model: str
    version: str = ""
    """Number of the version; empty where an alias names it."""
    alias: str = ""
    """Alias of the version; empty where its number names it."""

    @classmethod
    def parse(cls, text: str) -> Self:
        """Read a version from the one spelling that is printed, or from an earlier one.

        Earlier ones are `models:/lcgan/2`, `models:/lcgan@champion` and, from two arguments, `lcgan 2`.

        Raises:
            VersionNameError: the text names no version.

        >>> VersionName.parse("models:/lcgan/2"), str(VersionName.parse("lcgan"))
        (VersionName(model='lcgan', version='2', alias=''), 'lcgan@champion')
        """
        match = _NAME.fullmatch(text.strip())
        if match is None:
            raise VersionNameError(f"{text!r} does not name a version: write {SPELLINGS}")
        version = match["version"] or ""
        return cls(model=match["model"], version=version, alias="" if version else match["alias"] or CHAMPION_ALIAS)

    @classmethod
    def of(cls, text: str, version: str | None) -> Self:
        """Read a version from a name and, where it is given apart as earlier commands took it, a number or an alias.

        Raises:
            VersionNameError: a text names no version, or the two name different ones.

        >>> str(VersionName.of("lcgan", "2")), str(VersionName.of("lcgan/2", None))
        ('lcgan/2', 'lcgan/2')
        """
        named = cls.parse(text)
        if version is None:
            return named
        chosen = version.strip()
        both = cls.parse(f"{named.model}{'/' if chosen.isdigit() else '@'}{chosen}")
        if named.model != text.strip().removeprefix(URI_PREFIX) and named != both:
            raise VersionNameError(
                f"{text!r} and the version {version!r} contradict each other: write {named} or {both}"
            )
        return both

    @property
    def uri(self) -> str:
        """The version as MLflow's own functions take it."""
        return URI_PREFIX + str(self)

    def __str__(self) -> str:
        """Return the one spelling that is printed."""
        return f"{self.model}/{self.version}" if self.version else f"{self.model}@{self.alias}"
