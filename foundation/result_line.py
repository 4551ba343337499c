"""Result line of a benchmark: the last line of its output, JSON with the figures and the machine."""

from __future__ import annotations

import contextlib
import json
import math
import os
import platform
import sys
from collections.abc import Mapping
from importlib import metadata
from pathlib import Path
from typing import Any, Final

from foundation.processors import num_processors

_CPU_INFO: Final = Path("/proc/cpuinfo")
_GIB: Final = 2**30


class ResultFileError(Exception):
    """The file of `--json` cannot be written."""


def machine() -> dict[str, Any]:
    """Describe the machine: processor, usable cores, memory, versions, and the GPU if torch uses one."""
    return {
        "cpu": _cpu(),
        "cores": num_processors(),
        "memory_gib": round(os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / _GIB, 1),
        "python": platform.python_version(),
        "torch": _version("torch"),
        "torchserve": _version("torchserve"),
        "gpu": _gpu(),
    }


def finish(name: str, figures: Mapping[str, Any], json_path: Path | None = None, *, digits: int | None = None) -> None:
    """Print `{"name": ..., "figures": {...}, "machine": {...}}` as the last line of a benchmark.

    A figure that is not finite becomes null, since JSON cannot express NaN and infinity.

    Args:
        name: name of the benchmark.
        figures: figures by name, nested as needed; scalars of NumPy and torch become numbers.
        json_path: file for the same document.
        digits: decimal places to keep; all by default.

    Raises:
        ResultFileError: `json_path` cannot be written.
    """
    line = json.dumps(
        {"name": name, "figures": _plain(figures, digits), "machine": machine()}, ensure_ascii=False, allow_nan=False
    )
    if json_path is not None:
        _write(json_path, line + "\n")
    # Not through rich: a terminal's width must not break the line.
    sys.stdout.write(line + "\n")
    sys.stdout.flush()


def _write(path: Path, text: str) -> None:
    partial = path.with_name(f".{path.name}.{os.getpid()}.partial")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        partial.write_text(text, encoding="utf-8")
        partial.replace(path)
    except OSError as cause:
        raise ResultFileError(f"{path} cannot be written: {cause.strerror}; give another file with --json") from cause
    finally:
        with contextlib.suppress(OSError):
            partial.unlink(missing_ok=True)


def _plain(value: Any, digits: int | None) -> Any:
    if isinstance(value, Mapping):
        return {str(key): _plain(each, digits) for key, each in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(each, digits) for each in value]
    if isinstance(value, float):
        if not math.isfinite(value):
            return None
        return value if digits is None else round(value, digits)
    return _plain(value.item(), digits) if hasattr(value, "item") else value


def _version(package: str) -> str | None:
    try:
        return metadata.version(package)
    except metadata.PackageNotFoundError:
        return None


def _gpu() -> str | None:
    """Return the name of the GPU; None also if torch was not imported, since its import takes seconds."""
    torch: Any = sys.modules.get("torch")
    return torch.cuda.get_device_name() if torch is not None and torch.cuda.is_available() else None


def _cpu() -> str:
    try:
        lines = _CPU_INFO.read_text(encoding="utf-8").splitlines()
    except OSError:
        return platform.processor() or platform.machine()
    models = (line.partition(":")[2].strip() for line in lines if line.startswith("model name"))
    return next(models, platform.machine())
