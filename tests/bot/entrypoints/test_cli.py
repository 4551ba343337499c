"""The commands `bot` and `queue`."""

from __future__ import annotations

import csv
import inspect
import io
import json
import os
import signal
import stat
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console
from rich.table import Table
from typer.testing import CliRunner, Result

from bot.adapters.files.export import neutral
from bot.adapters.sqlite.store import SqliteStore
from bot.domain.candidates import CandidateStatus
from bot.domain.errors import BotError, CatalogError, InputError, NoServiceError, StoreError
from bot.entrypoints.cli import app_bot
from bot.entrypoints.display import queue_table
from bot.entrypoints.queue_cli import app_queue
from bot.settings import BotSettings
from foundation.defaults import DEFAULT_MODEL, GATEWAY_TARGET
from foundation.terminal import show
from serving import client


@pytest.fixture
def workspace(database: Path) -> Path:
    return database.parent


def invoke(app: Any, *arguments: object, stdin: str | None = None) -> Result:
    """Run a command; an error of the bot passes through, as to the root command."""
    result = CliRunner(env={"COLUMNS": "160"}).invoke(app, [str(argument) for argument in arguments], input=stdin)
    if result.exception is not None and not isinstance(result.exception, SystemExit):
        raise result.exception
    return result


@pytest.fixture
def filled(gateway: Any, feed_path: Path, catalog_path: Path, workspace: Path) -> Path:
    """A workspace with a filled queue."""
    once(feed_path, catalog_path, workspace, gateway.target)
    return workspace


def once(feed: Path, catalog: Path, workspace: Path, target: str, *more: str) -> Result:
    options = ("--feed", feed, "--catalog", catalog, "--workspace", workspace, "--target", target, *more)
    return invoke(app_bot, "once", *options)


def test_once_fills_the_queue_and_says_what_it_did(
    gateway: Any, feed_path: Path, catalog_path: Path, workspace: Path
) -> None:
    result = once(feed_path, catalog_path, workspace, gateway.target, "--num-samples", "2")
    assert "read 4 new source posts" in result.stderr
    assert "10 candidates for 5 songs (1 of unknown genre), 1 source post without a song" in result.stderr
    assert "read 0 new source posts" in once(feed_path, catalog_path, workspace, gateway.target).stderr


def test_once_says_that_the_server_is_down_and_that_nothing_is_lost(
    gateway: Any, feed_path: Path, catalog_path: Path, workspace: Path
) -> None:
    gateway.stop()
    with pytest.raises(NoServiceError, match=rf"{gateway.target}.*source posts stay pending"):
        once(feed_path, catalog_path, workspace, gateway.target)
    gateway.start()
    assert "25 candidates" in once(feed_path, catalog_path, workspace, gateway.target).stderr


def test_files_that_are_missing_or_of_another_kind_are_named(
    gateway: Any, feed_path: Path, catalog_path: Path, workspace: Path
) -> None:
    with pytest.raises(BotError, match=r"none\.jsonl does not exist"):
        once(feed_path.with_name("none.jsonl"), catalog_path, workspace, gateway.target)
    with pytest.raises(CatalogError, match=r"none\.jsonl does not exist"):
        once(feed_path, catalog_path.with_name("none.jsonl"), workspace, gateway.target)
    with pytest.raises(BotError, match="line 1: lacks 'id' and 'text'; found the keys 'artist', 'genres'"):
        once(catalog_path, catalog_path, workspace, gateway.target)
    with pytest.raises(InputError, match="does not exist"):
        invoke(app_bot, "run", "--feed", feed_path.with_name("none.jsonl"), "--workspace", workspace)
    with pytest.raises(InputError, match=r"--num-samples: .*equal to 1, got 0"):
        once(feed_path, catalog_path, workspace, gateway.target, "--num-samples", "0")


def test_an_empty_feed_is_pointed_out(gateway: Any, feed_path: Path, catalog_path: Path, workspace: Path) -> None:
    feed_path.write_text("")
    assert "is empty" in once(feed_path, catalog_path, workspace, gateway.target).stderr


def test_failed_source_posts_can_be_tried_again(
    gateway: Any, feed_path: Path, catalog_path: Path, workspace: Path
) -> None:
    catalog = catalog_path.read_text()
    catalog_path.write_text(catalog.replace("surf rock", "x" * 300))
    assert "1 failed" in once(feed_path, catalog_path, workspace, gateway.target).stderr
    catalog_path.write_text(catalog)
    result = once(feed_path, catalog_path, workspace, gateway.target, "--retry-failed")
    assert "1 failed source posts are pending again" in result.stderr
    assert "5 candidates for 1 song" in result.stderr


def test_status_fits_a_screen_and_says_whether_the_gateway_answers(filled: Path, gateway: Any, feed_path: Path) -> None:
    result = invoke(app_bot, "status", "--workspace", filled, "--target", gateway.target)
    assert len(result.stdout.splitlines()) < 24
    flat = " ".join(result.stdout.split())
    for expected in (
        feed_path.name,
        "line 4, byte",
        "0 pending, 3 done, 1 no song, 0 failed",
        "25 waiting",
        f"{gateway.target} answers",
    ):
        assert expected in flat
    gateway.stop()
    down = invoke(app_bot, "status", "--workspace", filled, "--target", gateway.target)
    assert "does not answer" in down.stdout


def test_commands_on_a_workspace_without_a_bot_say_so(workspace: Path) -> None:
    for app, command in ((app_bot, "status"), (app_queue, "list"), (app_queue, "export")):
        with pytest.raises(StoreError, match=r"no bot has run in .*--workspace"):
            invoke(app, command, "--workspace", workspace)


def test_parse_adds_songs_to_each_line() -> None:
    lines: list[dict[str, object]] = [
        {"id": 7, "text": "Listen to Ona Vell’s “Moss” [ft. Tor Brisk]"},
        {"text": "nothing \ud800"},
    ]
    result = invoke(app_bot, "parse", stdin="".join(json.dumps(line) + "\n" for line in lines))
    first, second = map(json.loads, result.stdout.splitlines())
    song = {"artists": ["Ona Vell"], "title": "Moss", "featured": ["Tor Brisk"], "version": None, "confidence": 0.9}
    assert first == {**lines[0], "songs": [song]}
    assert second["songs"] == []


def test_parse_knows_the_artists_of_a_catalog(tmp_path: Path) -> None:
    catalog = tmp_path / "catalog.jsonl"
    catalog.write_text('{"artist": "Ona Vell", "genres": []}', encoding="utf-8")
    result = invoke(app_bot, "parse", "--catalog", str(catalog), stdin='{"text": "Slow Lamp - Ona Vell"}\n')
    (song,) = json.loads(result.stdout)["songs"]
    assert (song["artists"], song["title"], song["confidence"]) == (["Ona Vell"], "Slow Lamp", 0.85)


@pytest.mark.parametrize(
    ("stdin", "message"),
    [
        ("{}\n", "line 1: needs an object with a string 'text', found "),
        ('{"text": "a"}\n\n[1]\n', "line 3: .*found list"),
        ("{\n", "line 1: not valid JSON"),
    ],
)
def test_parse_names_the_line_that_it_cannot_read(stdin: str, message: str) -> None:
    with pytest.raises(InputError, match=message):
        invoke(app_bot, "parse", stdin=stdin)


def test_the_queue_is_listed_with_songs_genres_texts_versions_and_status(filled: Path) -> None:
    result = invoke(app_queue, "list", "--workspace", filled)
    for expected in ("25 of 25", "Slow Lamp", "dream pop", "unknown", "lcgan/3", "waiting", "101.1.1", "take 5"):
        assert expected in result.stdout
    assert "2 of 25" in invoke(app_queue, "list", "--workspace", filled, "--limit", "2").stdout


@pytest.mark.parametrize(("width", "terminal"), [(60, True), (80, True), (120, True), (160, True), (80, False)])
def test_no_value_of_the_queue_is_cut_at_any_width(filled: Path, width: int, terminal: bool) -> None:
    file = io.StringIO()
    with SqliteStore(filled / "bot.db") as store:
        rows = list(store.rows())
        console = Console(file=file, width=width, force_terminal=terminal, color_system=None)
        show(queue_table(rows, song_in_each=not terminal), console=console)
    lines = file.getvalue().splitlines()
    words = set(file.getvalue().replace("│", " ").split())
    for row in rows:
        report = row.candidate.report
        for value in (row.candidate.id, report.song.title, report.artist, row.text, row.candidate.status, "lcgan/3"):
            assert set(value.split()) <= words
    if terminal:
        assert max(map(len, lines)) <= width
    else:
        assert lines[1].split() == ["id", "song", "genres", "candidate", "version", "status"]
        assert all("Slow Lamp / Ona Vell" in line for line in lines if line.startswith("101.1."))
        assert len(lines) == 2 + len(rows)


def test_long_ids_of_networks_are_copied_whole() -> None:
    uri = "at://did:plc:ewvi7nxzyoun6zhxrhs64oiz/app.bsky.feed.post/3l6oveex3ii2l.1.1"
    table = Table("id", "candidate")
    table.add_row(uri, "a slow lamp")
    file = io.StringIO()
    show(table, console=Console(file=file, width=60, force_terminal=True, color_system=None))
    assert file.getvalue().splitlines()[0] == uri


@pytest.mark.parametrize("encoding", ["ascii", "latin-1"])
def test_an_output_that_lacks_characters_gets_them_escaped(filled: Path, encoding: str) -> None:
    with SqliteStore(filled / "bot.db") as store:
        store._connection.execute("UPDATE candidate SET sample = json_set(sample, '$.text', 'Fünf – 夜')")
    environment = {**os.environ, "PYTHONIOENCODING": encoding}
    for command in ("list", "list --json", "export", "export --format jsonl"):
        arguments = [sys.executable, "-m", "deephypebot", "queue", *command.split(), "--workspace", str(filled)]
        done = subprocess.run(arguments, env=environment, capture_output=True, check=False)
        assert (done.returncode, b"Traceback" in done.stderr) == (0, False), done.stderr
        shown = done.stdout.decode(encoding)
        assert ("F\\u00fcnf" if encoding == "ascii" else "Fünf") in shown
        if "json" in command:
            assert json.loads(shown.splitlines()[0])["text"] == "Fünf – 夜"


@pytest.mark.parametrize(("of_the_folder", "of_the_files"), [(0o700, 0o600), (0o755, 0o600), (0o2770, 0o660)])
def test_a_new_database_is_its_owners_and_its_groups_where_the_folder_is(
    of_the_folder: int, of_the_files: int, tmp_path: Path
) -> None:
    folder = tmp_path / "workspace"
    folder.mkdir()
    folder.chmod(of_the_folder)
    before = os.umask(0o007)  # as in the units of deploy/
    try:
        with SqliteStore(folder / "bot.db"):
            modes = {each.name: stat.S_IMODE(each.stat().st_mode) for each in folder.glob("bot.db*")}
    finally:
        os.umask(before)
    assert modes.pop("bot.db.lock") == 0o660  # it is empty
    assert modes == dict.fromkeys(("bot.db", "bot.db-shm", "bot.db-wal"), of_the_files)


def test_permissions_that_somebody_gave_stay(filled: Path) -> None:
    database = filled / "bot.db"
    database.chmod(0o640)
    SqliteStore(database).close()
    assert stat.S_IMODE(database.stat().st_mode) == 0o640


def test_what_came_from_outside_is_shown_and_never_obeyed(filled: Path) -> None:
    with SqliteStore(filled / "bot.db") as store:
        connection = store._connection
        sample = json.dumps({"text": "[red]x[/red] \x1b[2J", "token_count": 1, "log_prob": 0, "topics": [], "seed": 1})
        connection.execute("UPDATE candidate SET sample = ?", (sample,))
        console = Console(record=True, width=160, file=open(os.devnull, "w"))  # noqa: SIM115, PTH123 -- closed below
        console.print(queue_table(store.rows(limit=1)))
        console.file.close()
    text = console.export_text()
    assert "[red]x[/red] \N{REPLACEMENT CHARACTER}[2J" in text
    assert "\x1b" not in text


def test_json_lists_one_object_a_candidate(filled: Path) -> None:
    result = invoke(app_queue, "list", "--workspace", filled, "--json", "--limit", "3")
    rows = [json.loads(line) for line in result.stdout.splitlines()]
    assert len(rows) == 3
    assert {"candidate_id", "artist", "title", "genres", "text", "model_version", "status"} <= set(rows[0])


def test_verdicts_are_given_by_id_with_who_and_an_edited_text(filled: Path) -> None:
    options = ("--workspace", filled, "--who", "ana")
    invoke(app_queue, "accept", "101.1.2", "--edit", "A slower lamp.", *options)
    invoke(app_queue, "accept", "101.1.3", "101.1.4", *options)
    invoke(app_queue, "reject", "101.1.1", "101.1.1", *options)
    with SqliteStore(filled / "bot.db") as store:
        rows = {row.candidate.id: row for row in store.rows()}
    verdict = rows["101.1.2"].verdict
    assert verdict is not None
    assert (verdict.who, rows["101.1.2"].text) == ("ana", "A slower lamp.")
    assert [rows[f"101.1.{number}"].candidate.status.value for number in range(1, 6)] == [
        *("rejected", "accepted", "accepted", "accepted", "waiting")
    ]
    assert "1 of 1" in invoke(app_queue, "list", "--workspace", filled, "--status", "rejected").stdout


def test_a_verdict_that_makes_no_sense_is_refused(filled: Path) -> None:
    with pytest.raises(InputError, match="one candidate's text, got 2 ids"):
        invoke(app_queue, "accept", "101.1.2", "101.1.3", "--edit", "x", "--workspace", filled)
    with pytest.raises(InputError, match="needs a text"):
        invoke(app_queue, "accept", "101.1.2", "--edit", " ", "--workspace", filled)
    with pytest.raises(StoreError, match="77; nothing was changed"):
        invoke(app_queue, "reject", "101.1.2", "77", "--workspace", filled)
    with SqliteStore(filled / "bot.db") as store:
        assert store.state().candidates[CandidateStatus.WAITING] == 25


def test_csv_holds_no_formula(filled: Path, tmp_path: Path) -> None:
    invoke(app_queue, "accept", "101.1.2", "--edit", '=HYPERLINK("x","y")', "--workspace", filled, "--who", "+ana")
    out = tmp_path / "queue.csv"
    result = invoke(app_queue, "export", "--out", out, "--workspace", filled)
    assert "25 candidates written" in result.stderr
    with out.open(encoding="utf-8", newline="") as file:
        rows = {row["candidate_id"]: row for row in csv.DictReader(file)}
    assert len(rows) == 25
    assert rows["101.1.2"]["text"] == '\'=HYPERLINK("x","y")'
    assert rows["101.1.2"]["decided_by"] == "'+ana"
    assert rows["101.1.2"]["genres"] == "dream pop; slowcore"
    assert list(tmp_path.glob("*.partial")) == []


@pytest.mark.parametrize("start", ["=", "+", "-", "@", "\t", "\r", "\n", "  =", "＝"])
def test_every_start_of_a_formula_is_neutralised(start: str) -> None:
    assert neutral(f"{start}1") == f"'{start}1"
    assert neutral(f"a{start}1") == f"a{start}1"


def test_a_sample_that_was_cut_off_is_marked_until_it_is_edited(filled: Path) -> None:
    with SqliteStore(filled / "bot.db") as store:
        for candidate, reason in (("101.1.1", '"length"'), ("101.1.2", '"stop"'), ("101.1.3", "null")):
            store._connection.execute(
                "UPDATE candidate SET sample = json_set(sample, '$.finish_reason', json(?)) WHERE id = ?",
                (reason, candidate),
            )
    listed = invoke(app_queue, "list", "--workspace", filled, "--limit", "3").stdout
    assert listed.count("(cut off)") == 1
    exported = invoke(app_queue, "export", "--format", "jsonl", "--workspace", filled).stdout
    reasons = {row["candidate_id"]: row["finish_reason"] for row in map(json.loads, exported.splitlines())}
    assert [reasons[f"101.1.{number}"] for number in (1, 2, 3)] == ["length", "stop", None]
    invoke(app_queue, "accept", "101.1.1", "--edit", "A whole sentence.", "--workspace", filled)
    assert "(cut off)" not in invoke(app_queue, "list", "--workspace", filled, "--limit", "3").stdout


def test_jsonl_keeps_texts_as_they_are(filled: Path) -> None:
    invoke(app_queue, "accept", "101.1.2", "--edit", "=1+1", "--workspace", filled)
    result = invoke(app_queue, "export", "--format", "jsonl", "--status", "accepted", "--workspace", filled)
    (row,) = map(json.loads, result.stdout.splitlines())
    assert (row["text"], row["status"]) == ("=1+1", "accepted")


def test_an_export_that_cannot_be_written_says_so(filled: Path, tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"cannot be written: No such file or directory; .*--out"):
        invoke(app_queue, "export", "--out", tmp_path / "no" / "where.csv", "--workspace", filled)


@pytest.mark.parametrize(("app", "commands"), [(app_bot, 7), (app_queue, 8)])
def test_help_describes_every_command(app: Any, commands: int) -> None:
    names = [command.name or command.callback.__name__ for command in app.registered_commands]
    assert len(names) == commands
    for name in names:
        result = invoke(app, name, "--help")
        assert result.exit_code == 0
        assert "Example" in result.stdout


def test_the_defaults_are_the_clients(tmp_path: Path) -> None:
    defaults = inspect.signature(client.CommentaryClient).parameters
    assert (defaults["target"].default, defaults["model"].default) == (GATEWAY_TARGET, DEFAULT_MODEL)
    settings = BotSettings(workspace=tmp_path, feed=tmp_path / "feed.jsonl")
    assert (settings.target, settings.model, settings.num_samples) == (GATEWAY_TARGET, DEFAULT_MODEL, 5)


BOT = "from bot.entrypoints.cli import app_bot; app_bot()"


@pytest.mark.slow
@pytest.mark.parametrize("name", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_ends_run_within_5_seconds_and_loses_nothing(
    name: signal.Signals, gateway: Any, feed_path: Path, catalog_path: Path, database: Path
) -> None:
    gateway.fault = lambda _request, _context: gateway.released.wait(20)
    command = [sys.executable, "-c", BOT, "run", "--feed", str(feed_path), "--catalog", str(catalog_path)]
    command += ["--workspace", str(database.parent), "--target", gateway.target]
    with subprocess.Popen(command, stderr=subprocess.PIPE, text=True) as process:
        deadline = time.monotonic() + 30
        while len(gateway.requests) < 3 and time.monotonic() < deadline:
            time.sleep(0.02)
        started = time.monotonic()
        process.send_signal(name)
        _, stderr = process.communicate(timeout=20)
    assert time.monotonic() - started < 5
    assert (process.returncode, "stopped; nothing is lost" in stderr) == (0, True)
    with SqliteStore(database) as store:
        assert store.count_pending() == 3
        assert store.state().last_error is None


@pytest.mark.slow
def test_the_bot_runs_on_its_extra_alone_and_stays_small(
    gateway: Any, feed_path: Path, catalog_path: Path, database: Path
) -> None:
    program = """
import json, sys

class ExtraAlone:
    # As on a host that installed deephypebot[bot]: the extra's packages and their dependencies.
    installed = {
        "bot", "foundation", "handlers", "serving", "grpc", "google", "typer", "rich", "click", "shellingham",
        "annotated_doc", "typing_extensions", "pygments", "markdown_it", "mdurl", "pydantic", "pydantic_core",
        "annotated_types", "typing_inspection", "pydantic_settings", "dotenv", "structlog", "prometheus_client",
        "rapidfuzz", "regex", "safetype",
    }

    def find_spec(self, name, path=None, target=None):
        top = name.partition(".")[0]
        if not top.startswith("_") and top not in self.installed and top not in sys.stdlib_module_names:
            raise ModuleNotFoundError(f"No module named {name!r}", name=name)

sys.meta_path.insert(0, ExtraAlone())
from bot.entrypoints.cli import app_bot
light = sorted({name.partition(".")[0] for name in sys.modules})
app_bot(standalone_mode=False)
heavy = sorted({name.partition(".")[0] for name in sys.modules})
# Not getrusage: its peak begins with that of the process that started this one.
status = dict(line.split(":", 1) for line in open("/proc/self/status"))
json.dump([light, heavy, int(status["VmHWM"].split()[0]) // 1024], sys.stdout)
"""
    command = [sys.executable, "-c", program, "once", "--feed", str(feed_path), "--catalog", str(catalog_path)]
    command += ["--workspace", str(database.parent), "--target", gateway.target]
    done = subprocess.run(command, check=False, capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr
    light, heavy, peak_mib = json.loads(done.stdout)
    assert "25 candidates" in done.stderr
    assert not {"grpc", "google"} & set(light)
    assert not {"torch", "mlflow", "numpy", "pandas", "training", "loadtest"} & set(heavy)
    assert peak_mib < 120
