"""The page of settings: the bot's, a training's, the server's and a worker's."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator
from datetime import timedelta
from typing import Any

from markdown import code, default_of, first_paragraph, table, type_of
from pydantic import BaseModel
from pydantic_settings import BaseSettings

from bot.domain.durations import short_duration
from bot.environment import env_name
from bot.settings import BotSettings
from foundation.docstrings import attribute_docs
from handlers.worker.options import WorkerOptions
from serving.gateway.settings import GatewaySettings
from serving.pool.settings import PoolSettings
from serving.security.settings import ClientLimits, SecuritySettings
from serving.sync.loop import SyncSettings
from serving.torchserve.process import TorchServeSettings
from training.settings import TrainSettings


def page() -> list[str]:
    """Lines of the page."""
    lines = ["# Settings", "", "## Bot", ""]
    lines += [
        "Read from the options of `deephypebot bot`, the environment, `.env` and `deephypebot.toml`, in that order.",
        "",
    ]
    for title, rows in _bot():
        lines += [f"### {title}", "", *table(["setting", "variable", "default", "meaning"], rows), ""]
    lines += ["## Training", "", "Set with `deephypebot train --set STAGE.NAME=VALUE`; presets set several.", ""]
    for field in dataclasses.fields(TrainSettings):
        if dataclasses.is_dataclass(owner := _class_of(field)):
            lines += [f"### {field.name}", "", first_paragraph(owner), "", *_dataclass(owner, f"{field.name}."), ""]
    lines += [
        "## Server",
        "",
        "`deephypebot serve` sets those that its options name; the rest is for code that embeds it.",
        "",
    ]
    for owner in (GatewaySettings, SecuritySettings, ClientLimits, TorchServeSettings, PoolSettings, SyncSettings):
        lines += [f"### {owner.__name__}", "", first_paragraph(owner), "", *_dataclass(owner, ""), ""]
    lines += ["## Worker", "", "Set under `handler` in an archive's `model-config.yaml`.", ""]
    return [*lines, *_dataclass(WorkerOptions, "handler.")]


def _bot() -> Iterator[tuple[str, list[list[str]]]]:
    sections = {name: field for name, field in BotSettings.model_fields.items() if _is_section(field.annotation)}
    yield (
        "Top level",
        [
            _bot_row((), name, field, attribute_docs(BotSettings))
            for name, field in BotSettings.model_fields.items()
            if name not in sections
        ],
    )
    for section, field in sections.items():
        owner: Any = field.annotation
        rows = [_bot_row((section,), name, inner, attribute_docs(owner)) for name, inner in owner.model_fields.items()]
        yield f"[{section}]: {first_paragraph(owner)}", rows


def _is_section(annotation: Any) -> bool:
    return (
        isinstance(annotation, type) and issubclass(annotation, BaseModel) and not issubclass(annotation, BaseSettings)
    )


def _bot_row(path: tuple[str, ...], name: str, field: Any, docs: dict[str, str]) -> list[str]:
    default = "" if field.default is None else code(_as_written(field.default))
    variable = env_name(".".join((*path, name)))
    return [f"`{name}`", f"`{variable}`", default, docs.get(name, "")]


def _as_written(value: Any) -> Any:
    """A default as settings have it."""
    return short_duration(value) if isinstance(value, timedelta) else value


def _dataclass(owner: Any, prefix: str) -> list[str]:
    docs = attribute_docs(owner)
    rows = [
        [f"`{prefix}{field.name}`", type_of(field.type), default_of(field), docs.get(field.name, "")]
        for field in dataclasses.fields(owner)
        if field.init
    ]
    return table(["setting", "type", "default", "meaning"], rows)


def _class_of(field: dataclasses.Field[Any]) -> Any:
    default = field.default_factory() if field.default_factory is not dataclasses.MISSING else field.default
    return type(default)
