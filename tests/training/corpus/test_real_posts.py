"""Cleaning of real posts. DEEPHYPEBOT_DATA names their folder, which is in no repository."""

from __future__ import annotations

import gzip
import json
import os
import re
from collections import Counter
from pathlib import Path
from typing import Final

import pytest
from ftfy.badness import is_bad

from training.corpus import build_corpus, load_corpus
from training.corpus.cleaning import clean
from training.corpus.duplicates import fingerprint
from training.corpus.language import english_share

_DIRT: Final = {
    "URL": re.compile(r"https?:|www\.|\b[\w-]+\.(?:com|net|org|co\.uk|fm|ly|be)\b", re.IGNORECASE),
    "markdown": re.compile(r"\*|__|\]\(|`|^#|~~|[\[\]|]|^\s*(?:>|[-+]\s)"),
    "HTML entity": re.compile(r"&#?\w+;"),
    "HTML tag": re.compile(r"</?(?!artist>|title>)[a-zA-Z][^<>]*>"),
    "mojibake": re.compile(r"Ã|â€|Â|aEUR|\ufffd"),
    "typographic mark": re.compile(r"[‘’“”`´…—]"),
}


@pytest.fixture(scope="module")
def data() -> Path:
    folder = os.environ.get("DEEPHYPEBOT_DATA")
    if not folder:
        pytest.skip("DEEPHYPEBOT_DATA names no folder of real posts")
    return Path(folder)


@pytest.fixture(scope="module")
def texts(data: Path, tmp_path_factory: pytest.TempPathFactory) -> list[str]:
    out = tmp_path_factory.mktemp("real") / "corpus"
    build_corpus([data / "original_posts.json.gz"], out, jobs=2)
    return load_corpus(out).texts


@pytest.mark.parametrize("kind", _DIRT)
def test_nothing_of_the_dirt_of_the_originals_posts_is_kept(texts: list[str], kind: str) -> None:
    assert [text for text in texts if _DIRT[kind].search(text)] == []


def test_ftfy_finds_nothing_bad(texts: list[str]) -> None:
    assert [text for text in texts if is_bad(text)] == []


def test_no_line_is_kept_twice(texts: list[str]) -> None:
    assert [text for text, count in Counter(map(fingerprint, texts)).items() if count > 1] == []


def test_no_line_that_many_posts_repeat_is_kept(texts: list[str], data: Path) -> None:
    rows = json.loads(gzip.decompress((data / "original_posts.json.gz").read_bytes()))
    posts = {fingerprint(row["content"] or ""): row["content"] or "" for row in rows}
    lines = Counter(line for text in posts.values() for line in set(map(fingerprint, clean(text)[0])))
    assert [text for text in texts if lines[fingerprint(text)] > 5] == []


def test_a_third_of_the_sentences_of_the_originals_posts_is_kept(texts: list[str]) -> None:
    assert len(texts) > 4300


def test_language_is_identified_as_by_a_person(data: Path) -> None:
    """DEEPHYPEBOT_LANGUAGE_LABELS names a file of rows {"id", "english"} for lines of user_comments.jsonl.gz."""
    labels = os.environ.get("DEEPHYPEBOT_LANGUAGE_LABELS")
    if not labels:
        pytest.skip("DEEPHYPEBOT_LANGUAGE_LABELS names no file of labels")
    truth = {row["id"]: row["english"] for row in map(json.loads, Path(labels).read_text().splitlines())}
    with gzip.open(data / "user_comments.jsonl.gz", "rt", encoding="utf-8") as lines:
        rows = [row for row in map(json.loads, lines) if row["id"] in truth]
    kept = {row["id"] for row in rows if english_share(" ".join(clean(row["text"])[0])) >= 0.25}
    english = {name for name, is_english in truth.items() if is_english}
    assert len(kept - english) <= 0.01 * len(kept)
    assert len(english - kept) <= 0.03 * len(english)
