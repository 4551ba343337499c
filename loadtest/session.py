"""Setup of each process of a run, and the summary of samples and tokens at its end."""

from __future__ import annotations

import logging
import sys
import threading
import time
from typing import Any, Final, NoReturn

from grpc.experimental.gevent import init_gevent
from locust.runners import WorkerRunner
from locust.stats import CSV_STATS_INTERVAL_SEC
from rich.console import Console

from loadtest.arguments import plan_from
from loadtest.checks import FailedCallError
from loadtest.preflight import PreflightError, check_target
from loadtest.shapes import shape_for
from loadtest.tally import Tally
from loadtest.users import PinnedUser

logger = logging.getLogger(__name__)

_START_S: Final = 0.5


def prepare(environment: Any, runner: Any, **_: Any) -> None:
    """Set up a process; a listener of locust's `init`, which every process fires before it starts a user."""
    # Here and not at import: with --processes the workers are forked after the import, and gRPC's threads do not
    # survive a fork. No channel exists yet.
    init_gevent()
    # Let gevent's loop update its clock: otherwise the time of the imports counts as part of the run.
    time.sleep(0.01)
    is_worker = isinstance(runner, WorkerRunner)
    _choose_users(environment, is_worker=is_worker)
    tally = Tally(environment)
    tally.connect()
    if not is_worker:
        _choose_shape(environment, runner)
        _check_first(environment, runner)
        _report_at_the_end(environment, tally)
    _explain_first_of_each_kind(environment)


def _choose_users(environment: Any, *, is_worker: bool) -> None:
    """Remove `PinnedUser` without a version to pin: by default locust uses all classes of the locustfile."""
    options = environment.parsed_options
    if options.pinned_version:
        return
    if PinnedUser.__name__ in (options.user_classes or ()):
        _refuse("PinnedUser needs a version: add --pinned-version VERSION", is_worker=is_worker)
    environment.user_classes = [kind for kind in environment.user_classes if kind is not PinnedUser]


def _check_first(environment: Any, runner: Any) -> None:
    """Check the target: now, or with the web page, where the target may be typed, at each start of a run."""
    options = environment.parsed_options
    if options.headless or options.autostart:
        try:
            answered = check_target(environment)
        except PreflightError as error:
            _refuse(str(error), is_worker=False)
        left_out = [kind.__name__ for kind in environment.user_classes if kind not in answered]
        if left_out:
            logger.warning("left out, since their models are not live: %s", ", ".join(left_out))
        environment.user_classes = answered
        return

    def check(**_: Any) -> None:
        try:
            check_target(environment)
        except PreflightError as error:
            logger.error("%s", error)  # noqa: TRY400 - the message says it all
            # The runner starts its users after this listener.
            threading.Timer(_START_S, runner.stop).start()

    environment.events.test_start.add_listener(check)


def _choose_shape(environment: Any, runner: Any) -> None:
    try:
        plan = plan_from(environment.parsed_options)
    except ValueError as fault:
        _refuse(str(fault), is_worker=False)
    if plan is None:
        return
    environment.shape_class = shape_for(plan)
    environment.shape_class.runner = runner
    logger.info("%s sets the users; --users and --spawn-rate are ignored", type(environment.shape_class).__name__)


def _refuse(message: str, *, is_worker: bool) -> NoReturn:
    """Exit with a message and without a traceback; of forked processes only the master prints it."""
    sys.exit(1 if is_worker else f"error: {message}")


def _report_at_the_end(environment: Any, tally: Tally) -> None:
    prefix: str | None = environment.parsed_options.csv_prefix

    def finish_csv(**_: Any) -> None:
        # Locust writes its CSV files once a second and not at the end: stop the users and wait for one more write.
        environment.runner.quit()
        end = time.monotonic() + 1.5 * CSV_STATS_INTERVAL_SEC
        while time.monotonic() < end:
            # One long sleep may end early: gevent counts it from the last update of its loop's clock.
            time.sleep(0.1)

    def show(**_: Any) -> None:
        samples_per_s, tokens_per_s = tally.per_second()
        Console(highlight=False).print(
            f"{tally.samples} samples, {tally.tokens} tokens: "
            f"{samples_per_s:.1f} samples/s, {tokens_per_s:.1f} tokens/s"
        )
        if prefix:
            tally.write(prefix)

    if prefix:
        environment.events.quitting.add_listener(finish_csv)
    environment.events.quit.add_listener(show)


def _explain_first_of_each_kind(environment: Any) -> None:
    seen: set[str] = set()

    def explain(name: str, exception: BaseException | None = None, **_: Any) -> None:
        if isinstance(exception, FailedCallError) and exception.kind not in seen:
            seen.add(exception.kind)
            logger.warning("first %s of this process, in %s: %s", exception.kind, name, exception.message)

    environment.events.request.add_listener(explain)
