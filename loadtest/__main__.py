"""`python -m loadtest`: locust with the locustfile of this package, and with its options in `--help`."""

import importlib
import sys

from loadtest.runner import LOCUSTFILE


def main() -> None:
    """Run locust with the arguments of this process."""
    # Locust first: it patches the standard library for gevent. The locustfile adds the options that `--help` lists.
    locust = importlib.import_module("locust.main")
    importlib.import_module("loadtest.locustfile")
    sys.argv = ["locust", "-f", str(LOCUSTFILE), *sys.argv[1:]]
    locust.main()


if __name__ == "__main__":
    main()
