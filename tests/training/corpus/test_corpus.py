from __future__ import annotations

import hashlib
import json
import time
from collections import Counter, defaultdict
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from training.corpus import (
    FUNNEL_FILE,
    GENRES_FILE,
    SENTENCES_FILE,
    Corpus,
    CorpusSettings,
    build_corpus,
    load_corpus,
)
from training.corpus.funnel import Funnel
from training.corpus.store import SCHEMA
from training.errors import CorpusError, NoUsableSentenceError, OutputError, PostsError
from training.sample import CATALOG_FILE, POSTS_FILE, SampleWorld, make_sample, write_sample

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def world() -> SampleWorld:
    return make_sample(seed=21, num_posts=1000)


@pytest.fixture(scope="module")
def sample(world: SampleWorld, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("sample")
    write_sample(world, folder)
    return folder


@pytest.fixture(scope="module")
def corpus(sample: Path) -> Corpus:
    settings = CorpusSettings(min_posts_per_genre=20)
    build_corpus([sample / POSTS_FILE], sample / "corpus", catalog=sample / CATALOG_FILE, settings=settings)
    return load_corpus(sample / "corpus")


def _write(path: Path, rows: list[Any]) -> Path:
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    return path


def _post(number: int, text: str, **fields: Any) -> dict[str, Any]:
    return {
        "id": f"p{number}",
        "artist": f"Orva {number}",
        "title": f"Tide {number}",
        "genres": [],
        "text": text,
        **fields,
    }


def _texts(folder: Path) -> list[str]:
    return load_corpus(folder).texts


def _hashes(folder: Path) -> dict[str, str]:
    return {path.name: hashlib.sha256(path.read_bytes()).hexdigest() for path in folder.iterdir()}


def test_every_kept_sentence_of_the_sample_is_one_that_was_written(world: SampleWorld, corpus: Corpus) -> None:
    assert [text for text in corpus.texts if text not in world.kinds] == []


def test_nearly_every_sentence_that_was_written_is_kept(world: SampleWorld, corpus: Corpus) -> None:
    near, alike = corpus.funnel["nearly the same as an earlier sentence"], corpus.funnel["opens like many others"]
    assert len(set(world.kinds) - set(corpus.texts)) - near - alike < 0.005 * len(world.kinds)
    assert near < 0.1 * len(world.kinds)
    assert alike < 0.02 * len(world.kinds)


def test_no_sentence_comes_twice(corpus: Corpus) -> None:
    assert len(set(corpus.texts)) == len(corpus)


def test_nothing_of_the_dirt_is_kept(corpus: Corpus) -> None:
    text = "\n".join(corpus.texts)
    for mark in ("http", "*", "&amp;", "&quot;", "â", "<p", "<em", "“", "newsletter", "Tidepool Desk"):
        assert mark not in text, mark


def test_the_funnel_adds_up(corpus: Corpus) -> None:
    steps = corpus.funnel.steps
    before_posts = sum(step.count for step in steps if step.effect == "dropped" and step.unit != "sentences")
    dropped = sum(step.count for step in steps if step.effect == "dropped" and step.unit == "sentences")
    assert corpus.funnel["rows read"] - before_posts == corpus.funnel["posts kept"] > 0
    assert corpus.funnel["sentences found"] - dropped == corpus.funnel["sentences kept"] == len(corpus)
    assert sum(corpus.funnel.splits.values()) == len(corpus)


def test_the_funnel_has_work_with_the_sample(corpus: Corpus) -> None:
    dropped = ("too short", "capitals", "names others", "about the release", "boilerplate", "repeated in many posts")
    for step in ("round-up", "same text as an earlier post", *dropped):
        assert corpus.funnel[step] > 0, step


def test_the_files_have_the_documented_columns(corpus: Corpus, sample: Path) -> None:
    table = pq.read_table(sample / "corpus" / SENTENCES_FILE)
    assert table.column_names == ["text", "artist", "title", "genres", "post_id", "split"]
    labels = json.loads((sample / "corpus" / GENRES_FILE).read_text(encoding="utf-8"))
    assert tuple(labels) == corpus.genre_table.labels
    assert {label for genres in table["genres"].to_pylist() for label in genres} <= set(labels)
    assert set(table["split"].to_pylist()) == {"train", "valid", "test"}


def test_rare_genres_of_the_sample_back_off_to_coarser_labels(world: SampleWorld, corpus: Corpus) -> None:
    fine = {genre for post in world.posts for genre in post["genres"]} - set(corpus.genre_table.labels)
    assert fine, "the sample must have genres too rare to be labels"
    # A family's own label may be rare in a world this small; nearly all fine genres have a coarser one to go to.
    assert sum(corpus.genre_table.back_off(genre) is not None for genre in fine) > 0.75 * len(fine)


def test_a_song_is_in_one_split_however_many_posts_are_about_it(sample: Path, corpus: Corpus) -> None:
    rows = pq.read_table(sample / "corpus" / SENTENCES_FILE).to_pylist()
    splits = defaultdict(set)
    for row in rows:
        splits[row["artist"], row["title"]].add(row["split"])
    assert len(corpus) == len(rows)
    assert all(len(found) == 1 for found in splits.values())


def test_adding_posts_moves_no_sentence_to_another_split(sample: Path, corpus: Corpus, tmp_path: Path) -> None:
    more = _write(tmp_path / "more.jsonl", [_post(number, f"Number {number} is a loud song.") for number in range(50)])
    build_corpus([more, sample / POSTS_FILE], tmp_path / "corpus", catalog=sample / CATALOG_FILE)
    grown = load_corpus(tmp_path / "corpus")
    before = dict(zip(corpus.texts, corpus.splits, strict=True))
    after = dict(zip(grown.texts, grown.splits, strict=True))
    assert {text: after[text] for text in before if text in after} == {t: s for t, s in before.items() if t in after}
    assert len(after) > len(before)


def test_the_same_posts_give_the_same_bytes(sample: Path, corpus: Corpus, tmp_path: Path) -> None:
    settings = CorpusSettings(min_posts_per_genre=20)
    build_corpus([sample / POSTS_FILE], tmp_path / "again", catalog=sample / CATALOG_FILE, settings=settings)
    assert _hashes(tmp_path / "again") == _hashes(sample / "corpus")
    assert load_corpus(tmp_path / "again").content_hash == corpus.content_hash


def test_a_part_is_its_split_alone(corpus: Corpus) -> None:
    parts = [corpus.part(split) for split in ("train", "valid", "test")]
    assert Counter(text for part in parts for text in part.texts) == Counter(corpus.texts)
    assert set(parts[1].splits) == {"valid"}
    with pytest.raises(ValueError, match="no split named 'dev'; splits are train, valid, test"):
        corpus.part("dev")


def test_the_catalog_gives_genres_to_posts_without(sample: Path, corpus: Corpus, tmp_path: Path) -> None:
    bare = build_corpus([sample / POSTS_FILE], tmp_path / "bare").genres["posts without genre"]
    assert corpus.funnel.genres["posts without genre"] < bare


def test_progress_ends_at_the_size_of_the_input(sample: Path, tmp_path: Path) -> None:
    calls: list[tuple[int, int | None]] = []
    build_corpus([sample / POSTS_FILE], tmp_path / "corpus", progress=lambda done, total: calls.append((done, total)))
    size = (sample / POSTS_FILE).stat().st_size
    assert calls[-1] == (size, size)
    assert calls == sorted(calls)


def test_a_funnel_survives_its_file(corpus: Corpus) -> None:
    again = Funnel.from_json(corpus.funnel.to_json())
    assert again == corpus.funnel
    assert again.inputs[0].name == POSTS_FILE
    assert again.settings["min_posts_per_genre"] == 20


def test_equal_posts_and_equal_sentences_are_kept_once(tmp_path: Path) -> None:
    rows = [
        _post(1, "The drums are loud all along. The horns are soft and warm."),
        _post(2, "The drums are loud all along! The horns are soft and warm."),
        _post(3, "The drums are LOUD all along. The strings are soft and warm."),
    ]
    funnel = build_corpus([_write(tmp_path / "a.jsonl", rows)], tmp_path / "corpus")
    kept = ["The drums are loud all along.", "The horns are soft and warm.", "The strings are soft and warm."]
    assert _texts(tmp_path / "corpus") == kept
    assert funnel["same text as an earlier post"] == 1
    assert funnel["same as an earlier sentence"] == 1


def test_a_sentence_that_many_posts_repeat_goes_altogether(tmp_path: Path) -> None:
    rows = [_post(number, f"Song {number} is a loud song. The desk sends its love to all.") for number in range(7)]
    funnel = build_corpus([_write(tmp_path / "a.jsonl", rows)], tmp_path / "corpus")
    assert all("desk" not in text for text in _texts(tmp_path / "corpus"))
    assert funnel["repeated in many posts"] == 1
    assert funnel["same as an earlier sentence"] == 6


def test_unreadable_and_empty_rows_are_counted_and_lose_nothing_else(tmp_path: Path) -> None:
    path = _write(tmp_path / "a.jsonl", [_post(1, "The drums are very loud here."), _post(2, ""), [1]])
    with path.open("a", encoding="utf-8") as file:
        file.write("not json\n")
    funnel = build_corpus([path], tmp_path / "corpus")
    assert (funnel["rows read"], funnel["unreadable"], funnel["without text"], funnel["posts kept"]) == (4, 2, 1, 1)


def test_songs_are_masked_in_the_corpus(tmp_path: Path) -> None:
    rows = [_post(1, 'Bram Tolk sings "Glass Weather" as if it were new.', artist="Bram Tolk", title="Glass Weather")]
    build_corpus([_write(tmp_path / "a.jsonl", rows)], tmp_path / "corpus")
    assert _texts(tmp_path / "corpus") == ['<artist> sings "<title>" as if it were new.']


def test_nothing_left_is_an_error_that_says_what_was_dropped_and_leaves_no_folder(tmp_path: Path) -> None:
    rows = [_post(1, "so good"), _post(2, "too"), _post(3, "")]
    path = _write(tmp_path / "a.jsonl", rows)
    with pytest.raises(NoUsableSentenceError, match=r"from 3 rows in a\.jsonl.*too short \(sentences\): 2") as caught:
        build_corpus([path], tmp_path / "corpus")
    assert "without text (posts): 1" in str(caught.value)
    assert sorted(entry.name for entry in tmp_path.iterdir()) == ["a.jsonl"]


def test_an_error_in_a_later_file_keeps_the_corpus_that_was_there(tmp_path: Path) -> None:
    good = _write(tmp_path / "a.jsonl", [_post(1, "The drums are very loud here.")])
    build_corpus([good], tmp_path / "corpus")
    before = _hashes(tmp_path / "corpus")
    with pytest.raises(PostsError, match=r"b\.jsonl cannot be read"):
        build_corpus([good, tmp_path / "b.jsonl"], tmp_path / "corpus")
    assert _hashes(tmp_path / "corpus") == before
    assert sorted(entry.name for entry in tmp_path.iterdir()) == ["a.jsonl", "corpus"]


@pytest.mark.parametrize("when", [1, 2])
def test_an_interrupt_leaves_no_corpus_and_the_next_build_is_as_if_it_had_not_been(
    sample: Path, corpus: Corpus, tmp_path: Path, when: int
) -> None:
    calls = 0

    def interrupt(_done: int, _total: int | None) -> None:
        nonlocal calls
        calls += 1
        if calls == when:
            raise KeyboardInterrupt

    settings = CorpusSettings(min_posts_per_genre=20)
    catalog = sample / CATALOG_FILE
    with pytest.raises(KeyboardInterrupt):
        build_corpus([sample / POSTS_FILE], tmp_path / "corpus", progress=interrupt, catalog=catalog, settings=settings)
    assert not (tmp_path / "corpus").exists()
    build_corpus([sample / POSTS_FILE], tmp_path / "corpus", catalog=catalog, settings=settings)
    assert _hashes(tmp_path / "corpus") == _hashes(sample / "corpus")
    assert [entry.name for entry in tmp_path.iterdir()] == ["corpus"]
    assert len(corpus)


def test_a_corpus_is_replaced_by_a_new_one(tmp_path: Path) -> None:
    first = _write(tmp_path / "a.jsonl", [_post(1, "The drums are very loud here.")])
    second = _write(tmp_path / "b.jsonl", [_post(2, "The horns are very soft here.")])
    build_corpus([first], tmp_path / "corpus")
    build_corpus([second], tmp_path / "corpus")
    assert _texts(tmp_path / "corpus") == ["The horns are very soft here."]
    assert sorted(entry.name for entry in tmp_path.iterdir()) == ["a.jsonl", "b.jsonl", "corpus"]


def test_a_folder_of_something_else_is_never_replaced(tmp_path: Path) -> None:
    posts = _write(tmp_path / "a.jsonl", [_post(1, "The drums are very loud here.")])
    (tmp_path / "photos").mkdir()
    (tmp_path / "photos" / "cat.txt").write_text("cat")
    for out in (tmp_path / "photos", posts):
        with pytest.raises(CorpusError, match="exists and is not a corpus; choose another folder"):
            build_corpus([posts], out)
    assert (tmp_path / "photos" / "cat.txt").read_text() == "cat"


def test_a_place_that_cannot_be_written_is_named(tmp_path: Path) -> None:
    posts = _write(tmp_path / "a.jsonl", [_post(1, "The drums are very loud here.")])
    with pytest.raises((OutputError, CorpusError), match="cannot be written"):
        build_corpus([posts], posts / "corpus")


def test_no_files_are_refused(tmp_path: Path) -> None:
    with pytest.raises(CorpusError, match="no file of posts"):
        build_corpus([], tmp_path / "corpus")


def test_a_folder_that_is_not_a_corpus_is_refused_with_the_way_out(tmp_path: Path) -> None:
    with pytest.raises(CorpusError, match=r"is not a corpus: sentences\.parquet is missing.*deephypebot corpus build"):
        load_corpus(tmp_path)


def _cut(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-30])


def _blank(path: Path) -> None:
    path.write_text("{}")


@pytest.mark.parametrize(
    ("name", "damage"),
    [(SENTENCES_FILE, _cut), (GENRES_FILE, _cut), (FUNNEL_FILE, _cut), (FUNNEL_FILE, _blank)],
)
def test_a_damaged_corpus_is_refused(tmp_path: Path, name: str, damage: Callable[[Path], None]) -> None:
    rows = [_post(number, f"Song {number} is a very loud song.", genres=["dream pop"]) for number in range(3)]
    settings = CorpusSettings(min_posts_per_genre=1)
    build_corpus([_write(tmp_path / "a.jsonl", rows)], tmp_path / "corpus", settings=settings)
    damage(tmp_path / "corpus" / name)
    with pytest.raises(CorpusError, match="damaged corpus"):
        load_corpus(tmp_path / "corpus")


def _small_corpus(folder: Path) -> Path:
    rows = [_post(number, f"Song {number} is a very loud song.", genres=["dream pop"]) for number in range(3)]
    build_corpus([_write(folder / "a.jsonl", rows)], folder / "corpus", settings=CorpusSettings(min_posts_per_genre=1))
    return folder / "corpus"


@pytest.mark.parametrize("labels", [["folk"], [], [1, 2]])
def test_a_genre_table_of_another_corpus_is_refused(tmp_path: Path, labels: Any) -> None:
    folder = _small_corpus(tmp_path)
    (folder / GENRES_FILE).write_text(json.dumps(labels))
    with pytest.raises(CorpusError, match=r"damaged corpus \(.*\); build it again"):
        load_corpus(folder)


@pytest.mark.parametrize(("column", "value"), [("split", "dev"), ("genres", ["polka"]), ("text", None)])
def test_sentences_that_fit_no_corpus_are_refused_by_their_value(tmp_path: Path, column: str, value: Any) -> None:
    folder = _small_corpus(tmp_path)
    rows = pq.read_table(folder / SENTENCES_FILE).to_pylist()
    rows[1][column] = value
    pq.write_table(pa.Table.from_pylist(rows, schema=SCHEMA), folder / SENTENCES_FILE)
    told = {"split": "'dev'", "genres": "'polka'", "text": "lacks text in 1 of 3 rows"}[column]
    with pytest.raises(CorpusError, match=told):
        load_corpus(folder)


@pytest.mark.parametrize(
    "fields",
    [
        {"min_posts_per_genre": 0},
        {"max_genres": 0},
        {"max_repeats": 0},
        {"min_word_posts": 0},
        {"valid_share": 0.6, "test_share": 0.5},
        {"min_english_post": 1.5},
        {"min_near_sentences": -0.1},
    ],
)
def test_settings_that_cannot_work_are_refused(fields: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match="must"):
        CorpusSettings(**fields)


def test_a_core_cleans_fifty_thousand_sentences_a_minute(sample: Path, tmp_path: Path) -> None:
    start = time.process_time()
    funnel = build_corpus([sample / POSTS_FILE], tmp_path / "corpus")
    assert funnel["sentences found"] / (time.process_time() - start) > 50_000 / 60
