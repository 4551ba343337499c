from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from training.corpus.posts import Post, Reading, read_catalog, read_posts
from training.errors import PostsError


def _write(path: Path, rows: list[Any]) -> Path:
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    return path


def _read(path: Path) -> list[Post]:
    return [post for post in read_posts(path) if post is not None]


def test_a_plain_row_is_a_post_with_normalised_genres(tmp_path: Path) -> None:
    row = {
        "id": 7,
        "artist": " Orva ",
        "title": "Tide",
        "genres": ["Dream  Pop", "dream pop", "Pop", 3],
        "text": "Hi.",
        "x": 1,
    }
    (post,) = _read(_write(tmp_path / "a.jsonl", [row]))
    assert post == Post(id="7", artist="Orva", title="Tide", genres=("dream pop", "pop"), text="Hi.")


def test_the_original_schema_takes_the_song_title_and_the_masked_text(tmp_path: Path) -> None:
    row = {
        "artist": "Orva",
        "song_title": "Tide",
        "title": "A page about Tide",
        "content": "Orva sings.",
        "masked_content": "<artist> sings.",
        "spotify_genres": ["pop"],
        "content_sentences": ["ignored"],
        "url": "https://tidepool.example/1",
    }
    (post,) = _read(_write(tmp_path / "a.jsonl", [row]))
    assert post == Post(
        id="https://tidepool.example/1", artist="Orva", title="Tide", genres=("pop",), text="<artist> sings."
    )


def test_a_scraped_page_without_a_song_is_a_post_about_no_known_song(tmp_path: Path) -> None:
    row = {"author": None, "content": "A page.", "title": "Tidepool", "url": "https://tidepool.example/2"}
    (post,) = _read(_write(tmp_path / "a.jsonl", [row]))
    assert (post.artist, post.title, post.text) == (None, None, "A page.")


def test_a_post_without_id_is_known_by_its_text_wherever_it_stands(tmp_path: Path) -> None:
    first = _read(_write(tmp_path / "a.jsonl", [{"text": "One."}, {"text": "Two."}]))
    second = _read(_write(tmp_path / "b.jsonl", [{"text": "Two."}]))
    assert first[1].id == second[0].id != first[0].id


@pytest.mark.parametrize(
    "cell",
    [
        '["dream pop", "pop"]',
        "['dream pop', 'pop']",
        "dream pop|pop",
        "Dream Pop; Pop",
        "dream pop, pop",
        "[dream pop, pop]",
    ],
)
def test_genres_in_a_csv_cell_are_read_as_people_write_them(tmp_path: Path, cell: str) -> None:
    path = tmp_path / "a.csv"
    quoted = '"' + cell.replace('"', '""') + '"'
    path.write_text(f"text,genres\nOne.,{quoted}\n", encoding="utf-8")
    assert _read(path)[0].genres == ("dream pop", "pop")


def test_the_catalog_fills_in_genres_that_a_post_lacks(tmp_path: Path) -> None:
    catalog = read_catalog(_write(tmp_path / "c.jsonl", [{"artist": "ORVA", "genres": ["pop"]}]))
    rows = [
        {"artist": "Orva", "text": "One."},
        {"artist": "Orva", "genres": ["folk"], "text": "Two."},
        {"artist": "Else", "genres": [], "text": "Three."},
    ]
    posts = list(read_posts(_write(tmp_path / "a.jsonl", rows), catalog=catalog))
    assert [post.genres for post in posts if post] == [("pop",), ("folk",), ()]


def test_rows_that_cannot_be_read_are_passed_on_as_none(tmp_path: Path) -> None:
    path = tmp_path / "a.jsonl"
    path.write_text('broken\n{"text": "One."}\n{"id": "no text"}\n', encoding="utf-8")
    posts = list(read_posts(path))
    assert posts[0] is None
    assert [post.text for post in posts if post] == ["One.", ""]


def test_a_wrong_column_is_named_with_those_that_would_do(tmp_path: Path) -> None:
    path = _write(tmp_path / "a.jsonl", [{"id": 1, "body": "One."}] * 300)
    with pytest.raises(
        PostsError, match=r"no text column: it needs one of masked_content, text, content.*: id, body\. "
    ):
        list(read_posts(path))


def test_a_column_that_some_rows_lack_is_not_an_error(tmp_path: Path) -> None:
    posts = _read(_write(tmp_path / "a.jsonl", [{"id": 1}] * 50 + [{"id": 2, "text": "One."}]))
    assert len(posts) == 51


def test_a_file_of_no_objects_and_one_of_no_rows_are_refused(tmp_path: Path) -> None:
    with pytest.raises(PostsError, match="none of its 2 rows can be read as a record"):
        list(read_posts(_write(tmp_path / "a.jsonl", [1, 2])))
    path = tmp_path / "b.csv"
    path.write_text("id,text\n", encoding="utf-8")
    with pytest.raises(PostsError, match="has no rows"):
        list(read_posts(path))


def test_a_catalog_without_genres_is_refused_by_its_columns(tmp_path: Path) -> None:
    with pytest.raises(PostsError, match="no row with `artist` and `genres`; its columns are: name, genres"):
        read_catalog(_write(tmp_path / "c.jsonl", [{"name": "Orva", "genres": []}]))
    (tmp_path / "half.jsonl").write_text('{"artist": "Orva \\ud83d", "genres": ["pop"]}\n', encoding="ascii")
    with pytest.raises(PostsError, match="no row that can be read"):
        read_catalog(tmp_path / "half.jsonl")


@pytest.mark.parametrize(
    "header", ["Artist,Title,Genres,Text", " ARTIST ,title,genres,TEXT", "artist;Title;genres;Text"]
)
def test_capitals_spaces_and_semicolons_of_a_header_are_read(tmp_path: Path, header: str) -> None:
    path = tmp_path / "a.csv"
    mark = ";" if ";" in header else ","
    path.write_text(f"{header}\n{mark.join(['Orva', 'Tide', 'pop', 'One.'])}\n", encoding="utf-8")
    assert _read(path)[0] == Post(id=_read(path)[0].id, artist="Orva", title="Tide", genres=("pop",), text="One.")


def test_the_original_names_of_columns_are_read_in_any_spelling(tmp_path: Path) -> None:
    (post,) = _read(_write(tmp_path / "a.jsonl", [{"Song Title": "Tide", "Spotify-Genres": ["pop"], "Text": "One."}]))
    assert (post.title, post.genres) == ("Tide", ("pop",))


def test_the_texts_column_may_be_named(tmp_path: Path) -> None:
    path = _write(tmp_path / "a.jsonl", [{"text": "An advertisement.", "Review Body": "One."}])
    (post,) = read_posts(path, reading=Reading(text_column="review body"))
    assert post is not None
    assert post.text == "One."
    with pytest.raises(
        PostsError, match=r"it needs body; its columns are: text, Review Body\. Name the right one with"
    ):
        list(read_posts(path, reading=Reading(text_column="Body")))


def test_another_encoding_is_read_if_it_is_named(tmp_path: Path) -> None:
    path = tmp_path / "a.csv"
    path.write_bytes("artist,text\nBjørn Ås,Très doux.\n".encode("cp1252"))
    with pytest.raises(PostsError, match="give --encoding"):
        list(read_posts(path))
    (post,) = read_posts(path, reading=Reading(encoding="cp1252"))
    assert post is not None
    assert (post.artist, post.text) == ("Bjørn Ås", "Très doux.")


HALF_A_PAIR = "\ud83d"


@pytest.mark.parametrize("column", ["id", "url", "artist", "title", "genres", "genre_space", "author", "site", "text"])
def test_half_a_surrogate_pair_costs_its_row_alone(tmp_path: Path, column: str) -> None:
    odd = {
        "artist": "Orva",
        "text": "One.",
        "genres": ["pop"],
        column: [HALF_A_PAIR] if column == "genres" else f"x {HALF_A_PAIR}",
    }
    posts = list(read_posts(_write(tmp_path / "a.jsonl", [{"text": "Two."}, odd, {"text": "Three."}])))
    assert [post and post.text for post in posts] == ["Two.", None, "Three."]


def test_half_a_surrogate_pair_in_a_column_that_nobody_reads_does_no_harm(tmp_path: Path) -> None:
    (post,) = _read(_write(tmp_path / "a.jsonl", [{"text": "One.", "remark": HALF_A_PAIR}]))
    post.text.encode()


def test_a_damaged_byte_costs_its_row_alone(tmp_path: Path) -> None:
    path = tmp_path / "a.jsonl"
    path.write_bytes('{"text": "Één."}\n{"text": "B\udcffd."}\n{"text": "Trois."}\n'.encode(errors="surrogateescape"))
    assert [post and post.text for post in read_posts(path)] == ["Één.", None, "Trois."]


def test_rows_of_a_catalog_that_cannot_be_read_are_left_out(tmp_path: Path) -> None:
    rows = [
        {"Artist": "Orva", "Genres": ["pop"]},
        {"artist": HALF_A_PAIR, "genres": []},
        {"artist": "Vell", "genres": [HALF_A_PAIR]},
    ]
    assert read_catalog(_write(tmp_path / "c.jsonl", rows)) == {"orva": ("pop",)}
    path = tmp_path / "c.csv"
    path.write_text('artist,genres\nOrva,pop\nTor,"folk\nMica,jazz\nRye,techno\n', encoding="utf-8")
    assert read_catalog(path) == {"orva": ("pop",), "mica": ("jazz",), "rye": ("techno",)}


def test_parquet_columns_that_nobody_reads_may_hold_anything(tmp_path: Path) -> None:
    table = pa.table(
        {
            "Text": pa.array([b"One."], pa.binary()),
            "year": pa.array([2**62], pa.timestamp("us")),
            "length": pa.array([2**62], pa.duration("s")),
            "zone": pa.array([0], pa.timestamp("us", tz="Nowhere/Land")),
        }
    )
    pq.write_table(table, tmp_path / "a.parquet")
    (post,) = _read(tmp_path / "a.parquet")
    assert post.text == "One."
    pq.write_table(table.select(["year", "length"]), tmp_path / "b.parquet")
    with pytest.raises(PostsError, match=r"no text column: .* its columns are: year, length"):
        list(read_posts(tmp_path / "b.parquet"))


def test_a_value_that_python_cannot_express_is_named(tmp_path: Path) -> None:
    pq.write_table(pa.table({"text": ["One."], "id": pa.array([2**62], pa.timestamp("us"))}), tmp_path / "a.parquet")
    with pytest.raises(PostsError, match=r"a\.parquet cannot be read as parquet"):
        list(read_posts(tmp_path / "a.parquet"))
