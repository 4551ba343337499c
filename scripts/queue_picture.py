"""Write docs/pictures/queue.svg: the head of the queue that a demo left in a workspace.

python scripts/queue_picture.py [WORKSPACE]
"""

from __future__ import annotations

import io
import re
import sys
from pathlib import Path

from rich.console import Console

from bot.bootstrap.build import open_store
from bot.entrypoints.display import queue_table

NUM_ROWS = 20
PICTURE = Path(__file__).parents[1] / "docs" / "pictures" / "queue.svg"


def picture(workspace: Path) -> str:
    """The queue as a terminal shows it, as SVG that fetches nothing."""
    console = Console(record=True, width=150, file=io.StringIO(), force_terminal=True)
    with open_store(workspace) as store:
        console.print(queue_table(store.rows(limit=NUM_ROWS)))
    svg = console.export_svg(title="deephypebot queue list", unique_id="queue")
    # Rich names a font on the web; readers' own monospace fonts do.
    return re.sub(r"@font-face \{[^}]*\}\s*", "", svg)


if __name__ == "__main__":
    PICTURE.write_text(picture(Path(sys.argv[1] if len(sys.argv) > 1 else "workspace")), encoding="utf-8")
