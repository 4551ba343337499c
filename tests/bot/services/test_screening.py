"""Flags of a text: bad words, copies, length, repeats."""

from __future__ import annotations

import gzip
import os
import sqlite3
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bot.adapters.files.copy_index import CopyIndex, open_index
from bot.adapters.files.word_lists import SafetypeWords, read_words
from bot.domain.candidates import Flag
from bot.domain.errors import InputError, StoreError
from bot.domain.length import weighted_length
from bot.domain.networks import X
from bot.ports import PostHistory
from bot.services.screening import TextScreen

SENTENCE = "A bass line like wet wool carries the lamp across the whole of a slow and salty evening."


class Posted(PostHistory):
    """Remembers one text."""

    def has_posted(self, text: str) -> bool:
        return text == "Said before."


@pytest.fixture(scope="module")
def words() -> SafetypeWords:
    return SafetypeWords(["grobble*", "tin lizard"])


@pytest.fixture
def index(tmp_path: Path) -> CopyIndex:
    sentences = tmp_path / "sentences.txt"
    sentences.write_text(
        f"{SENTENCE}\n\nShort but whole here.\nDays of <artist> come and go as <title> does.\n", encoding="utf-8"
    )
    return open_index(sentences, tmp_path / "copies.db")


def test_everything_that_is_noticed_comes_in_the_order_of_the_flags(words: SafetypeWords, index: CopyIndex) -> None:
    screen = TextScreen(words=words, copies=index, history=Posted())
    assert screen.flags("A slow lamp of a song.") == ()
    assert screen.flags("Said before.") == (Flag.REPEAT,)
    assert screen.flags(f"Holy shit, a tin lizard. {SENTENCE}") == (Flag.PROFANITY, Flag.COPY, Flag.BLOCKED)


@pytest.mark.parametrize(
    "text", ["What the fuck", "a shitty lamp", "sh1t", "f u c k this", "ｂｉｔｃｈ", "Fuck Buttons"]
)
def test_profanity_is_flagged_in_disguise_too(words: SafetypeWords, text: str) -> None:
    assert words.flags(text) == {Flag.PROFANITY}


@pytest.mark.parametrize(
    "text",
    [
        "a nigga",
        "N1GGER",
        "n i g g e r",
        "the faggоt",
        'the song "Faggots"',
        "retarded drums",
        "Tin  Lizard",
        "grobbled",
        "GRÖBBLE",
    ],
)
def test_slurs_and_the_operators_own_words_are_blocked_in_quotes_too(words: SafetypeWords, text: str) -> None:
    assert Flag.BLOCKED in words.flags(text)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "Scunthorpe",
        "Dick Dale",
        "a snigger of synths",
        "raccoons on the Niger",
        "Cockney gobbledygook",
        "a niggardly mix",
        "classic assets",
    ],
)
def test_harmless_words_are_left_alone(words: SafetypeWords, text: str) -> None:
    assert words.flags(text) == frozenset()


def test_threads_share_the_word_list(words: SafetypeWords) -> None:
    texts = ["what a lamp", "what a shit lamp", "a tin lizard"] * 50
    with ThreadPoolExecutor(8) as pool:
        found = list(pool.map(words.flags, texts))
    assert found == [words.flags(text) for text in texts]


def test_words_of_a_file_are_read_without_comments(tmp_path: Path) -> None:
    path = tmp_path / "words.txt"
    path.write_text("# ours\ngrobble*  # all of them\n\n tin lizard\n", encoding="utf-8")
    assert read_words(path) == ["grobble*", "tin lizard"]


@pytest.mark.parametrize(
    ("content", "message"),
    [(b"\xff\xfe", "cannot be read"), (b"***", "no letter or digit"), (b"a" * 101, "100 characters")],
)
def test_files_that_are_no_lists_of_words_are_refused(tmp_path: Path, content: bytes, message: str) -> None:
    path = tmp_path / "words.txt"
    path.write_bytes(content)
    with pytest.raises(InputError, match=message):
        read_words(path)
    with pytest.raises(InputError, match="cannot be read"):
        read_words(tmp_path / "nowhere.txt")


@pytest.mark.parametrize(
    ("text", "copied"),
    [
        (SENTENCE, True),
        (SENTENCE.upper().replace(" ", "  "), True),
        ("And so: a bass line, like wet wool, carries the lamp!", True),
        ("A bass line like wet wool carries tunes", False),
        ("Short but whole here", True),
        ("Short but whole here, though.", False),
        ("Days of lamps come and go as it does", False),
        ("", False),
        ("\x00\ud800 \u200b", False),
    ],
)
def test_a_run_of_eight_words_is_a_copy_and_so_is_a_whole_short_sentence(
    index: CopyIndex, text: str, copied: bool
) -> None:
    assert index.holds(text) is copied


def test_an_index_is_made_once_and_anew_for_other_sentences(tmp_path: Path) -> None:
    sentences, path = tmp_path / "sentences.txt.gz", tmp_path / "deep" / "copies.db"
    sentences.write_bytes(gzip.compress(SENTENCE.encode()))
    read: list[int] = []
    with open_index(sentences, path, progress=read.append) as first:
        assert first.holds(SENTENCE)
    assert read
    made = path.stat().st_mtime_ns
    open_index(sentences, path).close()
    assert path.stat().st_mtime_ns == made
    other = "Eight other words that nobody wrote until this morning, I would think."
    sentences.write_bytes(gzip.compress(other.encode()))
    os.utime(sentences, ns=(1, 1))
    with open_index(sentences, path) as second:
        assert second.holds(other)
        assert not second.holds(SENTENCE)
    assert [each.name for each in path.parent.iterdir()] == ["copies.db"]


def test_a_file_that_is_no_index_is_replaced(tmp_path: Path) -> None:
    sentences, path = tmp_path / "sentences.txt", tmp_path / "copies.db"
    sentences.write_text(SENTENCE, encoding="utf-8")
    path.write_bytes(b"no database at all" * 100)
    with open_index(sentences, path) as index:
        assert index.holds(SENTENCE)


def test_training_text_that_cannot_be_used_is_refused_and_leaves_nothing(tmp_path: Path) -> None:
    path = tmp_path / "copies.db"
    cut = tmp_path / "cut.gz"
    cut.write_bytes(gzip.compress(SENTENCE.encode() * 100)[:-12])
    short = tmp_path / "short.txt"
    short.write_text("one two\nthree", encoding="utf-8")
    for sentences, message in (
        (tmp_path / "nowhere", "nowhere cannot be read"),
        (cut, "cut.gz cannot be read"),
        (short, "no run of 8 words"),
    ):
        with pytest.raises(InputError, match=message):
            open_index(sentences, path)
    with pytest.raises(StoreError, match="cannot be written"):
        open_index(cut.with_name("short.txt"), short / "copies.db")
    assert sorted(each.name for each in tmp_path.iterdir()) == ["cut.gz", "short.txt"]


def test_an_index_that_broke_says_so(tmp_path: Path, index: CopyIndex) -> None:
    with sqlite3.connect(tmp_path / "copies.db") as connection:
        connection.execute("DROP TABLE run")
    connection.close()
    with pytest.raises(StoreError, match="remove it"):
        index.holds(SENTENCE)


@pytest.mark.parametrize(
    ("text", "length"),
    [
        ("", 0),
        ("lamp", 4),
        ("e\u0301", 1),
        ("“quotes” – dash…", 17),
        ("ёлка", 4),
        ("日本", 4),
        ("🙂", 2),
        ("👨‍👩‍👧‍👦🏳️‍🌈👍🏽🇩🇪1️⃣", 10),
        ("https://example.org/a/very/long/path?with=things#and-more", 23),
        ("see https://example.org. Or example.com/x!", 56),
        ("Will.I.Am and etc.but", 21),
    ],
)
def test_length_is_counted_as_x_counts_it(text: str, length: int) -> None:
    assert weighted_length(text) == length


def test_280_fit_and_one_more_does_not() -> None:
    assert not X.is_too_long("a" * 280)
    assert X.is_too_long("a" * 281)
    assert not X.is_too_long("日" * 140)
    assert X.is_too_long("日" * 140 + "a")


@given(st.text(max_size=300))
def test_any_text_has_a_length_and_flags(text: str) -> None:
    assert 0 <= weighted_length(text) <= 30 * len(text) + 30
    assert not SafetypeWords.flags(_WORDS, text) - {Flag.PROFANITY, Flag.BLOCKED}


_WORDS = SafetypeWords()
