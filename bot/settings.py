"""Settings of a bot: from the command's options, the environment, `.env` and a TOML file, in this order of precedence.

A setting has the same name everywhere: `interval_s = 60` and `[x] access_token = "..."` in TOML are
`DEEPHYPEBOT_INTERVAL_S` and `DEEPHYPEBOT_X__ACCESS_TOKEN` in the environment. Secrets are printed as stars.
"""

from __future__ import annotations

import os
import tomllib
from collections.abc import Iterator, Mapping
from datetime import timedelta
from pathlib import Path
from typing import Annotated, Any, ClassVar, Final, Self

from pydantic import (
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    SecretStr,
    ValidationError,
    field_validator,
    model_validator,
)
from pydantic_settings import (
    BaseSettings,
    InitSettingsSource,
    SettingsConfigDict,
    TomlConfigSettingsSource,
)
from pydantic_settings import SettingsError as UnparsedError

from bot.domain.durations import parse_duration, short_duration
from bot.domain.errors import SettingsError
from bot.domain.networks import BLUESKY, MASTODON, NETWORKS, X
from bot.domain.outgoing_posts import PostMode
from bot.domain.pace import DAY
from bot.domain.post_text import TEMPLATE, TEXT_ALONE, Template
from bot.domain.posting_hours import PostingHours
from bot.environment import DELIMITER, PREFIX, dotenv, environment, unparsed
from foundation.defaults import DEFAULT_MODEL, GATEWAY_TARGET, LOOPBACK
from handlers.contract import MAX_SAMPLES

DATABASE: Final = "bot.db"
"""Name of the bot's database within the workspace."""
CONFIG: Final = Path("deephypebot.toml")
"""Settings file that is read when no other is named."""
TO_FILE: Final = "file"
"""Value of `PostSettings.to` that writes posts to a file instead of a network."""
Duration = Annotated[timedelta, BeforeValidator(parse_duration)]
"""Span of time: a number of seconds, or a number with a unit."""
_OPTIONS: Final = {
    "num_samples": "--num-samples",
    "feed": "--feed",
    "interval_s": "--interval",
    "target": "--target",
}


class Section(BaseModel):
    """Table of the settings. An unknown name in it is an error, because a misspelt setting would have no effect."""

    model_config = ConfigDict(extra="forbid", frozen=True, hide_input_in_errors=True)
    part: ClassVar[str] = ""
    """The section's own name in `BotSettings`; empty for sections that need no account."""
    needed: ClassVar[tuple[str, ...]] = ()
    """Settings without which the section is off."""

    @property
    def missing(self) -> tuple[str, ...]:
        """Names of needed settings that are not given."""
        return tuple(name for name in self.needed if not getattr(self, name))

    @property
    def is_on(self) -> bool:
        """Whether all needed settings are given."""
        return not self.missing

    @property
    def is_begun(self) -> bool:
        """Whether at least one needed setting is given, so that the section was probably meant to be on."""
        return len(self.missing) < len(self.needed)

    def given(self, name: str) -> str:
        """A setting in plain text.

        Raises:
            SettingsError: it is not given.
        """
        value = getattr(self, name)
        if value is None:
            place = f"{self.part}.{name}"
            raise SettingsError(f"{place} is missing; set it in the settings or as {env_name(place)}")
        return value.get_secret_value() if isinstance(value, SecretStr) else str(value)


class XSettings(Section):
    """Credentials of an app and a user on X, with the names of the developer portal."""

    part = X.name
    needed = ("consumer_key", "consumer_secret", "access_token", "access_token_secret")

    consumer_key: SecretStr | None = None
    consumer_secret: SecretStr | None = None
    access_token: SecretStr | None = None
    access_token_secret: SecretStr | None = None
    handle: str | None = None
    """The account's name, which the parser takes for no part of a song; without it, it is learned from mentions."""
    base_url: str = "https://api.twitter.com"
    timeline: bool = True
    """Whether the home timeline is read."""
    mentions: bool = True
    """Whether posts that mention the account are read."""
    replies: bool = False
    """Whether the account may reply; X allows replies only to users who mentioned the account."""
    quotes: bool = False
    """Whether the account may quote; X requires an enterprise plan for that."""
    timeout_s: float = Field(default=4.5, gt=0, le=60)
    """Seconds without a byte after which a call fails; below five, so that the bot stops within five."""


class BlueskySettings(Section):
    """An account on Bluesky."""

    part = BLUESKY.name
    needed = ("handle", "app_password")

    handle: str | None = None
    app_password: SecretStr | None = None
    base_url: str = "https://bsky.social"
    timeline: bool = True
    mentions: bool = True


class MastodonSettings(Section):
    """An account on a Mastodon server."""

    part = MASTODON.name
    needed = ("base_url", "access_token")

    base_url: str | None = None
    access_token: SecretStr | None = None
    timeline: bool = True
    mentions: bool = True


class SpotifySettings(Section):
    """An app of Spotify's dashboard."""

    part = "spotify"
    needed = ("client_id", "client_secret")

    client_id: str | None = None
    client_secret: SecretStr | None = None
    base_url: str = "https://api.spotify.com/v1/"
    token_url: str = "https://accounts.spotify.com/api/token"  # noqa: S105 -- an address


class LastfmSettings(Section):
    """An account of Last.fm's API."""

    part = "lastfm"
    needed = ("api_key",)

    api_key: SecretStr | None = None
    base_url: str = "https://ws.audioscrobbler.com"


class MusicbrainzSettings(Section):
    """MusicBrainz, which needs no account but a way to contact the operator."""

    part = "musicbrainz"
    needed = ("contact",)

    contact: str | None = None
    """Address or web page that is sent with each call."""
    base_url: str = "https://musicbrainz.org"


class SheetSettings(Section):
    """A Google Sheet as the curators' board."""

    part = "sheet"
    needed = ("credentials", "spreadsheet")

    credentials: Path | None = None
    """Key file of the service account, JSON."""
    spreadsheet: str | None = None
    """The part of the sheet's address between /d/ and /edit."""
    worksheet: str = "queue"
    base_url: str = "https://sheets.googleapis.com"
    timeout_s: float = Field(default=4.5, gt=0, le=60)


class GenreSettings(Section):
    """Lookup of genres."""

    cache_days: float = Field(default=30, gt=0)
    """Days for which the genres that a lookup returned are kept."""
    unknown_days: float = Field(default=3, gt=0)
    """Days for which an artist that no lookup knows is not looked up again."""
    labels: Path | None = None
    """Genres that the model knows: a corpus's genres.json, or an archive. Any other is replaced by the nearest."""
    map: Path | None = None
    """Table of genres with coordinates, CSV; without it shared artists and words alone say which genre is near."""


class ScreenSettings(Section):
    """Checks of a text, shown to curators as flags."""

    sentences: Path | None = None
    """Training text, a sentence a line, .gz or not; long runs of its words are flagged as copies."""
    slurs: Path | None = None
    """Words that are never posted, one a line, in addition to the built-in ones."""


class PostSettings(Section):
    """Posting: the network, the text, its mode and the limits."""

    to: str = Field(default="", pattern=f"^(|{TO_FILE}|{'|'.join(NETWORKS)})$")
    """Network, or "file", that accepted candidates are posted to; empty posts nothing."""
    dry_run: bool = True
    """Whether posts are only printed."""
    file: Path = Path("posts.jsonl")
    """File for `to = "file"`, relative to the workspace unless the path is absolute."""
    template: str = TEMPLATE
    """Text of a post, with the fields {artist}, {title}, {text}, {genres}, {link} (to listen to the song) and {source}
    (the post that named it). A field without a value takes the space beside it away."""
    reply_template: str = TEXT_ALONE
    """Text of a reply, which stands below the post that names the song."""
    named_template: str = TEXT_ALONE
    """Text of a post whose own text names artist and title."""
    max_length: int | None = Field(default=None, ge=1, le=100_000)
    """Longest post, in the network's own counting; without it 280 on X, 300 on Bluesky, 500 on Mastodon. Set it where a
    Mastodon server or an account allows more. For a file, and where no network is chosen, the rules of X hold."""
    hold: Duration = timedelta(minutes=2)
    """Time after a verdict within which nothing is sent, so that it can be taken back; a number of seconds, or a text
    such as "90 s", "2 min", "1 h"."""
    min_gap: Duration = timedelta(minutes=30)
    """Minimum time between two posts, written like `hold`."""
    hours: str = ""
    """Hours of the day at which posts leave, with their time zone, such as "9:00-22:00 Europe/Berlin"; a window that
    ends before it begins goes over midnight. Empty: always."""
    per_day: int = Field(default=10, ge=0, le=500)
    """Maximum posts within any 24 hours."""
    per_pass: int = Field(default=1, ge=1, le=100)
    """Maximum posts of a pass."""
    same_song_days: float = Field(default=365, ge=0, le=36_500)
    """Days within which a second post about a song waits until a curator confirms it; 0: it does not wait."""
    max_age_days: float = Field(default=3, gt=0)
    """Age in days beyond which a verdict is not acted on."""
    mode: PostMode = PostMode.STANDALONE
    reply_to_mentions: bool = False
    settle_s: float = Field(default=60, ge=0, le=3600)
    """Seconds that a write without an answer rests before the bot looks for it."""

    @property
    def posting_hours(self) -> PostingHours | None:
        """The window of `hours`; None for always."""
        return PostingHours.parse(self.hours) if self.hours.strip() else None

    @field_validator("hours")
    @classmethod
    def _is_window(cls, value: str) -> str:
        if value.strip():
            PostingHours.parse(value)
        return value

    @field_validator("hold", "min_gap")
    @classmethod
    def _is_within_a_day(cls, value: timedelta) -> timedelta:
        if value > DAY:
            raise ValueError(f"at most 1 d is possible, got {short_duration(value)}")
        return value

    @model_validator(mode="after")
    def _is_held_while_it_is_new(self) -> Self:
        if self.hold >= timedelta(days=self.max_age_days):
            raise ValueError(
                f"hold, {short_duration(self.hold)}, must be shorter than max_age_days, {self.max_age_days:g}, after"
                " which a verdict is not acted on"
            )
        return self

    @field_validator("template", "reply_template", "named_template")
    @classmethod
    def _is_template(cls, value: str) -> str:
        Template(value)
        return value


class BotSettings(BaseSettings):
    """All settings of a bot; `load` reads them from every source.

    A section that has `Section.needed` settings stands for an account with a network or service.
    """

    model_config = SettingsConfigDict(
        env_prefix=PREFIX,
        env_nested_delimiter=DELIMITER,
        env_file=".env",
        env_ignore_empty=True,
        # Other commands have variables with the same prefix in the same file.
        dotenv_filtering="only_existing",
        extra="forbid",
        frozen=True,
        hide_input_in_errors=True,
    )

    workspace: Path = Path("workspace")
    feed: Path | None = None
    catalog: Path | None = None
    """Table of artists and genres; without it genres come from lookups alone."""
    target: str = GATEWAY_TARGET
    model: str = DEFAULT_MODEL
    num_samples: Annotated[int, Field(ge=1, le=MAX_SAMPLES)] = 5
    concurrency: Annotated[int, Field(ge=1, le=64)] = 4
    """Requests in flight, which the server can batch."""
    min_confidence: Annotated[float, Field(ge=0, le=1)] = 0.5
    timeout_s: Annotated[float, Field(gt=0, le=600)] = 10.0
    """Seconds that a request for commentary may take, retries included."""
    interval_s: Annotated[float, Field(ge=0.1, le=86_400)] = 60.0
    """Seconds between two reads of the sources, plus or minus a tenth."""
    song_days: Annotated[float, Field(ge=0)] = 7.0
    """Days within which a repeated song is skipped; 0 skips none."""
    metrics_port: Annotated[int, Field(ge=0, le=65_535)] = 0
    """Port of /metrics and /healthz; 0 opens none."""
    metrics_host: str = LOOPBACK
    """Address on which they are served; they name no secret, but anybody who reaches it can read them."""

    x: XSettings = XSettings()
    bluesky: BlueskySettings = BlueskySettings()
    mastodon: MastodonSettings = MastodonSettings()
    spotify: SpotifySettings = SpotifySettings()
    lastfm: LastfmSettings = LastfmSettings()
    musicbrainz: MusicbrainzSettings = MusicbrainzSettings()
    sheet: SheetSettings = SheetSettings()
    genres: GenreSettings = GenreSettings()
    screen: ScreenSettings = ScreenSettings()
    post: PostSettings = PostSettings()

    @property
    def database(self) -> Path:
        """The bot's database."""
        return self.workspace / DATABASE

    @property
    def accounts(self) -> Mapping[str, Section]:
        """Sections that need an account with a network or service, by name."""
        sections = {name: getattr(self, name) for name in type(self).model_fields}
        return {name: part for name, part in sections.items() if isinstance(part, Section) and part.needed}

    def secrets(self) -> Iterator[str]:
        """Values that must never be printed."""
        for section in self.accounts.values():
            for name in type(section).model_fields:
                value = getattr(section, name)
                if isinstance(value, SecretStr):
                    yield value.get_secret_value()


def load(config: Path | None = None, **options: Any) -> BotSettings:
    """Read the settings from every source.

    Args:
        config: a TOML file; without one `deephypebot.toml` is read if there is one.
        options: values of the command line; None for an option that is not given.

    Raises:
        SettingsError: a setting is invalid, unknown or missing; the message names it and never shows a secret.
    """
    given = {name: value for name, value in options.items() if value is not None}
    path = _config_path(config)
    sources = (
        InitSettingsSource(BotSettings, given),
        environment(BotSettings),
        dotenv(BotSettings),
        _read_toml(path),
    )
    try:
        return BotSettings(_build_sources=(sources, given))  # type: ignore[call-arg] # unknown to pydantic's plugin
    except ValidationError as cause:
        problems = "; ".join(_problem(error, path) for error in cause.errors(include_url=False, include_context=False))
        # Without the cause: pydantic's own error holds the values that were read.
        raise SettingsError(problems) from None
    except UnparsedError as cause:
        raise SettingsError(unparsed(BotSettings, str(cause))) from None


def _config_path(config: Path | None) -> Path | None:
    """The file to read; None if none is named and there is no `deephypebot.toml`.

    Raises:
        SettingsError: the file that is named cannot be read.
    """
    named = os.environ.get(f"{PREFIX}CONFIG")
    path = config or (Path(named) if named else CONFIG)
    if path.is_file():
        return path
    if path == CONFIG:
        return None
    # pydantic-settings skips a file that is missing or special without a word.
    raise _unreadable(path, "not a regular file" if path.exists() else "No such file or directory")


def _read_toml(path: Path | None) -> TomlConfigSettingsSource:
    try:
        return TomlConfigSettingsSource(BotSettings, path)
    except tomllib.TOMLDecodeError as cause:
        raise SettingsError(f"the settings {path} are not valid TOML: {cause}") from cause
    except (OSError, UnicodeDecodeError) as cause:
        raise _unreadable(path, getattr(cause, "strerror", None) or cause) from cause


def _unreadable(path: Path | None, reason: object) -> SettingsError:
    return SettingsError(f"the settings {path} cannot be read: {reason}; give another file with --config")


def _problem(error: Mapping[str, Any], config: Path | None) -> str:
    """A line on a wrong setting. Of values only numbers are shown, which are never secrets."""
    place = ".".join(map(str, error["loc"]))
    if error["type"] == "extra_forbidden" and place == error["loc"][0]:
        return f"unknown setting in {config}: {place}"
    name = _OPTIONS.get(place) or f"{place} (in the environment {env_name(place)})"
    if error["type"] == "extra_forbidden":
        return f"unknown setting: {name}"
    value = error.get("input")
    got = f", got {value}" if isinstance(value, int | float) else ""
    message = error["msg"].removeprefix("Value error, ")
    return f"{name}: {message[:1].lower()}{message[1:]}{got}"


def env_name(place: str) -> str:
    """The environment variable of a setting.

    >>> env_name("x.access_token")
    'DEEPHYPEBOT_X__ACCESS_TOKEN'
    """
    return PREFIX + place.replace(".", DELIMITER).upper()
