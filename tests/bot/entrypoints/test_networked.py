"""A bot on X and Google Sheets does everything once, even if it is killed at any moment or if they fail.

The real tweepy and gspread speak to stand-ins on loopback. `make kills` kills at every moment; here it is every
seventh, or as many as DEEPHYPEBOT_KILL_STRIDE says.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest

from bot.adapters.sqlite.store import SqliteStore
from bot.domain.outgoing_posts import OutgoingPostStatus
from bot.domain.source_posts import Kind, SourcePostStatus
from bot.sandbox.server import SandboxServer
from bot.services.summary import Summary
from tests.bot.helpers.killed_bot import Countdown, CountedCommentary
from tests.bot.helpers.networked import (
    EDITED,
    ELSEWHERE,
    TAB,
    bot_settings,
    contents,
    one_pass,
    people_post,
    with_all_accounts,
    write_config,
)
from tests.serving.collector import collecting

pytestmark = pytest.mark.slow

ROOT = Path(__file__).resolve().parents[3]
STRIDE = int(os.environ.get("DEEPHYPEBOT_KILL_STRIDE", "7"))


def check_reference(reference: dict[str, Any]) -> None:
    """Check that the reference run does what a bot should do."""
    assert [status for _, status in reference["tweets"]] == ["done", "no song", "done", "done"]
    assert [board for _, _, board in reference["candidates"]] == ["on"] * 6
    assert [(decision, edited) for _, decision, edited, _ in reference["verdicts"]] == [
        ("accept", None),
        ("accept", ELSEWHERE),
        ("accept", None),
        ("accept", EDITED),
        ("accept", None),
        ("reject", None),
    ]
    assert [status for _, _, status, _ in reference["posts"]] == ["sent"] * 5
    assert [status for _, status, *_ in reference["sheet"]] == [*["accepted"] * 5, "rejected"]
    # Verdicts of the terminal are on the sheet, with the curator's name.
    shown = [text for _, _, text, who, _ in reference["sheet"] if who == "bo"]
    assert shown == [ELSEWHERE, reference["candidates"][5][0]]
    # The text that was too long was set back, and the note is gone with it; the previews are what was posted.
    assert reference["notes"] == {}
    previews = [preview for _, status, _, _, preview in reference["sheet"] if status == "accepted"]
    assert sorted(previews) == sorted(text for text, _ in reference["posted"])
    assert sorted(is_reply for _, is_reply in reference["posted"]) == [False, False, False, False, True]
    # The template names the song before the text.
    for text in (EDITED, ELSEWHERE):
        assert sum(posted.endswith(text) for posted, _ in reference["posted"]) == 1


@pytest.mark.timeout(1200)
def test_killed_at_any_moment_every_source_post_row_verdict_and_post_is_there_once(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "tests.bot.helpers.killed_networks", str(tmp_path), str(STRIDE)]
    printed = subprocess.run(command, check=True, capture_output=True, text=True, cwd=ROOT, timeout=1100).stdout
    reference, *runs = [json.loads(line) for line in printed.splitlines()]
    check_reference(reference["after"])
    assert [bool(run["killed"]) for run in runs] == [True] * (len(runs) - 1) + [False]
    assert runs[-1]["step"] > 100
    assert [(run["step"], run["killed"]) for run in runs if run["after"] != reference["after"]] == []


FAULTS: dict[str, dict[str, Any]] = {
    "429": {"status": 429, "headers": {"retry-after": "1"}},
    "429 without a time": {"status": 429},
    "500": {"status": 500},
    "503 after it was applied": {"status": 503, "applied": True},
    "502 in HTML": {"kind": "html", "status": 502},
    "a broken answer after it was applied": {"kind": "truncated", "applied": True},
    "no answer": {"kind": "hang", "delay_s": 1.0},
    "no answer after it was applied": {"kind": "hang", "delay_s": 1.0, "applied": True},
    "another answer": {"kind": "json", "status": 200, "document": ["what"]},
    "an expired token": {"kind": "expired"},
}
OPERATIONS = ("x.timeline", "x.mentions", "x.create_tweet", "google.token", "sheets.append", "sheets.batch_get")


@pytest.fixture(scope="module")
def reference(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    with SandboxServer(enforce_limits=False) as sandbox:
        return outcome(tmp_path_factory.mktemp("reference"), sandbox)[0]


@pytest.fixture
def sandbox() -> Iterator[SandboxServer]:
    with SandboxServer(enforce_limits=False) as server:
        yield server


def outcome(
    folder: Path, sandbox: SandboxServer, *, renew: bool = False, editing: Mapping[str, Any] | None = None
) -> tuple[dict[str, Any], list[Summary]]:
    """Run passes until one is idle and without problems; `editing` is a fault of the edit of the sheet's rows."""
    people_post(sandbox.control)
    settings = bot_settings(folder, sandbox.settings, timeout_s=0.5)
    summaries: list[Summary] = []
    while len(summaries) < 4 or not (summaries[-1].is_idle and not summaries[-1].problems):
        assert len(summaries) < 12, summaries[-1].problems
        summaries.append(one_pass(settings, sandbox.control, CountedCommentary(Countdown(0))))
        if renew:
            sandbox.control.renew()
        with SqliteStore(settings.database) as store:
            if editing is not None and any(row.verdict is not None and row.verdict.who == "bo" for row in store.rows()):
                sandbox.control.fail("sheets.batch_update", **editing)
                editing = None
            # `tests/bot/services/test_schedule.py` waits as long as a service asks for; this test does not.
            for pause in store.pauses():
                store.set_pause(pause.part, None)
    return contents(settings, sandbox.control), summaries


@pytest.mark.parametrize("fault", FAULTS)
def test_whatever_goes_wrong_out_there_everything_is_done_once(
    fault: str, sandbox: SandboxServer, tmp_path: Path, reference: dict[str, Any]
) -> None:
    check_reference(reference)
    for operation in OPERATIONS:
        sandbox.control.fail(operation, **FAULTS[fault])
    found, summaries = outcome(
        tmp_path / "workspace", sandbox, renew=fault == "an expired token", editing=FAULTS[fault]
    )
    assert sandbox.control.faults_waiting() == 0
    assert sum(len(summary.problems) for summary in summaries) >= 3
    assert found == reference


def test_once_in_the_sandbox_goes_from_a_timeline_to_posts(gateway: Any, tmp_path: Path) -> None:
    """The command as people type it, with samples over the gateway's protocol and genres over Spotify's."""
    command = [sys.executable, "-m", "deephypebot", "bot", "once", "--sandbox", "--target", gateway.target]
    with collecting() as collector:
        done = subprocess.run(
            [*command, "--workspace", str(tmp_path)],
            check=False,
            capture_output=True,
            text=True,
            timeout=120,
            env={**os.environ, "OTEL_EXPORTER_OTLP_ENDPOINT": collector.url},
        )
    assert done.returncode == 0, done.stderr
    assert collector.events == [], "verdicts that nobody gave"
    assert "read 7 new source posts" in done.stderr
    assert "a curator accepts" in done.stderr
    posted = [line for line in done.stdout.splitlines() if line.startswith("posted: ")]
    assert len(posted) >= 6
    assert sum("in reply to" in line for line in posted) == 1
    with SqliteStore(tmp_path / "sandbox" / "bot.db") as store:
        state = store.state()
        rows = list(store.rows())
    assert state.posts[OutgoingPostStatus.SENT] == len(posted)
    assert state.source_posts[SourcePostStatus.PENDING] == 0
    assert {"spotify", "last.fm"} <= {row.candidate.report.origin for row in rows}
    assert {row.verdict.who for row in rows if row.verdict is not None} == {"sandbox curator"}
    assert {row.source_post.kind for row in rows} == {Kind.TIMELINE, Kind.MENTION}
    command = [sys.executable, "-m", "deephypebot", "bot", "status", "--target", gateway.target]
    shown = subprocess.run(
        [*command, "--workspace", str(tmp_path / "sandbox")],
        check=True,
        capture_output=True,
        text=True,
        env={**os.environ, "COLUMNS": "160"},
    ).stdout
    assert f"{len(posted)} sent" in shown
    assert f"this month    {len(posted)} x post, 8 x read: about $0." in shown
    assert f"lcgan/3: 100% (68-100) of {len(posted)} accepted" in shown
    assert "answers" in shown
    assert len(shown.splitlines()) <= 24  # one screen


def test_told_to_stop_while_a_write_hangs_it_ends_within_5_seconds_and_the_next_one_looks(
    gateway: Any, sandbox: SandboxServer, tmp_path: Path
) -> None:
    people_post(sandbox.control)
    sandbox.control.fail("sheets.append", kind="hold", applied=True)
    config = write_config(tmp_path / "bot.toml", bot_settings(tmp_path / "workspace", sandbox.settings))
    command = [sys.executable, "-m", "deephypebot", "bot", "run", "--config", str(config), "--target", gateway.target]
    command += ["--workspace", str(tmp_path / "workspace")]
    with subprocess.Popen(command, stderr=subprocess.PIPE, text=True) as process:
        assert sandbox.control.wait_for_hold()["operation"] == "sheets.append"
        started = time.monotonic()
        process.send_signal(signal.SIGTERM)
        process.communicate(timeout=20)
    assert time.monotonic() - started < 5.5  # with some time for the machine itself
    assert process.returncode == 0
    command[command.index("run")] = "once"
    done = subprocess.run(command, check=False, capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr
    rows = sandbox.control.sheet(TAB)[1:]
    assert len(rows) == len({row[0] for row in rows}) == 15
    assert len(sandbox.control.calls("sheets.append")) == 1


def test_check_tries_every_credential_and_names_what_is_missing(
    gateway: Any, sandbox: SandboxServer, tmp_path: Path
) -> None:
    settings = bot_settings(tmp_path / "workspace", sandbox.settings)
    config = write_config(tmp_path / "bot.toml", settings)
    command = [sys.executable, "-m", "deephypebot", "bot", "check", "--config", str(config), "--target", gateway.target]
    environment = {**os.environ, "COLUMNS": "200"}
    done = subprocess.run(command, check=False, capture_output=True, text=True, timeout=60, env=environment)
    assert done.returncode == 0, done.stderr + done.stdout
    status = {line.split()[0]: line.split()[1] for line in done.stdout.splitlines() if line[:1].isalpha()}
    assert status.items() >= {"x": "works", "sheet": "works", "posting": "works", "gateway": "works"}.items()
    assert status["spotify"] == status["bluesky"] == "off"
    assert "@sandboxbot" in done.stdout
    assert sandbox.control.posted() == []
    assert sandbox.control.sheet() in ([], [[]])
    token = settings.x.access_token
    assert token is not None
    wrong = token.get_secret_value()[:-4] + "beef"
    config.write_text(
        config.read_text().replace(token.get_secret_value(), wrong) + '\n[bluesky]\nhandle = "bot.example.org"\n'
    )
    done = subprocess.run(command, check=False, capture_output=True, text=True, timeout=60, env=environment)
    assert done.returncode == 1
    assert "DEEPHYPEBOT_BLUESKY__APP_PASSWORD" in done.stdout
    assert "X answered 401" in done.stdout
    assert "error: x, bluesky, posting: see above" in done.stderr
    assert wrong not in done.stdout + done.stderr


MEASURED = """
import sys
from bot.entrypoints.cli import app_bot
app_bot(standalone_mode=False)
# Not getrusage: its peak begins with that of the process that started this one.
status = dict(line.split(":", 1) for line in open("/proc/self/status"))
print(int(status["VmHWM"].split()[0]) // 1024)
"""


SERVICES = ("spotify", "lastfm", "musicbrainz", "sheet")


@pytest.mark.skipif(sys.platform != "linux", reason="a process's memory is read from /proc")
@pytest.mark.parametrize(
    ("accounts", "candidates", "on_board", "most_mib"),
    [
        ((), 25, 0, 80),
        (("x",), 15, 0, 90),
        (("mastodon",), 5, 0, 95),
        (("bluesky",), 5, 0, 120),
        (("x", *SERVICES), 15, 15, 110),
        (("x", *SERVICES, "bluesky", "mastodon"), 25, 20, 140),
    ],
    ids=["nothing", "x", "mastodon", "bluesky", "x and services", "all"],
)
def test_memory_stays_bounded(
    gateway: Any,
    sandbox: SandboxServer,
    feed_path: Path,
    tmp_path: Path,
    *,
    accounts: tuple[str, ...],
    candidates: int,
    on_board: int,
    most_mib: int,
) -> None:
    """Measure the peak memory of a pass; `-rP` shows it."""
    people_post(sandbox.control)
    for network in ("bluesky", "mastodon"):
        sandbox.control.add_posts([{"text": "“Fern” by Mica Dunn", "author": "radio"}], network)
    settings = with_all_accounts(bot_settings(tmp_path / "workspace", sandbox.settings), sandbox.settings)
    config = write_config(tmp_path / "bot.toml", settings, accounts)
    command = [sys.executable, "-c", MEASURED, "once", "--config", str(config), "--target", gateway.target]
    command += ["--workspace", str(tmp_path / "workspace"), *([] if accounts else ["--feed", str(feed_path)])]
    done = subprocess.run(command, check=False, capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr
    assert f"{candidates} candidates" in done.stderr
    assert (f"{on_board} put on the board" in done.stderr) == bool(on_board)
    assert bool(sandbox.control.calls("spotify.search")) == ("spotify" in accounts)
    sys.stdout.write(f"{', '.join(accounts) or 'nothing'}: {done.stdout.strip()} MiB\n")
    assert int(done.stdout) < most_mib
