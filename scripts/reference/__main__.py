"""Write the reference pages of docs/reference from the code, or check that they are what the code says.

python scripts/reference [--check]
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path
from typing import Final

ROOT: Final = Path(__file__).resolve().parents[2]
FOLDER: Final = ROOT / "docs" / "reference"
sys.path.insert(0, str(ROOT))

import client  # noqa: E402 - behind the path
import commands  # noqa: E402
import metrics  # noqa: E402
import protocol  # noqa: E402
import settings  # noqa: E402
from markdown import WRITTEN  # noqa: E402

PAGES: Final[dict[str, Callable[[], list[str]]]] = {
    "commands.md": commands.page,
    "protocol.md": protocol.page,
    "client.md": client.page,
    "settings.md": settings.page,
    "metrics.md": metrics.page,
}


def main() -> None:
    """Write all pages; with `--check` compare them and end with 1 if one differs."""
    stale = []
    for name, page in PAGES.items():
        title, *rest = page()
        text = "\n".join([title, "", WRITTEN, *rest]).rstrip() + "\n"
        if sys.argv[1:] == ["--check"]:
            path = FOLDER / name
            stale += [name] if not path.exists() or path.read_text(encoding="utf-8") != text else []
        else:
            (FOLDER / name).write_text(text, encoding="utf-8")
    if stale:
        sys.exit(f"{', '.join(stale)} in docs/reference is not what the code says; run `make docs`")


if __name__ == "__main__":
    main()
