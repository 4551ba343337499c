"""Settings of a bot: from the command's options, the environment, `.env` and a TOML file, in this order of precedence.

A setting has the same name everywhere: `interval_s = 60` and `[x] access_token = "..."` in TOML are
`DEEPHYPEBOT_INTERVAL_S` and `DEEPHYPEBOT_X__ACCESS_TOKEN` in the environment. Secrets are printed as stars.
"""

from __future__ import annotations

import os
import tomllib
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Annotated, Any, Final

from pydantic import Field, SecretStr, ValidationError
from pydantic_settings import (
    BaseSettings,
    InitSettingsSource,
    SettingsConfigDict,
    TomlConfigSettingsSource,
)
from pydantic_settings import SettingsError as UnparsedError

from bot.domain.errors import SettingsError
from bot.environment import DELIMITER, PREFIX, dotenv, env_name, environment, unparsed
from bot.sections import (
    BlueskySettings,
    GenreSettings,
    LastfmSettings,
    MastodonSettings,
    MusicbrainzSettings,
    PostSettings,
    ScreenSettings,
    Section,
    SheetSettings,
    SpotifySettings,
    XSettings,
)
from foundation.defaults import DEFAULT_MODEL, GATEWAY_TARGET, LOOPBACK
from handlers.contract import MAX_SAMPLES, RankBy

DATABASE: Final = "bot.db"
"""Name of the bot's database within the workspace."""
CONFIG: Final = Path("deephypebot.toml")
"""Settings file that is read when no other is named."""
_OPTIONS: Final = {
    "num_samples": "--num-samples",
    "feed": "--feed",
    "interval_s": "--interval",
    "target": "--target",
}


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
    ca: Path | None = None
    """PEM file of the authorities that vouch for the gateway; with one, the bot speaks TLS with it."""
    client_cert: Path | None = None
    """PEM file of a certificate to show to the gateway."""
    client_key: Path | None = None
    """PEM file of its private key."""
    server_name: str = ""
    """Name in the gateway's certificate, where it is not that of the target."""
    token: SecretStr | None = None
    """Token that the gateway asks for."""
    token_file: Path | None = None
    """File of the token, which is read again when it changes; instead of `token`."""
    model: str = DEFAULT_MODEL
    num_samples: Annotated[int, Field(ge=1, le=MAX_SAMPLES)] = 5
    rank_by: RankBy | None = None
    """Rule by which the best candidates are chosen, by default the version's own; `value` and `both` where the version
    has a value function."""
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
        if self.token is not None:
            yield self.token.get_secret_value()
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
    message = error["msg"].removeprefix("Value error, ")
    got = f", got {value}" if isinstance(value, int | float) and f"got {value}" not in message else ""
    return f"{name}: {message[:1].lower()}{message[1:]}{got}"
