from __future__ import annotations

import io
from typing import Any

import pyarrow.parquet as pq
import pytest

from bulk.asking import request_of
from bulk.code import code_sha256
from bulk.errors import ModelError, PartError
from bulk.models import Model
from bulk.songs import Song
from bulk.writing import SCHEMA, Part, Writer, answer_part
from handlers.commentary import Commentator
from tests.handlers.tiny_bundles import GENRES

OPTIONS = {"num_samples": 2, "best_of": 2, "max_tokens": 12}
CURSED = GENRES[-1]


def song(row: int, **values: Any) -> Song:
    return Song(row=row, values={"genres": [GENRES[row % 3]], **values})


def rows_of(part: Part) -> list[dict[str, Any]]:
    table = pq.read_table(io.BytesIO(part.content))
    assert table.schema == SCHEMA
    return table.to_pylist()  # type: ignore[no-any-return]


def test_each_song_has_the_samples_of_its_request_whatever_is_decoded_with_it(commentator: Commentator) -> None:
    songs = [song(row, id=f"s{row}", artist="Ona", title="Tide") for row in range(1, 90)]
    part = answer_part(songs, commentator=commentator, options=OPTIONS)
    assert (part.songs, part.errors, part.samples) == (89, 0, 178)
    for row, each in zip(rows_of(part), songs, strict=True):
        (alone,) = commentator.answer([request_of(each, OPTIONS)])
        assert [sample["text"] for sample in row["samples"]] == [sample.text for sample in alone.samples]
        assert [sample["seed"] for sample in row["samples"]] == [sample.seed for sample in alone.samples]
        assert [sample["log_prob"] for sample in row["samples"]] == [sample.log_prob for sample in alone.samples]
        assert [tuple(sample["topics"]) for sample in row["samples"]] == [sample.topics for sample in alone.samples]
        assert row["genres_used"] == list(alone.genres_used)
        assert (row["row"], row["id"], row["artist"], row["title"]) == (each.row, f"s{each.row}", "Ona", "Tide")
        assert row["seed"] == request_of(each, OPTIONS).seed


def test_the_same_songs_give_the_same_bytes(commentator: Commentator) -> None:
    songs = [song(row) for row in range(1, 20)]
    first, second = (answer_part(songs, commentator=commentator, options=OPTIONS) for _ in range(2))
    assert first.content == second.content
    assert first.kind == second.kind


def test_a_song_that_cannot_be_answered_has_a_reason_and_stops_no_other(commentator: Commentator) -> None:
    songs = [
        song(1),
        Song(row=2, values={}, error="the line is not JSON: x"),
        song(3, genres=[CURSED]),
        song(4, seed="seven", title="Tide", id=[1]),
        song(5, genres=["no such genre"]),
        song(6, id="\ud800", title="\ud800"),
    ]
    part = answer_part(songs, commentator=commentator, options=OPTIONS)
    rows = rows_of(part)
    assert (part.songs, part.errors) == (6, 4)
    assert [row["error"] is None for row in rows] == [True, False, False, False, True, False]
    assert rows[1]["error"] == "the line is not JSON: x"
    assert rows[2]["error"].startswith("the decode failed: NotFiniteError")
    assert rows[2]["seed"] is not None
    assert rows[3]["error"] == "seed: must be a whole number, got 'seven'"
    assert (rows[3]["id"], rows[3]["title"], rows[3]["samples"], rows[3]["seed"]) == ("4", "Tide", None, None)
    assert rows[4]["genres_unknown"] == ["no such genre"]
    assert rows[5]["id"] == "\\ud800"
    alone = answer_part(songs[:1], commentator=commentator, options=OPTIONS)
    assert rows_of(alone) == rows[:1]


def test_a_process_with_the_files_answers_as_one_with_the_folder(model: Model) -> None:
    by_folder = Writer(options=OPTIONS, code=code_sha256(), folder=str(model.folder))
    by_files = Writer(options=OPTIONS, code=code_sha256(), files=model.files())
    assert by_folder()([song(1)]).content == by_files()([song(1)]).content


def test_a_process_with_other_code_refuses_to_work(model: Model) -> None:
    with pytest.raises(PartError, match=r"has other code than this one.*same release"):
        Writer(options={}, code="0" * 64, folder=str(model.folder))()


def test_an_option_that_the_model_lacks_ends_the_run_at_its_start(model: Model) -> None:
    with pytest.raises(ModelError, match="no topic 'no such topic'"):
        Writer(options={"topic": "no such topic"}, code=code_sha256(), folder=str(model.folder))()


def test_a_damaged_bundle_is_told(model: Model) -> None:
    files = {**model.files(), "config.json": b"{}"}
    with pytest.raises(ModelError, match=r"the model cannot be loaded: config\.json"):
        Writer(options={}, code=code_sha256(), files=files)()
