"""What may be posted is one rule in the terminal too: nothing else is accepted, and the reason is said."""

from __future__ import annotations

from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from bot.adapters.sqlite.store import SqliteStore
from bot.domain.candidates import CandidateStatus, Flag
from bot.domain.errors import InputError, SettingsError, UnknownCandidateError
from bot.domain.source_posts import SourcePost
from bot.entrypoints.queue_cli import app_queue
from tests.bot.helpers.flag_cases import FLAGGED, RIGHT, UNFLAGGED
from tests.bot.helpers.studio_world import accept, add_song

LONG = "long " * 70
FINE, TOO_LONG, BLOCKED, HIDDEN = "1.1.1", "1.1.2", "1.1.3", "1.1.4"


@pytest.fixture(autouse=True)
def _alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """No settings of the folder in which the tests run."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "deephypebot.toml").write_text('[screen]\nslurs = "words.txt"\n')
    (tmp_path / "words.txt").write_text("zorble\n")


@pytest.fixture
def workspace(store: SqliteStore, database: Path) -> Path:
    texts = ["A slow lamp.", LONG.strip(), "What a zorble.", "A slow\N{ZERO WIDTH SPACE} lamp."]
    add_song(store, SourcePost(id="1", text="Slow Lamp by Ona Vell"), texts)
    return database.parent


def run(*arguments: object) -> Result:
    result = CliRunner(env={"COLUMNS": "200"}).invoke(app_queue, [str(argument) for argument in arguments])
    if result.exception is not None and not isinstance(result.exception, SystemExit):
        raise result.exception
    return result


def statuses(store: SqliteStore) -> str:
    return "".join(row.candidate.status[0] for row in store.rows())


@pytest.mark.parametrize(
    ("name", "reason"),
    [
        (TOO_LONG, "the post is too long, 371 of 280 characters of X: edit it first"),
        (BLOCKED, "the text contains 'zorble', which is never posted: edit it first"),
        (HIDDEN, r"the text has the hidden character U\+200B ZERO WIDTH SPACE behind .*: take it out first"),
    ],
)
def test_a_sample_that_may_not_be_posted_is_not_accepted_and_the_way_out_is_named(
    workspace: Path, store: SqliteStore, name: str, reason: str
) -> None:
    with pytest.raises(InputError, match=rf"{name} is not accepted: {reason}; .*queue accept {name} --edit"):
        run("accept", name, "--workspace", workspace)
    assert statuses(store) == "wwww"
    run("accept", name, "--edit", "A tidy lamp.", "--workspace", workspace)
    assert [row.text for row in store.rows(status=CandidateStatus.ACCEPTED)] == ["A tidy lamp."]


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        (LONG, "too long"),
        ("z0rble \N{EM DASH} what a ZORBLE", "never posted"),
        ("a\x07b", r"U\+0007"),
        ("a\x1b[31mb", r"U\+001B"),
        ("a\udc80b", r"U\+DC80"),
        ("a\N{RIGHT-TO-LEFT OVERRIDE}b", r"U\+202E"),
        (" \t\n", "--edit needs a text"),
    ],
)
def test_a_text_that_may_not_be_posted_is_not_stored(
    workspace: Path, store: SqliteStore, text: str, reason: str
) -> None:
    with pytest.raises(InputError, match=reason):
        run("accept", FINE, "--edit", text, "--workspace", workspace)
    assert statuses(store) == "wwww"


def test_a_text_that_was_pasted_is_stored_as_the_studio_stores_it(workspace: Path, store: SqliteStore) -> None:
    run("accept", FINE, "--edit", " A slow\tlamp,\r\nand a sea. ", "--workspace", workspace)
    assert [row.text for row in store.rows(limit=1)] == ["A slow lamp,\nand a sea."]


def test_of_several_those_that_may_be_posted_are_accepted_and_both_kinds_are_named(
    workspace: Path, store: SqliteStore
) -> None:
    add_song(store, SourcePost(id="2", text="Moss by Ona Vell"), ["A sea."])
    runner = CliRunner()
    result = runner.invoke(app_queue, ["accept", TOO_LONG, FINE, BLOCKED, "2.1.1", FINE, "--workspace", str(workspace)])
    assert "accepted: 1.1.1, 2.1.1 (by" in result.output
    assert str(result.exception).startswith("1.1.2 is not accepted: the post is too long")
    assert "; 1.1.3 is not accepted: the text contains" in str(result.exception)
    assert statuses(store) == "awwwa"


def test_an_id_that_is_none_changes_nothing(workspace: Path, store: SqliteStore) -> None:
    with pytest.raises(UnknownCandidateError, match=r"no candidate has the id 9\.9\.9; nothing was changed"):
        run("accept", FINE, "9.9.9", "--workspace", workspace)
    assert statuses(store) == "wwww"


def test_a_sample_is_accepted_as_it_is_after_an_edit_that_was_accepted_before(
    workspace: Path, store: SqliteStore
) -> None:
    accept(store, TOO_LONG, text="A tidy lamp.")
    with pytest.raises(InputError, match="too long"):
        run("accept", TOO_LONG, "--workspace", workspace)
    accept(store, FINE, text="Another lamp.")
    run("accept", FINE, "--workspace", workspace)
    assert [row.text for row in store.rows(limit=2)] == ["A slow lamp.", "A tidy lamp."]


def test_the_rules_are_those_of_the_settings(workspace: Path, store: SqliteStore, tmp_path: Path) -> None:
    config = tmp_path / "other.toml"
    config.write_text(f'workspace = "{workspace}"\n[post]\nto = "mastodon"\n')
    run("accept", TOO_LONG, BLOCKED, "--config", config)
    assert statuses(store) == "waaw"
    run("undo", TOO_LONG, "--config", config)
    run("reject", BLOCKED, "--config", config)
    assert statuses(store) == "wwrw"
    config.write_text('[post]\ntemplate = "{text} {nothing}"\n')
    with pytest.raises(SettingsError, match=r"unknown field \{nothing\}"):
        run("accept", FINE, "--config", config, "--workspace", workspace)


def test_the_list_says_why_a_candidate_that_waits_cannot_be_accepted(workspace: Path, store: SqliteStore) -> None:
    listed = run("list", "--workspace", workspace).stdout
    assert "the post is too long, 371 of 280 characters of X: edit it first" in listed
    assert listed.count("first") == 3
    accept(store, TOO_LONG, text="A tidy lamp.")
    assert "too long" not in run("list", "--workspace", workspace).stdout


def test_a_candidate_is_shown_with_the_post_that_will_be_sent(workspace: Path, store: SqliteStore) -> None:
    assert run("show", FINE, "--workspace", workspace).stdout.splitlines() == [
        "1.1.1 waiting",
        "song: Ona Vell - Slow Lamp",
        "genres: dream pop",
        "post: Ona Vell – Slow Lamp: A slow lamp.",
        "length: 34 of 280 characters of X",
    ]
    accept(store, FINE, text="A lamp,\nslow, by @ona #slow.")
    shown = run("show", FINE, BLOCKED, "--workspace", workspace).stdout.splitlines()
    assert shown[0] == "1.1.1 accepted by jo"
    assert shown[3:8] == [
        "version: lcgan/3",
        "post: Ona Vell – Slow Lamp: A lamp,",
        "slow, by @ona #slow.",
        "length: 50 of 280 characters of X",
        "flags: mention, hashtag",
    ]
    assert shown[-2:] == [
        "flags: blocked",
        "not accepted as it is: the text contains 'zorble', which is never posted: edit it first",
    ]
    with pytest.raises(UnknownCandidateError):
        run("show", "9.9.9", "--workspace", workspace)


@pytest.mark.parametrize("flag", FLAGGED)
def test_flags_of_the_post_are_shown_with_it_and_only_what_bars_it_keeps_it_back(
    store: SqliteStore, database: Path, flag: Flag
) -> None:
    texts = [text for text in FLAGGED[flag] if "\ud800" not in text]  # half of a surrogate pair cannot be stored
    flagged = add_song(store, SourcePost(id="1", text="Moss"), texts, title="Moss")
    others = add_song(store, SourcePost(id="2", text="Moss"), [*UNFLAGGED[flag], RIGHT], title="Moss")
    shown = run("show", *flagged, *others, "--workspace", database.parent).stdout.split("\n\n")
    lines = [next((line for line in each.split("\n") if line.startswith("flags: ")), "") for each in shown]
    has_flag = [flag.value in line.removeprefix("flags: ").split(", ") for line in lines]
    assert has_flag == [True] * len(flagged) + [False] * len(others)
    if flag in {Flag.HIDDEN, Flag.TOO_LONG}:
        with pytest.raises(InputError, match="first"):
            run("accept", *flagged, "--workspace", database.parent)
        assert set(statuses(store)) == {"w"}
    else:
        run("accept", *flagged, "--workspace", database.parent)
        assert statuses(store).startswith("a" * len(flagged))


def test_a_post_of_several_lines_is_one_line_of_the_list(workspace: Path, store: SqliteStore) -> None:
    accept(store, FINE, text="A lamp,\n\nand a sea.")
    assert "A lamp, ↵ and a sea." in run("list", "--workspace", workspace).stdout
