"""Asks the gateway whether it serves, for a container's health check: `python -m serving.healthcheck`.

Ends with 0 if it does and with 1 if it does not, and says which. The address comes from DEEPHYPEBOT_TARGET.
"""

from __future__ import annotations

import os
import sys
from typing import Final

from foundation.defaults import GATEWAY_TARGET
from serving.client import CommentaryClient

TIMEOUT_S: Final = 3.0


def main() -> int:
    """Ask once; the exit status."""
    target = os.environ.get("DEEPHYPEBOT_TARGET", GATEWAY_TARGET)
    with CommentaryClient(target) as client:
        serving = client.is_serving(timeout_s=TIMEOUT_S)
    print(f"{target} is {'serving' if serving else 'not serving'}")  # noqa: T201  # what the container's log shows
    return 0 if serving else 1


if __name__ == "__main__":
    sys.exit(main())
