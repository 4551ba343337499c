"""The load test as locust starts it: `locust -f loadtest/locustfile.py [LcganUser] [CvaeUser] [PinnedUser]`.

Locust takes every user class that it sees here; `--help` lists our options under "Commentary requests" and "Load
shapes". Forked workers (`--processes N`) talk to their master over a port: keep it on this machine with
`--master-bind-host 127.0.0.1`.
"""

from typing import Any

from locust import events

from loadtest import arguments, session
from loadtest.users import CvaeUser, LcganUser, PinnedUser

__all__ = ["CvaeUser", "LcganUser", "PinnedUser"]

hooks: Any = events  # locust says it is typed, with holes
hooks.init_command_line_parser.add_listener(arguments.add_arguments)
hooks.init.add_listener(session.prepare)
