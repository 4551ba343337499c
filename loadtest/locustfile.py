"""Entry point for locust: `locust -f loadtest/locustfile.py [LcganUser] [CvaeUser] [PinnedUser]`.

Locust uses every user class of this module. `locust --help` is printed before a locustfile is read, so it lists the
options of locust alone; `python -m loadtest --help` lists those of the load test too, under "Commentary requests" and
"Load shapes". Forked workers (`--processes N`) connect to their master over a port: keep it on this machine with
`--master-bind-host 127.0.0.1`.
"""

from contextlib import suppress
from typing import Any

from locust import events

from loadtest import arguments, session
from loadtest.users import CvaeUser, LcganUser, PinnedUser

__all__ = ["CvaeUser", "LcganUser", "PinnedUser"]

hooks: Any = events  # locust's type information is incomplete
for _hook, _listener in ((hooks.init_command_line_parser, arguments.add_arguments), (hooks.init, session.prepare)):
    with suppress(ValueError):  # not there yet; `python -m loadtest` has imported this file before locust does
        _hook.remove_listener(_listener)
    _hook.add_listener(_listener)
