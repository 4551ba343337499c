"""The README's picture is what a demo left, and its caption says so."""

from __future__ import annotations

import gzip
import html
import json
import re
from pathlib import Path

import pytest

import deephypebot_demo
from training.sample import FEED_FILE, make_sample, write_sample

ROOT = Path(__file__).parents[2]


def shown() -> str:
    """Texts of the picture, in their order."""
    picture = (ROOT / "docs" / "pictures" / "queue.svg").read_text(encoding="utf-8")
    texts = re.findall(r"<text[^>]*>([^<]*)</text>", picture)
    return " ".join(html.unescape(text).replace("\N{NO-BREAK SPACE}", " ") for text in texts)


def test_the_caption_counts_the_candidates_of_the_picture_and_names_their_model() -> None:
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    caption = re.search(r"!\[The queue after the demo: (\d+ of \d+ candidates) by (\w+/\d+)\]", readme)
    assert caption is not None
    text = shown()
    assert f"Queue: {caption[1]}" in text
    assert set(re.findall(r"\b(?:lcgan|cvae)/\d+\b", text)) == {caption[2]}
    ids = re.findall(r"\b9\d{17}(?:\.\d+){2}\b", text)
    assert len(ids) == len(set(ids)) == int(caption[1].partition(" ")[0])


@pytest.mark.slow
def test_the_songs_of_the_picture_are_those_of_the_demos_feed(tmp_path: Path) -> None:
    sample = make_sample(seed=deephypebot_demo._SEED, num_posts=deephypebot_demo._SAMPLE_POSTS)
    write_sample(sample, tmp_path)
    path = tmp_path / FEED_FILE
    content = gzip.decompress(path.read_bytes()) if path.suffix == ".gz" else path.read_bytes()
    posts = {post["id"]: post["text"] for post in map(json.loads, content.decode().splitlines())}
    text = shown()
    first, *_ = re.findall(r"\b(9\d{17})\.\d+\.\d+\b", text)
    assert set(re.findall(r"\b(9\d{17})\.\d+\.\d+\b", text)) <= posts.keys()
    # A cell wraps, so the song of the first post is compared by its words.
    song = text.partition(f"{first}.1.1")[2].partition(f"{first}.1.2")[0]
    assert sum(word in song for word in re.findall(r"\w{4,}", posts[first])) >= 2
