"""Picture of the queue as a terminal shows it."""

from __future__ import annotations

import io
import re
from pathlib import Path
from typing import Final

from rich.console import Console

from bot.bootstrap.build import open_store
from bot.entrypoints.display import queue_table

QUEUE_PICTURE: Final = "queue.svg"
"""File of a workspace that the demo writes."""
_NUM_ROWS: Final = 20


def write_queue_picture(workspace: Path, path: Path) -> None:
    """Write the head of a workspace's queue as SVG that fetches nothing."""
    console = Console(record=True, width=150, file=io.StringIO(), force_terminal=True)
    with open_store(workspace) as store:
        total = sum(store.state().candidates.values())
        title = f"Queue: {min(_NUM_ROWS, total)} of {total} candidates"
        console.print(queue_table(store.rows(limit=_NUM_ROWS), title=title))
    svg = console.export_svg(title="deephypebot queue list", unique_id="queue")
    # Rich names a font on the web; readers' own monospace fonts do.
    path.write_text(re.sub(r"@font-face \{[^}]*\}\s*", "", svg), encoding="utf-8")
