"""How the bot's measuring commands end: one line of JSON on standard output, and the same in a file if asked for.

The bot may not import `training`, whose measuring commands end in the same way.
"""

from __future__ import annotations

import json
import os
import platform
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from bot.domain.errors import InputError

_CPU_INFO = Path("/proc/cpuinfo")
_GIB = 2**30


def machine() -> dict[str, Any]:
    """What a figure was measured on: processor, cores this process may use, memory, Python."""
    return {
        "cpu": _cpu(),
        "cores": len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1,
        "memory_gib": round(os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / _GIB, 1),
        "python": platform.python_version(),
    }


def finish(name: str, figures: Mapping[str, Any], json_path: Path | None = None) -> None:
    """End a measuring command: `{"name": ..., "figures": {...}, "machine": {...}}` as the last line it prints.

    Raises:
        InputError: `json_path` cannot be written.
    """
    line = json.dumps({"name": name, "figures": figures, "machine": machine()}, ensure_ascii=False, allow_nan=False)
    if json_path is not None:
        try:
            json_path.write_text(line + "\n", encoding="utf-8")
        except OSError as cause:
            raise InputError(
                f"{json_path} cannot be written: {cause.strerror}; give another file with --json"
            ) from cause
    # Not through rich: a terminal's width must not break the line.
    sys.stdout.write(line + "\n")
    sys.stdout.flush()


def _cpu() -> str:
    try:
        lines = _CPU_INFO.read_text(encoding="utf-8").splitlines()
    except OSError:
        return platform.processor() or platform.machine()
    models = (line.partition(":")[2].strip() for line in lines if line.startswith("model name"))
    return next(models, platform.machine())
