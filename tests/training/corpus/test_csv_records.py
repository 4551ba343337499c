from __future__ import annotations

import csv
import io
from itertools import product

import pytest
from hypothesis import given
from hypothesis import strategies as st

from training.corpus.csv_records import csv_records

HEADER = "artist,title,text\n"
FIRST = "Ona Vell,Moss,The drums sit low and the room gets bigger.\n"
LAST = 'Rye Karst,Ember,"That chorus, at last, is warm."\n'
KEPT = ["The drums sit low and the room gets bigger.", "That chorus, at last, is warm."]


def texts(content: str) -> list[str | None]:
    return [None if row is None else row["text"] for row in csv_records(io.StringIO(content, newline=""))]


@pytest.mark.parametrize("delimiter", [",", ";", "\t", "|"])
def test_the_delimiter_is_the_headers(delimiter: str) -> None:
    rows = [["artist", "title", "text"], ["Ona, Vell", "Moss; or | Tab\t", "Low, and warm."]]
    file = io.StringIO(newline="")
    csv.writer(file, delimiter=delimiter).writerows(rows)
    file.seek(0)
    assert list(csv_records(file)) == [dict(zip(*rows, strict=True))]


@pytest.mark.parametrize(
    "stray",
    [
        'Tor Brisk,Tin Sea,"The bass line opens like a window.\n',
        'Tor Brisk,"Tin Sea,The bass line opens like a window.\n',
        '"Tor Brisk,Tin Sea,The bass line opens like a window.\n',
        'Tor Brisk,Tin Sea,""The bass line opens "like a window.\n',
    ],
)
@pytest.mark.parametrize("closing", ["", 'Kim Dorr,Kite,"Her voice" stays calm.\n', 'Kim Dorr,Kite,Her voice is 12"\n'])
def test_a_quote_that_is_not_closed_costs_its_own_row(stray: str, closing: str) -> None:
    found = texts(HEADER + FIRST + stray + closing + LAST)
    assert found[1] is None
    assert [text for text in found if text in KEPT] == KEPT
    assert len(found) == (4 if closing else 3), "every line is one row, read or counted"
    if closing:
        assert (found[2] or "").startswith("Her voice")


def test_a_quote_at_the_end_of_the_file_costs_its_own_row() -> None:
    assert texts(HEADER + FIRST + 'Tor Brisk,Tin Sea,"The bass') == [KEPT[0], None]


def test_paragraphs_of_a_quoted_text_are_one_row() -> None:
    text = "One, two, three.\n\nFour, five, six.\r\nSeven, eight, nine"
    file = io.StringIO(newline="")
    csv.writer(file).writerows([["artist", "title", "text"], ["A", "B", text], ["C", "D", 'a "word"']])
    file.seek(0)
    assert [row and row["text"] for row in csv_records(file)] == [text, 'a "word"']


def test_rows_with_lost_or_extra_cells_are_counted() -> None:
    assert texts("id,text\n1,one\n\n2\n3,three,more\n") == ["one", None, None]


@pytest.mark.parametrize("above", ["\n\n", "sep=;\n", '"sep=;"\r\n', "  \n\nSEP=;\n"])
def test_blank_lines_and_the_delimiters_name_may_stand_above_the_header(above: str) -> None:
    assert texts(f"{above}id;text\n1;one\n\n2;two\n") == ["one", "two"]


def test_nothing_and_a_header_alone_give_nothing() -> None:
    assert list(csv_records([])) == list(csv_records(["id,text\n"])) == []


@given(
    rows=st.lists(
        st.lists(st.text(alphabet='ab ,;"\n', min_size=1, max_size=12), min_size=3, max_size=3), min_size=1, max_size=8
    )
)
def test_what_the_standard_library_writes_is_read_back(rows: list[list[str]]) -> None:
    # A line in a cell that looks like a record of the file cannot be told from one: prose has spaces behind its commas.
    rows = [[f"# {cell.replace(',', ', ')}" for cell in row] for row in rows]
    file = io.StringIO(newline="")
    csv.writer(file).writerows([["a", "b", "c"], *rows])
    file.seek(0)
    assert [list(row.values()) for row in csv_records(file) if row is not None] == rows


@pytest.mark.parametrize(("place", "count"), list(product((0, 40, 99), (1, 3))))
def test_stray_quotes_swallow_nothing_of_a_long_file(place: int, count: int) -> None:
    lines = [f"Ona Vell,Song {number},The drums of number {number} sit low.\n" for number in range(100)]
    for stray in range(place, min(100, place + count)):
        lines[stray] = lines[stray].replace("The drums", '"The drums')
    found = texts(HEADER + "".join(lines))
    assert len(found) == 100
    assert found.count(None) == min(100, place + count) - place
