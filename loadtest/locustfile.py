"""Entry point for locust: `locust -f loadtest/locustfile.py [LcganUser] [CvaeUser] [PinnedUser]`.

Locust uses every user class of this module; `--help` lists the options of the load test under "Commentary requests" and
"Load shapes". Forked workers (`--processes N`) connect to their master over a port: keep it on this machine with
`--master-bind-host 127.0.0.1`.
"""

from typing import Any

from locust import events

from loadtest import arguments, session
from loadtest.users import CvaeUser, LcganUser, PinnedUser

__all__ = ["CvaeUser", "LcganUser", "PinnedUser"]

hooks: Any = events  # locust's type information is incomplete
hooks.init_command_line_parser.add_listener(arguments.add_arguments)
hooks.init.add_listener(session.prepare)
