"""Tables for wide terminals, narrow ones and pipes: no value is ever cut."""

from __future__ import annotations

import io

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rich.console import Console
from rich.table import Table
from rich.text import Text

from foundation.terminal import show

WORD = st.text(st.characters(codec="ascii", categories=["L", "N", "P"]), min_size=1, max_size=40)
VALUE = st.lists(WORD, max_size=12).map(" ".join)
ROWS = st.lists(st.tuples(VALUE, VALUE, VALUE), min_size=1, max_size=4)


def shown(*parts: Table | Text | str, width: int = 80, terminal: bool = True) -> str:
    file = io.StringIO()
    show(*parts, console=Console(file=file, width=width, force_terminal=terminal, color_system=None))
    return file.getvalue()


def table(*rows: tuple[str, ...], headings: tuple[str, ...] = ("version", "seed", "sentence")) -> Table:
    built = Table(*headings, title="Three of five")
    for row in rows:
        built.add_row(*map(Text, row))
    return built


SENTENCE = "Between glittering arpeggios and neon pads this slow tide keeps its own quiet time until the lamps go out."
ROW = ("lcgan/2", "2092789425003111222", SENTENCE)


@pytest.mark.parametrize("terminal", [True, False])
@given(rows=ROWS, width=st.integers(min_value=20, max_value=160))
def test_every_word_of_every_value_is_there_whole(terminal: bool, rows: list[tuple[str, ...]], width: int) -> None:
    lines = shown(table(*rows), width=width, terminal=terminal)
    words = "".join(character if character.isascii() else " " for character in lines).split()
    for row in rows:
        for value in row:
            assert set(value.split()) <= set(words)


def test_a_wide_terminal_shows_a_table_that_fits() -> None:
    lines = shown(table(ROW), width=120).splitlines()
    assert "┃ version ┃ seed" in lines[2]
    assert max(map(len, lines)) <= 120
    assert ROW[1] in "".join(lines)


@pytest.mark.parametrize(("width", "terminal"), [(120, True), (40, True), (80, False)])
def test_what_a_table_says_below_its_rows_is_below_them(width: int, terminal: bool) -> None:
    built = table(ROW)
    built.caption = "– what a dash means"
    assert shown(built, width=width, terminal=terminal).splitlines()[-1].strip() == "– what a dash means"


@pytest.mark.parametrize("width", [40, 60])
def test_a_narrow_terminal_shows_a_record_a_row(width: int) -> None:
    lines = shown(table(ROW, ("cvae/1", "7", "")), width=width).splitlines()
    assert lines[:3] == ["Three of five", "lcgan/2", f"  seed      {ROW[1]}"]
    assert lines[3].startswith("  sentence  Between glittering ")
    assert lines[-3:] == ["", "cvae/1", "  seed      7"]
    assert max(map(len, lines)) <= width


def test_a_program_behind_a_pipe_reads_one_line_a_row() -> None:
    lines = shown(table(ROW, ("cvae/1", "7", "One\nTwo")), width=40, terminal=False).splitlines()
    assert lines == [
        "Three of five",
        "version  seed                 sentence",
        f"lcgan/2  2092789425003111222  {SENTENCE}",
        "cvae/1   7                    One / Two",
    ]


def test_a_command_is_one_line_and_a_text_wraps_at_words() -> None:
    command = "deephypebot queue list --workspace /srv/a-folder-of-a-long-name/[workspace]"
    lines = shown(command, Text(SENTENCE), width=40).splitlines()
    assert lines[0] == command
    assert " ".join(line.strip() for line in lines[1:]) == SENTENCE
    assert len(lines) > 2
    assert shown(Text(SENTENCE), width=40, terminal=False) == SENTENCE + "\n"


def test_brackets_of_a_value_are_no_markup() -> None:
    assert "[bold]Tide[/bold]" in shown(table(("lcgan/2", "7", "[bold]Tide[/bold]")))


def test_a_table_without_headings_keeps_its_labels_when_it_is_narrow() -> None:
    built = Table(show_header=False, box=None, pad_edge=False)
    built.add_row("gateway", "/srv/a-folder-of-a-long-name/and-another-one/workspace/bot.db")
    assert shown(built, width=40).splitlines() == [
        "gateway",
        "  /srv/a-folder-of-a-long-name/and-another-one/workspace/bot.db",
    ]
    assert shown(built, terminal=False).split() == shown(built, width=40).split()
