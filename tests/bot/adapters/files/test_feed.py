"""The file feed reads every row once, whatever happens to the file."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bot.adapters.files.feed import MAX_LINE, FileFeed
from bot.domain.errors import FeedError
from bot.ports import FeedPage
from tests.examples import examples


def row(identifier: object, text: object = "Ona Vell - Moss") -> str:
    return json.dumps({"id": identifier, "text": text}) + "\n"


def ids(page: FeedPage) -> list[str]:
    return [source_post.id for source_post in page.source_posts]


def test_rows_are_read_in_pages_and_each_once(tmp_path: Path) -> None:
    path = tmp_path / "feed.jsonl"
    path.write_text("".join(row(str(number)) for number in range(5)))
    feed = FileFeed(path)
    first = feed.read(None, 2)
    second = feed.read(first.cursor, 2)
    third = feed.read(second.cursor, 2)
    assert [ids(first), ids(second), ids(third)] == [["0", "1"], ["2", "3"], ["4"]]
    assert [first.more, second.more, third.more] == [True, True, False]
    assert ids(feed.read(third.cursor, 2)) == []


def test_rows_that_are_appended_later_are_read_later(tmp_path: Path) -> None:
    path = tmp_path / "feed.jsonl"
    path.write_text(row("1"))
    feed = FileFeed(path)
    cursor = feed.read(None, 10).cursor
    with path.open("a") as file:
        file.write(row("2"))
    assert ids(feed.read(cursor, 10)) == ["2"]


@pytest.mark.parametrize("cut", [1, 5, 20, 30])
def test_a_half_written_last_line_waits_for_its_end(tmp_path: Path, cut: int) -> None:
    path = tmp_path / "feed.jsonl"
    last = row("2", "schön")
    path.write_text(row("1") + last[:cut])
    feed = FileFeed(path)
    page = feed.read(None, 10)
    assert (ids(page), page.odd_items) == (["1"], ())
    path.write_text(row("1") + last + row("3"))
    assert ids(feed.read(page.cursor, 10)) == ["2", "3"]


def test_a_last_line_without_newline_is_read_once_it_is_whole(tmp_path: Path) -> None:
    path = tmp_path / "feed.jsonl"
    path.write_text(row("1") + row("2").rstrip("\n"))
    feed = FileFeed(path)
    page = feed.read(None, 10)
    assert ids(page) == ["1", "2"]
    with path.open("a") as file:
        file.write("\n" + "nonsense\n" + row("3"))
    later = feed.read(page.cursor, 10)
    assert (ids(later), [odd.key for odd in later.odd_items]) == (["3"], ["line 3"])


def test_odd_items_are_recorded_with_line_and_reason_and_passed_over(tmp_path: Path) -> None:
    path = tmp_path / "feed.jsonl"
    bad = [
        "{",
        "[1]",
        '{"id": "7"}',
        '{"id": 1.5, "text": "x"}',
        '{"id": "8", "text": 5}',
        '{"id": "a\\u0000", "text": ""}',
    ]
    path.write_text(row("1") + "\n  \n" + "\n".join(bad) + "\n" + row(2))
    page = FileFeed(path).read(None, 100)
    assert ids(page) == ["1", "2"]
    assert [odd.key for odd in page.odd_items] == ["line 4", "line 5", "line 6", "line 7", "line 8", "line 9"]
    reasons = [odd.reason for odd in page.odd_items]
    assert "not valid JSON" in reasons[0]
    assert reasons[1] == "must be a JSON object, got list"
    assert reasons[2] == "lacks 'text'; found the keys 'id'"
    assert "1.5" in reasons[3]
    assert "'text' must be a string, got int" in reasons[4]
    assert "printable" in reasons[5]
    assert page.odd_items[2].excerpt == '{"id": "7"}'


def test_bytes_that_are_no_utf8_and_lone_surrogates_harm_nobody(tmp_path: Path) -> None:
    path = tmp_path / "feed.jsonl"
    path.write_bytes(b'\xef\xbb\xbf{"id": "1", "text": "half \\ud83d pair"}\n{"id": "2", "text": "\xff"}\n')
    page = FileFeed(path).read(None, 10)
    assert [source_post.text for source_post in page.source_posts] == ["half ? pair"]
    assert [odd.key for odd in page.odd_items] == ["line 2"]


def test_a_giant_line_is_a_bad_row_and_the_next_one_is_read(tmp_path: Path) -> None:
    path = tmp_path / "feed.jsonl"
    path.write_text(row("1") + "x" * (3 * MAX_LINE) + "\n" + row("2"))
    page = FileFeed(path).read(None, 10)
    assert (ids(page), [odd.key for odd in page.odd_items]) == (["1", "2"], ["line 2"])
    assert len(page.odd_items[0].excerpt) <= 120


@pytest.mark.parametrize(
    ("content", "notice"),
    [(row("9"), "shorter"), (row("7") + row("8") + row("9"), "replaced"), (row("1") + row("8") + row("9"), "replaced")],
)
def test_a_truncated_or_replaced_feed_is_noticed_and_read_anew(tmp_path: Path, content: str, notice: str) -> None:
    path = tmp_path / "feed.jsonl"
    path.write_text(row("1") + row("2"))
    feed = FileFeed(path)
    cursor = feed.read(None, 10).cursor
    path.write_text(content)
    page = feed.read(cursor, 10)
    assert ids(page) == [json.loads(line)["id"] for line in content.splitlines()]
    assert notice in page.notice


def test_a_missing_feed_is_named_with_the_option_that_changes_it(tmp_path: Path) -> None:
    with pytest.raises(FeedError, match=r"none\.jsonl does not exist.*--feed"):
        FileFeed(tmp_path / "none.jsonl").read(None, 10)
    with pytest.raises(FeedError, match="cannot be read: Is a directory"):
        FileFeed(tmp_path).read(None, 10)


def test_a_file_of_another_kind_is_refused_with_line_and_keys(tmp_path: Path) -> None:
    path = tmp_path / "posts.jsonl"
    path.write_text('\n{"artist": "Ona Vell", "genres": []}\n')
    with pytest.raises(FeedError, match=r"line 2: lacks 'id' and 'text'; found the keys 'artist', 'genres'"):
        FileFeed(path).read(None, 10)


def test_an_empty_feed_says_what_it_should_hold(tmp_path: Path) -> None:
    path = tmp_path / "feed.jsonl"
    path.touch()
    page = FileFeed(path).read(None, 10)
    assert "is empty" in page.notice
    assert '"text"' in page.notice
    assert FileFeed(path).read(page.cursor, 10).notice == ""


def test_a_cursor_of_another_kind_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "feed.jsonl"
    path.write_text(row("1"))
    with pytest.raises(FeedError, match="place in the feed is not valid"):
        FileFeed(path).read('{"page": 3}', 10)


@examples(60)
@given(
    texts=st.lists(st.text(max_size=20), max_size=12),
    cuts=st.lists(st.integers(0, 600), max_size=8),
    limit=st.integers(1, 5),
)
def test_a_file_written_in_any_pieces_gives_every_row_once(
    tmp_path_factory: pytest.TempPathFactory, texts: list[str], cuts: list[int], limit: int
) -> None:
    path = tmp_path_factory.mktemp("feed") / "feed.jsonl"
    whole = "".join(row(str(number), text) for number, text in enumerate(texts)).encode()
    feed, cursor, seen = FileFeed(path), None, []
    for cut in [*sorted(min(cut, len(whole)) for cut in cuts), len(whole)]:
        path.write_bytes(whole[:cut])
        more = True
        while more:
            page = feed.read(cursor, limit)
            assert page.odd_items == ()
            assert page.notice == "" or "empty" in page.notice
            seen += ids(page)
            cursor, more = page.cursor, page.more
    assert seen == [str(number) for number in range(len(texts))]
