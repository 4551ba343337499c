"""How the serving benchmark ends: one line of JSON on standard output, and the same in a file if asked for.

The load test may not import `training`, whose measuring commands end in the same way.
"""

from __future__ import annotations

import json
import math
import os
import platform
import sys
from collections.abc import Mapping, Sequence
from importlib import metadata
from pathlib import Path
from typing import Any, Final

from loadtest.errors import BenchError
from serving.cores import num_cores

_CPU_INFO: Final = Path("/proc/cpuinfo")
_GIB: Final = 2**30


def machine() -> dict[str, Any]:
    """What a figure was measured on: processor, cores this process may use, memory, Python, torch, TorchServe."""
    return {
        "cpu": _cpu(),
        "cores": num_cores(),
        "memory_gib": round(os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / _GIB, 1),
        "python": platform.python_version(),
        "torch": metadata.version("torch"),
        "torchserve": metadata.version("torchserve"),
    }


def finish(name: str, figures: Mapping[str, Any], json_path: Path | None = None) -> None:
    """End a measuring command: `{"name": ..., "figures": {...}, "machine": {...}}` as the last line it prints.

    Figures that are no numbers (NaN, infinity) become null, since JSON has no word for them.

    Raises:
        BenchError: `json_path` cannot be written.
    """
    document = {"name": name, "figures": _plain(figures), "machine": machine()}
    line = json.dumps(document, ensure_ascii=False, allow_nan=False)
    if json_path is not None:
        try:
            json_path.write_text(line + "\n", encoding="utf-8")
        except OSError as cause:
            raise BenchError(
                f"{json_path} cannot be written: {cause.strerror}; give another file with --json"
            ) from cause
    # Not through rich: a terminal's width must not break the line.
    sys.stdout.write(line + "\n")
    sys.stdout.flush()


def _plain(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {str(key): _plain(each) for key, each in value.items()}
    if isinstance(value, Sequence) and not isinstance(value, str):
        return [_plain(each) for each in value]
    if isinstance(value, float):
        return round(value, 4) if math.isfinite(value) else None
    return value


def _cpu() -> str:
    try:
        lines = _CPU_INFO.read_text(encoding="utf-8").splitlines()
    except OSError:
        return platform.processor() or platform.machine()
    models = (line.partition(":")[2].strip() for line in lines if line.startswith("model name"))
    return next(models, platform.machine())
