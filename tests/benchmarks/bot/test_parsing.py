"""The benchmark of the parser, on labels of our own."""

from __future__ import annotations

import gzip
import json
from pathlib import Path

import pytest
from typer.testing import CliRunner

from benchmarks.bot.cli import app_bench
from benchmarks.bot.parsing import read_labels, score
from bot.domain.errors import InputError
from foundation.result_line import ResultFileError


def label(text: str, *songs: tuple[list[str], str]) -> str:
    return json.dumps({"text": text, "songs": [{"artists": artists, "title": title} for artists, title in songs]})


def written(path: Path, *lines: str) -> Path:
    path.write_text("\n".join(lines), encoding="utf-8")
    return path


def test_found_missed_and_wrong_songs_are_counted(tmp_path: Path) -> None:
    labels = written(
        tmp_path / "labels.jsonl",
        label('"Moss" by Öna & Tor', (["Tor", "ona"], "MOSS!")),
        label('"Moss" by Ona Vell', (["Ona Vell"], "Tin Sea")),
        label("A grey morning."),
        label("Ona Vell - Moss (Tin Remix)", (["Ona Vell"], "Moss")),
        "",
    )
    result = score(read_labels(labels))
    figures = result.figures()
    assert (figures["texts"], figures["songs"]) == (4, 3)
    assert {name: (figures[name]["count"], figures[name]["total"]) for name in ("precision", "recall")} == {
        "precision": (2, 3),
        "recall": (2, 3),
    }
    assert figures["texts_exact"]["count"] == 3
    assert (figures["silent_where_no_song"]["count"], figures["silent_where_no_song"]["total"]) == (1, 1)
    (miss,) = result.misses
    assert [song.title for song in (*miss.wrong, *miss.missed)] == ["Moss", "Tin Sea"]


def test_a_line_separator_within_a_text_does_not_end_its_line(tmp_path: Path) -> None:
    line = json.dumps({"text": "A grey\u2028morning.", "songs": []}, ensure_ascii=False)
    assert score(read_labels(written(tmp_path / "labels.jsonl", line, line))).figures()["texts"] == 2


def test_a_version_may_stand_in_the_title_or_beside_it(tmp_path: Path) -> None:
    song = {"artists": ["Ona Vell"], "title": "Moss", "version": "Tin Remix"}
    lines = [
        json.dumps({"text": text, "songs": [song]})
        for text in ("Ona Vell - Moss (Tin Remix)", '"Moss (Tin Remix)" by Ona Vell')
    ]
    assert score(read_labels(written(tmp_path / "labels", *lines))).right == 2


def test_the_command_prints_its_figures_as_the_last_line(tmp_path: Path) -> None:
    labels = written(tmp_path / "labels.jsonl", label("Moss - Ona Vell", (["Ona Vell"], "Moss")), label("[rain] é\x07"))
    catalog = tmp_path / "catalog.jsonl.gz"
    catalog.write_bytes(gzip.compress(b'{"artist": "Ona Vell", "genres": ["tin pop"]}'))
    out = tmp_path / "out.json"
    done = CliRunner().invoke(
        app_bench,
        ["parse", "--labels", str(labels), "--catalog", str(catalog), "--json", str(out), "--show", "--quick"],
    )
    assert done.exit_code == 0, done.output
    document = json.loads(done.stdout.splitlines()[-1])
    assert document == json.loads(out.read_text())
    assert document["name"] == "bot parse"
    assert document["figures"]["with_a_catalog"]["recall"]["value"] == 1
    assert document["figures"]["rules_alone"]["recall"]["value"] == 0
    assert document["machine"]["cores"] >= 1


def test_what_differs_is_shown_on_three_lines_without_odd_characters(tmp_path: Path) -> None:
    labels = written(tmp_path / "labels.jsonl", label("Moss\nby the \x07 sea - Ona Vell", (["Ona Vell"], "Moss")))
    done = CliRunner().invoke(app_bench, ["parse", "--labels", str(labels), "--show"])
    shown = [line.rstrip() for line in done.stderr.splitlines()[-3:]]
    assert shown[0] == "Moss / by the \N{REPLACEMENT CHARACTER} sea - Ona Vell"
    assert shown[1].startswith("    found:    ")
    assert shown[2] == "    labelled: Ona Vell - Moss (1)"


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("", "are empty"),
        ("{}", "line 1: KeyError"),
        ('\n{"text": 3, "songs": []}', "line 2: TypeError"),
        ('{"text": "", "songs": [{"artists": ["Ona"], "title": 4}]}', "got 4"),
        ('{"text": "", "songs": [{"artists": "Ona", "title": "Moss"}]}', "got 'Ona'"),
        ('{"text": "", "songs": 5}', "TypeError"),
        ("nonsense", "JSONDecodeError"),
    ],
)
def test_labels_of_another_kind_are_refused_by_line(tmp_path: Path, content: str, message: str) -> None:
    with pytest.raises(InputError, match=message):
        read_labels(written(tmp_path / "labels.jsonl", content))


def test_missing_labels_and_places_that_cannot_be_written_are_named(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"nowhere\.jsonl cannot be read"):
        read_labels(tmp_path / "nowhere.jsonl")
    labels = written(tmp_path / "labels.jsonl", label("x"))
    done = CliRunner().invoke(app_bench, ["parse", "--labels", str(labels), "--json", str(labels / "out.json")])
    assert isinstance(done.exception, ResultFileError)
    assert "--json" in str(done.exception)


def test_labels_may_be_one_list_that_says_what_is_expected(tmp_path: Path) -> None:
    path = tmp_path / "labels.json"
    path.write_text(
        '[\n {"text": "Moss", "expect": []},\n {"text": "Rye", "expect": [{"artists": ["A"], "title": "Rye"}]}\n]'
    )
    assert [(each.text, len(each.songs)) for each in read_labels(path)] == [("Moss", 0), ("Rye", 1)]
    path.write_text("[{]")
    with pytest.raises(InputError, match="line 1"):
        read_labels(path)
