from __future__ import annotations

import json
from dataclasses import replace

import gspread
import pytest
import tweepy

from bot.sandbox.server import SandboxServer
from tests.bot.helpers import published
from tests.bot.helpers.sandbox_clients import append, open_book, open_spotify, open_x

pytestmark = pytest.mark.skipif(
    not published.FOLDER, reason="DEEPHYPEBOT_SPECS names no folder with the published descriptions"
)


def test_every_request_and_answer_is_held_against_a_description(sandbox: SandboxServer) -> None:
    client: tweepy.Client = open_x(sandbox)
    client.create_tweet(text="hello")
    client.get_home_timeline(tweet_fields=["entities", "created_at"], expansions=["author_id"])
    open_spotify(sandbox).search("Moss", type="track")
    sheet: gspread.Worksheet = open_book(sandbox).add_worksheet("Queue", rows=3, cols=3)
    append(sheet, ["1"])
    assert published.check(sandbox.control.exchanges()) == published.Counted(requests=6, answers=6)


@pytest.mark.parametrize(
    ("operation", "old", "new"),
    [
        ("x.create_tweet", b'"id"', b'"identifier"'),
        ("spotify.search", b'"items"', b'"tracks"'),
        ("sheets.append", b'"updatedRows":1', b'"updatedRows":"one"'),
        ("sheets.append", b'"updatedRows"', b'"rowsUpdated"'),
    ],
)
def test_an_answer_that_is_not_as_described_is_noticed(
    sandbox: SandboxServer, operation: str, old: bytes, new: bytes
) -> None:
    open_x(sandbox).create_tweet(text="hello")
    open_spotify(sandbox).search("Moss", type="track")
    append(open_book(sandbox).add_worksheet("Queue", rows=3, cols=3), ["1"])
    (exchange,) = [one for one in sandbox.control.exchanges() if one.operation == operation]
    assert old in exchange.response_body
    broken = replace(exchange, response_body=exchange.response_body.replace(old, new))
    with pytest.raises(AssertionError, match=operation):
        published.check([broken])


def test_a_request_that_is_not_as_described_is_noticed(sandbox: SandboxServer) -> None:
    open_x(sandbox).create_tweet(text="hello")
    append(open_book(sandbox).add_worksheet("Queue", rows=3, cols=3), ["1"])
    exchanges = {one.operation: one for one in sandbox.control.exchanges()}
    x, sheets = exchanges["x.create_tweet"], exchanges["sheets.append"]
    for broken in (
        replace(x, body=json.dumps({"text": 17}).encode()),
        replace(sheets, url=sheets.url.replace("RAW", "COOKED")),
        replace(sheets, url=f"{sheets.url}&colour=red"),
        replace(sheets, body=json.dumps({"rows": []}).encode()),
    ):
        with pytest.raises(AssertionError, match=broken.operation):
            published.check([broken])
