"""Health check of the gateway for a container: `python -m serving.healthcheck`.

Prints whether the gateway at DEEPHYPEBOT_TARGET serves, and exits with 0 if it does and with 1 if it does not.
"""

from __future__ import annotations

import os
import sys
from typing import Final

from foundation.defaults import GATEWAY_TARGET
from serving.client import CommentaryClient, Credentials

TIMEOUT_S: Final = 3.0


def main() -> int:
    """Ask the gateway once and return the exit status."""
    target = os.environ.get("DEEPHYPEBOT_TARGET", GATEWAY_TARGET)
    with CommentaryClient(target, credentials=Credentials.from_environment()) as client:
        serving = client.is_serving(timeout_s=TIMEOUT_S)
    print(f"{target} is {'serving' if serving else 'not serving'}")  # noqa: T201  # for the container's log
    return 0 if serving else 1


if __name__ == "__main__":
    sys.exit(main())
