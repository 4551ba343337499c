"""How every measuring command ends: one line of JSON on standard output, and the same in a file if one is asked for."""

from __future__ import annotations

import json
import math
import os
import platform
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

from training.files import write_json

_CPU_INFO: Final = Path("/proc/cpuinfo")
_GIB: Final = 2**30


def machine() -> dict[str, Any]:
    """What a figure was measured on: processor, cores this process may use, memory, Python, torch, GPU if any."""
    import torch  # noqa: PLC0415 - whoever prints help does not wait for it

    return {
        "cpu": _cpu(),
        "cores": _cores(),
        "memory_gib": round(os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / _GIB, 1),
        "python": platform.python_version(),
        "torch": str(torch.__version__),
        "gpu": torch.cuda.get_device_name() if torch.cuda.is_available() else None,
    }


def finish(name: str, figures: Mapping[str, Any], json_path: Path | None = None) -> None:
    """End a measuring command: `{"name": ..., "figures": {...}, "machine": {...}}` as the last line it prints.

    Figures that are no numbers (NaN, infinity) become null, since JSON has no word for them.

    Raises:
        OutputError: `json_path` cannot be written.
    """
    document = {"name": name, "figures": _plain(figures), "machine": machine()}
    if json_path is not None:
        write_json(json_path, document)
    # Not through rich: a terminal's width must not break the line.
    sys.stdout.write(json.dumps(document, ensure_ascii=False, allow_nan=False) + "\n")
    sys.stdout.flush()


def _plain(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {str(key): _plain(each) for key, each in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(each) for each in value]
    if isinstance(value, float) and not math.isfinite(value):
        return None
    # NumPy's and torch's scalars.
    return _plain(value.item()) if hasattr(value, "item") else value


def _cores() -> int:
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def _cpu() -> str:
    try:
        lines = _CPU_INFO.read_text(encoding="utf-8").splitlines()
    except OSError:
        return platform.processor() or platform.machine()
    models = (line.partition(":")[2].strip() for line in lines if line.startswith("model name"))
    return next(models, platform.machine())
