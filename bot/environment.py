"""Settings in the environment and in the file .env, which other programs may share."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Final

from pydantic import BaseModel
from pydantic_settings import BaseSettings, DotEnvSettingsSource, EnvSettingsSource

from bot.domain.errors import SettingsError

PREFIX: Final = "DEEPHYPEBOT_"
DELIMITER: Final = "__"
_DOTENV: Final = Path(".env")
_SERVICE_ADDRESS: Final = re.compile(r"(?:tcp|udp|sctp)://[\w.:\[\]-]+:\d+$")
"""Value of a variable such as DEEPHYPEBOT_METRICS_PORT where a Kubernetes service is called deephypebot-metrics."""


def env_name(place: str) -> str:
    """The environment variable of a setting.

    >>> env_name("x.access_token")
    'DEEPHYPEBOT_X__ACCESS_TOKEN'
    """
    return PREFIX + place.replace(".", DELIMITER).upper()


def environment(settings: type[BaseSettings]) -> EnvSettingsSource:
    """Return the environment, without the variables that Kubernetes adds for a service of the same name."""
    source = EnvSettingsSource(settings)
    source.env_vars = {
        name: value for name, value in source.env_vars.items() if not _SERVICE_ADDRESS.match(value or "")
    }
    return source


def dotenv(settings: type[BaseSettings]) -> DotEnvSettingsSource:
    """Return the variables of the file .env, of which only the bot's own have to be UTF-8.

    Raises:
        SettingsError: the file cannot be read, or one of the bot's variables is not UTF-8.
    """
    try:
        content = _DOTENV.read_bytes() if _DOTENV.is_file() else b""
    except OSError as cause:
        raise SettingsError(f"the file .env cannot be read: {cause.strerror or cause}") from cause
    try:
        content.decode("utf-8")
    except UnicodeDecodeError as cause:
        if b"\0" in content:
            raise SettingsError("the file .env is not UTF-8; save it as UTF-8, or remove it") from cause
    else:
        return DotEnvSettingsSource(settings)
    # Each byte is a character of Latin-1, so the lines of other programs are passed over whatever they hold.
    source = DotEnvSettingsSource(settings, env_file_encoding="latin-1")
    for name, value in source.env_vars.items():
        if name.upper().startswith(PREFIX) and not (value or "").isascii():
            raise SettingsError(f"{name.upper()} in .env is not UTF-8; save the file as UTF-8")
    return source


def unparsed(settings: type[BaseSettings], message: str) -> str:
    """Say which section was given as one variable, from pydantic's message about it.

    The value is not repeated, since it may be a secret.
    """
    name = re.search(r'field "(\w+)"', message)
    if name is None:
        return f"a variable of the environment or of .env cannot be read: {message}"
    variable = f"{PREFIX}{name[1].upper()}"
    section = settings.model_fields[name[1]].annotation if name[1] in settings.model_fields else None
    fields = list(section.model_fields) if isinstance(section, type) and issubclass(section, BaseModel) else []
    examples = " and ".join(f"{variable}{DELIMITER}{field.upper()}" for field in fields[:2])
    return f"{variable}: {name[1]} is a section, whose settings have variables of their own, such as {examples}"
