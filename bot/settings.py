"""How a bot is set up: from the command's options, the environment, `.env` and a TOML file, the first that says so.

A setting is called the same everywhere: `interval_s = 60` and `[x] access_token = "..."` in TOML are
`DEEPHYPEBOT_INTERVAL_S` and `DEEPHYPEBOT_X__ACCESS_TOKEN` in the environment. Secrets show as stars wherever they are
printed.
"""

from __future__ import annotations

import os
import tomllib
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Annotated, Any, ClassVar

from pydantic import BaseModel, ConfigDict, Field, SecretStr, ValidationError
from pydantic_settings import (
    BaseSettings,
    InitSettingsSource,
    PydanticBaseSettingsSource,
    SettingsConfigDict,
)

from bot.domain.errors import SettingsError
from bot.domain.outgoing_posts import PostMode
from foundation.defaults import DEFAULT_MODEL, GATEWAY_TARGET
from handlers.contract import MAX_SAMPLES

DATABASE = "bot.db"
"""The bot's database within the workspace."""
CONFIG = Path("deephypebot.toml")
"""The file that is read when none is named."""
_PREFIX = "DEEPHYPEBOT_"
_DELIMITER = "__"
_OPTIONS = {"num_samples": "--samples", "feed": "--feed", "interval_s": "--interval", "target": "--target"}


class Section(BaseModel):
    """A part of the settings; an unknown name in it is refused, since a misspelt one would be passed over."""

    model_config = ConfigDict(extra="forbid", frozen=True, hide_input_in_errors=True)
    needed: ClassVar[tuple[str, ...]] = ()
    """Without these the section is off."""

    @property
    def missing(self) -> tuple[str, ...]:
        """The names of settings that are needed and not given."""
        return tuple(name for name in self.needed if not getattr(self, name))

    @property
    def is_on(self) -> bool:
        """Whether all is there that is needed."""
        return not self.missing

    @property
    def is_begun(self) -> bool:
        """Whether somebody meant to switch it on: at least one of what is needed is there."""
        return len(self.missing) < len(self.needed)


class XSettings(Section):
    """An app and a user on X, as the developer portal shows them."""

    needed = ("consumer_key", "consumer_secret", "access_token", "access_token_secret")

    consumer_key: SecretStr | None = None
    consumer_secret: SecretStr | None = None
    access_token: SecretStr | None = None
    access_token_secret: SecretStr | None = None
    base_url: str = "https://api.twitter.com"
    timeline: bool = True
    """Read the home timeline."""
    mentions: bool = True
    """Read who mentions the bot."""
    replies: bool = False
    """The account may reply; X allows that only to who mentioned it."""
    quotes: bool = False
    """The account may quote; X asks an enterprise plan for that."""
    timeout_s: float = Field(default=4.5, gt=0, le=60)
    """Seconds without a byte after which a call is given up; below five, so that a stop ends in five."""


class SpotifySettings(Section):
    """An app of Spotify's dashboard."""

    needed = ("client_id", "client_secret")

    client_id: str | None = None
    client_secret: SecretStr | None = None
    base_url: str = "https://api.spotify.com/v1/"
    token_url: str = "https://accounts.spotify.com/api/token"  # noqa: S105 -- an address


class LastfmSettings(Section):
    """An account of Last.fm's API."""

    needed = ("api_key",)

    api_key: SecretStr | None = None
    base_url: str = "https://ws.audioscrobbler.com"


class MusicbrainzSettings(Section):
    """MusicBrainz needs no account, but wants to know whom to write to."""

    needed = ("contact",)

    contact: str | None = None
    """An address or a page, sent with each call."""
    base_url: str = "https://musicbrainz.org"


class SheetSettings(Section):
    """A Google Sheet as the curators' board."""

    needed = ("credentials", "spreadsheet")

    credentials: Path | None = None
    """The service account's key file, JSON."""
    spreadsheet: str | None = None
    """The part of the sheet's address between /d/ and /edit."""
    worksheet: str = "queue"
    base_url: str = "https://sheets.googleapis.com"
    timeout_s: float = Field(default=4.5, gt=0, le=60)


class BlueskySettings(Section):
    """An account on Bluesky."""

    needed = ("handle", "app_password")

    handle: str | None = None
    app_password: SecretStr | None = None
    base_url: str = "https://bsky.social"
    timeline: bool = True
    mentions: bool = True


class MastodonSettings(Section):
    """An account on a Mastodon server."""

    needed = ("base_url", "access_token")

    base_url: str | None = None
    access_token: SecretStr | None = None
    timeline: bool = True
    mentions: bool = True


class GenreSettings(Section):
    """How genres are looked up."""

    cache_days: float = Field(default=30, gt=0)
    """For how long what a lookup knew is believed."""
    unknown_days: float = Field(default=3, gt=0)
    """For how long it is believed that nobody knows an artist."""
    labels: Path | None = None
    """The genres that the model knows, a corpus's genres.json or an archive; others are asked for by the nearest."""
    map: Path | None = None
    """A table of genres and their places on a map, CSV; the nearest is found by company and words alone without it."""


class ScreenSettings(Section):
    """What curators are told of a text."""

    sentences: Path | None = None
    """Training text, a sentence a line, .gz or not: long runs of its words are flagged as copies."""
    slurs: Path | None = None
    """Words that are never posted, one a line, besides those that come with the bot."""


class PostSettings(Section):
    """What is posted, where, and how much of it."""

    to: str = Field(default="", pattern="^(|file|x|bluesky|mastodon)$")
    """Where accepted candidates go; nowhere when empty."""
    dry_run: bool = True
    """Say what would be posted, and post nothing."""
    file: Path = Path("posts.jsonl")
    """Where `to = "file"` writes, within the workspace unless the path is absolute."""
    per_day: int = Field(default=10, ge=0, le=500)
    per_pass: int = Field(default=1, ge=1, le=100)
    max_age_days: float = Field(default=3, gt=0)
    """Verdicts older than this are not acted on."""
    mode: PostMode = PostMode.STANDALONE
    reply_to_mentions: bool = False
    settle_s: float = Field(default=60, ge=0, le=3600)
    """How long a write without an answer is left alone before it is looked up."""


class BotSettings(BaseSettings):
    """All that `bootstrap.build` needs to know; `load` reads it from everywhere."""

    model_config = SettingsConfigDict(
        env_prefix=_PREFIX,
        env_nested_delimiter=_DELIMITER,
        env_file=".env",
        env_ignore_empty=True,
        extra="ignore",
        frozen=True,
        hide_input_in_errors=True,
    )

    workspace: Path = Path("workspace")
    feed: Path | None = None
    catalog: Path | None = None
    """Artists and genres; without it only the networks know any."""
    target: str = GATEWAY_TARGET
    model: str = DEFAULT_MODEL
    num_samples: Annotated[int, Field(ge=1, le=MAX_SAMPLES)] = 5
    concurrency: Annotated[int, Field(ge=1, le=64)] = 4
    """Requests in flight, for the server to batch."""
    min_confidence: Annotated[float, Field(ge=0, le=1)] = 0.5
    timeout_s: Annotated[float, Field(gt=0, le=600)] = 10.0
    """Seconds that a request for commentary may take, retries included."""
    interval_s: Annotated[float, Field(ge=0.1, le=86_400)] = 60.0
    """Seconds between two looks at the sources, a tenth more or less."""
    song_days: Annotated[float, Field(ge=0)] = 7.0
    """A song that came within these days is passed over; 0 takes every one."""
    metrics_port: Annotated[int, Field(ge=0, le=65_535)] = 0
    """Loopback port of /metrics and /healthz; none when 0."""

    x: XSettings = XSettings()
    spotify: SpotifySettings = SpotifySettings()
    lastfm: LastfmSettings = LastfmSettings()
    musicbrainz: MusicbrainzSettings = MusicbrainzSettings()
    sheet: SheetSettings = SheetSettings()
    bluesky: BlueskySettings = BlueskySettings()
    mastodon: MastodonSettings = MastodonSettings()
    genres: GenreSettings = GenreSettings()
    screen: ScreenSettings = ScreenSettings()
    post: PostSettings = PostSettings()

    @property
    def database(self) -> Path:
        """The bot's database."""
        return self.workspace / DATABASE

    @property
    def networks(self) -> Mapping[str, Section]:
        """What needs an account elsewhere, by the name of its section."""
        return {
            "x": self.x,
            "bluesky": self.bluesky,
            "mastodon": self.mastodon,
            "spotify": self.spotify,
            "lastfm": self.lastfm,
            "musicbrainz": self.musicbrainz,
            "sheet": self.sheet,
        }

    def secrets(self) -> Iterator[str]:
        """What must never be printed."""
        for section in self.networks.values():
            for name in type(section).model_fields:
                value = getattr(section, name)
                if isinstance(value, SecretStr):
                    yield value.get_secret_value()


def load(config: Path | None = None, **options: Any) -> BotSettings:
    """The settings from everywhere.

    Args:
        config: a TOML file; without one `deephypebot.toml` is read, where there is one.
        options: what the command line says; None for what it leaves open.

    Raises:
        SettingsError: names the setting that is wrong, unknown or missing, and never shows a secret.
    """
    document = _read(config)
    given = {name: value for name, value in options.items() if value is not None}

    class _WithFile(BotSettings):
        @classmethod
        def settings_customise_sources(
            cls,
            settings_cls: type[BaseSettings],
            init_settings: PydanticBaseSettingsSource,
            env_settings: PydanticBaseSettingsSource,
            dotenv_settings: PydanticBaseSettingsSource,
            file_secret_settings: PydanticBaseSettingsSource,
        ) -> tuple[PydanticBaseSettingsSource, ...]:
            del file_secret_settings
            return init_settings, env_settings, dotenv_settings, InitSettingsSource(settings_cls, document)

    try:
        read = _WithFile(**given)
    except ValidationError as cause:
        problems = "; ".join(_problem(error) for error in cause.errors(include_url=False, include_context=False))
        # Without the cause: pydantic's own error holds the values that were read.
        raise SettingsError(problems) from None
    return BotSettings.model_construct(**{name: getattr(read, name) for name in BotSettings.model_fields})


def _read(config: Path | None) -> dict[str, Any]:
    named = os.environ.get(f"{_PREFIX}CONFIG")
    path = config or (Path(named) if named else CONFIG)
    if path == CONFIG and not path.is_file():
        return {}
    try:
        document = tomllib.loads(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError) as cause:
        reason = getattr(cause, "strerror", None) or cause
        raise SettingsError(f"the settings {path} cannot be read: {reason}; give another file with --config") from cause
    except tomllib.TOMLDecodeError as cause:
        raise SettingsError(f"the settings {path} are no TOML: {cause}") from cause
    unknown = sorted(set(document) - set(BotSettings.model_fields))
    if unknown:
        raise SettingsError(f"{path} holds what is no setting: {', '.join(unknown)}")
    return document


def _problem(error: Mapping[str, Any]) -> str:
    """A line on a wrong setting; of its value only numbers are shown, which are never secrets."""
    place = ".".join(map(str, error["loc"]))
    value = error.get("input")
    got = f", got {value}" if isinstance(value, int | float) else ""
    name = _OPTIONS.get(place) or f"{place} (in the environment {env_name(place)})"
    return f"{name}: {error['msg'][:1].lower()}{error['msg'][1:]}{got}"


def env_name(place: str) -> str:
    """The variable of a setting.

    >>> env_name("x.access_token")
    'DEEPHYPEBOT_X__ACCESS_TOKEN'
    """
    return _PREFIX + place.replace(".", _DELIMITER).upper()
