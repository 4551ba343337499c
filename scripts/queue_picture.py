"""Write docs/pictures/queue.svg: the picture that a demo left in a workspace (`make demo`), as the demo makes it.

python scripts/queue_picture.py [WORKSPACE]
"""

from __future__ import annotations

import sys
from pathlib import Path

from bot.entrypoints.queue_picture import write_queue_picture

PICTURE = Path(__file__).parents[1] / "docs" / "pictures" / "queue.svg"

if __name__ == "__main__":
    write_queue_picture(Path(sys.argv[1] if len(sys.argv) > 1 else "workspace"), PICTURE)
