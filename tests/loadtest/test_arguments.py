import argparse
from collections.abc import Sequence
from pathlib import Path

import configargparse  # type: ignore[import-untyped]  # locust's parser; it has no types
import pytest

from loadtest.arguments import DEFAULT_GENRES, add_arguments, plan_from, read_genres
from loadtest.plans import SpikePlan, StepPlan


def parse(*arguments: str) -> argparse.Namespace:
    parser = configargparse.ArgumentParser()
    add_arguments(parser)
    options = parser.parse_args(list(arguments))
    assert isinstance(options, argparse.Namespace)
    return options


def test_without_options_locust_sets_the_users() -> None:
    assert plan_from(parse()) is None


def test_the_options_of_a_shape_make_its_plan() -> None:
    step = parse("--shape", "step", "--step-users", "2", "--step-time", "1.5", "--steps", "3")
    assert plan_from(step) == StepPlan(users=2, seconds=1.5, steps=3)
    spike = parse(
        "--shape", "spike", "--calm-users", "1", "--spike-users", "7", "--calm-time", "2", "--spike-time", "3"
    )
    assert plan_from(spike) == SpikePlan(calm_users=1, spike_users=7, calm_seconds=2, spike_seconds=3)


def test_a_spike_that_is_none_is_refused() -> None:
    with pytest.raises(ValueError, match="spike_users"):
        plan_from(parse("--shape", "spike", "--calm-users", "9", "--spike-users", "3"))


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--num-samples", "0"], "between 1 and 64"),
        (["--num-samples", "65"], "between 1 and 64"),
        (["--num-samples", "five"], "five"),
        (["--deadline", "0"], "more than 0"),
        (["--deadline", "nan"], "got nan"),
        (["--user-rate", "-1"], "at least 0"),
        (["--user-rate", "fast"], "got fast"),
        (["--steps", "2.5"], "whole number"),
        (["--step-users", "0"], "above 0"),
        (["--shape", "cliff"], "cliff"),
        (["--genres-file", "no/such/file"], "no/such/file"),
    ],
)
def test_a_wrong_option_is_refused_with_its_value(
    arguments: Sequence[str], words: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit):
        parse(*arguments)
    assert words in capsys.readouterr().err


def test_the_pinned_version_may_come_from_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DEEPHYPEBOT_PINNED_VERSION", "12")
    assert parse().pinned_version == "12"
    assert parse("--pinned-version", "3").pinned_version == "3"


def test_a_text_file_holds_one_song_a_line(tmp_path: Path) -> None:
    path = tmp_path / "genres.txt"
    path.write_text("# asked on Fridays\ndream pop, shoegaze\n\nfree jazz\n", encoding="utf-8")
    assert read_genres(str(path)) == (("dream pop", "shoegaze"), ("free jazz",))


def test_a_json_file_holds_a_list_of_genres(tmp_path: Path) -> None:
    path = tmp_path / "genres.json"
    path.write_text('["dream pop", "música urbana"]', encoding="utf-8")
    assert read_genres(str(path)) == (("dream pop",), ("música urbana",))


def test_without_a_file_there_are_genres_all_the_same() -> None:
    assert read_genres("") == DEFAULT_GENRES


@pytest.mark.parametrize(
    ("name", "content", "words"),
    [
        ("g.txt", "", "no genres"),
        ("g.txt", "# nothing but this\n", "no genres"),
        ("g.txt", "x" * 201, "200 characters"),
        ("g.json", "{", "cannot read"),
        ("g.json", '{"a": 1}', "one list of strings"),
        ("g.json", "[1]", "one list of strings"),
        ("g.json", "[]", "no genres"),
    ],
)
def test_a_useless_genres_file_is_refused(tmp_path: Path, name: str, content: str, words: str) -> None:
    path = tmp_path / name
    path.write_text(content, encoding="utf-8")
    with pytest.raises(ValueError, match=words):
        read_genres(str(path))
