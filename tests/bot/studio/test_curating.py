"""Search, filters, corrections of songs, reasons and names on the studio's pages, by forms and links alone."""

from __future__ import annotations

import re
import sqlite3
from collections.abc import Callable
from html import unescape
from pathlib import Path
from urllib.parse import quote, urlencode

import pytest

from bot.adapters.sqlite.desk import SqliteDesk
from bot.adapters.sqlite.store import SqliteStore
from bot.domain.candidates import CandidateStatus, RejectReason
from bot.domain.outgoing_posts import OutgoingPostStatus
from bot.domain.source_posts import SourcePost
from bot.ports import QueueRow
from tests.bot.helpers.loopback_gateway import LoopbackGateway
from tests.bot.helpers.studio_world import HOSTILE, RTL, Answer, Client, Untouched, accept, add_song, post

FORM = "application/x-www-form-urlencoded"


def shown(text: str) -> list[str]:
    return [unescape(name) for name in re.findall(r'data-id="([^"]*)"', text)]


def link(text: str, rel: str) -> str:
    found = re.search(rf'<a href="([^"]+)" rel="{rel}"', text)
    return unescape(found[1]) if found else ""


def send(studio: Client, path: str, *fields: tuple[str, str], **headers: str) -> Answer:
    document = urlencode([("token", studio.token()), *fields])
    return studio.ask("POST", path, body=document, **{"Content-Type": FORM, **headers})


def correct(studio: Client, action: str, song: str, ids: list[str], **fields: str) -> Answer:
    seen = [pair for name in ids for pair in (("candidate", name), ("seen", "0"))]
    return send(studio, "/songs", ("action", action), ("song", song), *seen, *fields.items())


def rows_of(store: SqliteStore, source_post_id: str) -> list[QueueRow]:
    return [row for row in store.rows() if row.source_post.id == source_post_id]


# --- Search and filters -----------------------------------------------------------------------------------------------


def test_a_search_is_an_address_that_shows_what_it_found_and_leads_out_of_it(untouched: Untouched) -> None:
    page = untouched.get("/?q=slow+lamp").text
    assert shown(page) == ["101.1.1", "101.1.2", "101.1.3"]
    assert "1 song<" in page
    assert 'value="slow lamp"' in page
    assert '<a href="/?status=waiting&amp;order=oldest" title="remove this filter">search: <bdi>slow lamp</bdi>' in page
    # The other tabs keep the search.
    assert 'href="/?status=accepted&amp;order=oldest&amp;q=slow+lamp"' in page
    assert "Nothing found" in untouched.get("/?q=slow+lamp&artist=nobody").text


def test_pages_are_numbered_and_lead_both_ways(untouched: Untouched) -> None:
    first = untouched.get("/?status=all").text
    assert "page 1 of 2" in first
    assert link(first, "prev") == ""
    second = untouched.get(link(first, "next")).text
    assert "page 2 of 2" in second
    assert shown(untouched.get(link(second, "prev")).text) == shown(first)


@pytest.mark.parametrize(
    ("address", "message"),
    [
        ("flag=purple", "flag must be one of cut off, profanity"),
        ("since=yesterday", "since must be a day such as 2026-01-31, got 'yesterday'"),
        ("since=2026-02-01&until=2026-01-01", "since must not be after until"),
        ("status=all&version=3", "version must be a model and its version such as lcgan/3, got '3'"),
        ("version=lcgan/3", "version selects candidates with a verdict"),
        ("status=waiting&who=ana", "who selects candidates with a verdict"),
        ("order=random", "order must be one of oldest, newest, best, got 'random'"),
        ("after=1.1&before=2.1", "a page is after or before a song"),
        ("before=x", "a place in the queue looks like 17.1"),
        ("q=" + "x" * 201, "q has at most 200 characters, got 201"),
    ],
)
def test_an_address_that_is_wrong_is_refused_in_one_line_with_the_value(
    untouched: Untouched, address: str, message: str
) -> None:
    answer = untouched.get(f"/?{address}")
    assert answer.status == 400
    assert message in unescape(answer.text)


@pytest.mark.parametrize("words", ["%", "'", '"', "\\", "*", "(", "a" * 200, "\N{ZERO WIDTH JOINER}", "\x00", HOSTILE])
def test_words_are_looked_for_as_they_are(untouched: Untouched, words: str) -> None:
    answer = untouched.get(f"/?status=all&q={quote(words)}")
    assert answer.status == 200
    assert "<script>document" not in answer.text


def test_the_tab_of_a_status_lists_candidates_of_that_status_alone(studio: Client, filled: SqliteStore) -> None:
    accept(filled, "101.1.2")
    assert shown(studio.get("/?status=accepted").text) == ["101.1.2"]
    assert shown(studio.get("/?q=slow+lamp").text) == ["101.1.1", "101.1.3"]
    assert shown(studio.get("/?status=all&q=slow+lamp").text) == ["101.1.1", "101.1.2", "101.1.3"]
    assert shown(studio.get("/?status=all&version=lcgan/3").text) == ["101.1.2"]
    assert shown(studio.get("/?status=all&who=jo").text) == ["101.1.2"]


# --- Blind ------------------------------------------------------------------------------------------------------------


def test_nothing_tells_the_version_of_a_candidate_without_a_verdict(
    filled: SqliteStore, gateway: LoopbackGateway, open_studio: Callable[..., Client]
) -> None:
    add_song(filled, SourcePost(id="777", text="x"), ["Old.", "New."], title="Blind", version="secret-7")
    studio = open_studio(gateway.target)
    for path in ("/?q=blind", "/?status=all&q=blind", "/?order=best&q=blind", "/waiting"):
        page = studio.get(path).text
        assert "secret-7" not in page, path
        assert "abab" not in page, path  # the archive
        # The names of topics are those of a live version, which only some candidates have.
        assert "guitar" not in page, path
    looked = send(studio, "/look", ("song", "1.1"))
    changed = studio.ask(
        "POST", "/changed", body=urlencode([("candidate", "777.1.1"), ("state", "9 ")]), **{"Content-Type": FORM}
    )
    for answer in (looked, changed):
        assert answer.status == 200
        assert "secret-7" not in answer.text
    assert shown(studio.get("/?status=all&version=lcgan/secret-7").text) == []
    assert (
        "secret-7"
        in send(
            studio, "/verdicts", ("decision", "reject"), ("candidate", "777.1.1"), ("seen", "0"), x_studio_fragment="1"
        ).text
    )
    assert shown(studio.get("/?status=all&version=lcgan/secret-7").text) == ["777.1.1"]
    # An undo makes the candidate blind again.
    seen = filled_verdict(studio, "777.1.1")
    send(studio, "/verdicts", ("decision", "undo"), ("candidate", "777.1.1"), ("seen", seen))
    assert "secret-7" not in studio.get("/?q=blind").text


def filled_verdict(studio: Client, name: str) -> str:
    page = studio.get("/?status=all&q=blind").text
    found = re.search(
        rf'name="candidate" value="{re.escape(name)}"><input type="hidden" name="seen" value="(\d+)"', page
    )
    assert found
    return found[1]


# --- Corrections ------------------------------------------------------------------------------------------------------


def test_what_is_no_song_is_withdrawn_kept_as_a_label_and_can_be_undone(
    studio: Client, filled: SqliteStore, database: Path
) -> None:
    before = filled.state().versions
    answer = correct(studio, "no song", "1.1", ["101.1.1", "101.1.2", "101.1.3"], back="/?status=waiting&order=oldest")
    assert (answer.status, answer.headers["location"]) == (
        303,
        "/?status=waiting&order=oldest&corrected=1.1#song-1.1",
    )
    rows = rows_of(filled, "101")
    assert [(row.candidate.status, row.candidate.withdrawn) for row in rows] == [("rejected", "no song")] * 3
    # They count neither for nor against the model.
    (tally,) = filled.state().versions
    assert (tally.rejected, tally.waiting) == (0, before[0].waiting - 3)
    assert filled.state().candidates[CandidateStatus.REJECTED] == 3
    with SqliteDesk(database) as desk:
        (label,) = desk.labels()
    assert (label.text, label.label, label.title, label.who) == ("Listen to Slow Lamp", "no song", "Slow Lamp", "ana")
    page = studio.get(answer.headers["location"].partition("#")[0]).text
    assert "“Slow Lamp”</bdi> was corrected" in page
    assert send(studio, "/songs", ("action", "undo"), ("song", "1.1"), ("back", "/")).status == 303
    assert [(row.candidate.status, row.candidate.withdrawn) for row in rows_of(filled, "101")] == [("waiting", "")] * 3
    assert filled.state().versions == before
    with SqliteDesk(database) as desk:
        assert list(desk.labels()) == []
    assert send(studio, "/songs", ("action", "undo"), ("song", "1.1")).status == 409


def test_a_changed_song_gets_new_samples_and_its_old_ones_are_withdrawn(
    studio: Client, filled: SqliteStore, gateway: LoopbackGateway, database: Path
) -> None:
    ids = ["101.1.1", "101.1.2", "101.1.3"]
    answer = correct(
        studio, "change", "1.1", ids, artist="Mica  Dunn", title="Slower Lamp", genres="slowcore, , jazz,jazz"
    )
    assert (answer.status, answer.headers["location"]) == (303, "/?corrected=1.1#song-1.2")
    asked = gateway.requests[-1]
    assert (asked.artist, asked.title, list(asked.genres), asked.num_samples) == (
        "Mica Dunn",
        "Slower Lamp",
        ["slowcore", "jazz"],
        5,
    )
    old, new = rows_of(filled, "101")[:3], rows_of(filled, "101")[3:]
    assert [row.candidate.withdrawn for row in old] == ["song changed"] * 3
    assert [row.candidate.id for row in new] == [f"101.2.{number}" for number in range(1, 6)]
    assert {row.candidate.status for row in new} == {CandidateStatus.WAITING}
    report = new[0].candidate.report
    assert (report.artist, report.song.title, report.genres, report.origin) == (
        "Mica Dunn",
        "Slower Lamp",
        ("slowcore", "jazz"),
        "curator",
    )
    assert new[0].candidate.genres_unknown == ("slowcore",)
    assert shown(studio.get("/?q=slower+lamp").text) == [row.candidate.id for row in new]
    with SqliteDesk(database) as desk:
        (label,) = desk.labels()
    assert (label.label, label.right_artist, label.right_title, label.right_genres) == (
        "song changed",
        "Mica Dunn",
        "Slower Lamp",
        ("slowcore", "jazz"),
    )
    assert send(studio, "/songs", ("action", "undo"), ("song", "1.1")).status == 303
    assert [row.candidate.status for row in rows_of(filled, "101")] == ["waiting"] * 3 + ["rejected"] * 5
    assert {row.candidate.withdrawn for row in rows_of(filled, "101")[3:]} == {"song changed"}


def test_genres_that_are_left_open_are_looked_up(studio: Client, filled: SqliteStore) -> None:
    ids = ["101.1.1", "101.1.2", "101.1.3"]
    assert correct(studio, "change", "1.1", ids, artist="Tor Brisk", title="Slow Lamp", genres="").status == 303
    report = rows_of(filled, "101")[-1].candidate.report
    assert report.origin in {"table", ""}
    assert report.artist == "Tor Brisk"


@pytest.mark.parametrize(
    ("names", "message"),
    [
        (("", "Moss", ""), "a song needs its artist"),
        (("Ona", " ", ""), "a song needs its title"),
        (("Ona", "x" * 501, ""), "title has at most"),
        (("Ona Vell", "Slow Lamp", "dream pop"), "the same as before"),
    ],
)
def test_a_change_that_is_none_changes_nothing_and_asks_for_nothing(
    studio: Client, filled: SqliteStore, gateway: LoopbackGateway, names: tuple[str, str, str], message: str
) -> None:
    fields = dict(zip(("artist", "title", "genres"), names, strict=True))
    answer = correct(studio, "change", "1.1", ["101.1.1", "101.1.2", "101.1.3"], **fields)
    assert answer.status == 400
    assert message in unescape(answer.text)
    assert gateway.requests == []
    assert {row.candidate.status for row in filled.rows()} == {CandidateStatus.WAITING}


@pytest.mark.usefixtures("filled")
def test_without_a_gateway_a_change_says_so_and_changes_nothing(
    open_studio: Callable[..., Client], database: Path
) -> None:
    studio = open_studio()
    ids = ["101.1.1", "101.1.2", "101.1.3"]
    assert correct(studio, "change", "1.1", ids, artist="Mica", title="Moss", genres="jazz").status == 503
    with SqliteStore(database) as store:
        assert {row.candidate.withdrawn for row in store.rows()} == {""}
    # A song that is marked as none needs no gateway.
    assert correct(studio, "no song", "1.1", ids).status == 303


def test_a_correction_of_what_somebody_else_decided_on_meanwhile_changes_nothing(
    studio: Client, filled: SqliteStore, database: Path
) -> None:
    accept(filled, "101.1.2")
    assert correct(studio, "no song", "1.1", ["101.1.1", "101.1.2", "101.1.3"]).status == 409
    # A candidate that waits has to be on the page that was seen.
    assert correct(studio, "no song", "1.1", ["101.1.1"]).status == 409
    assert correct(studio, "no song", "9999.1", ["101.1.1"]).status == 404
    assert correct(studio, "none", "1.1", ["101.1.1"]).status == 400
    assert [row.candidate.withdrawn for row in rows_of(filled, "101")] == [""] * 3
    with SqliteDesk(database) as desk:
        assert list(desk.labels()) == []


def test_a_post_that_may_be_out_stays_when_its_song_is_corrected(studio: Client, filled: SqliteStore) -> None:
    accept(filled, "101.1.1", "101.1.2")
    post(filled, "101.1.1", OutgoingPostStatus.SENT, external_id="77")
    assert correct(studio, "no song", "1.1", ["101.1.3"]).status == 303
    assert [(row.candidate.status, row.candidate.withdrawn) for row in rows_of(filled, "101")] == [
        ("accepted", ""),
        ("rejected", "no song"),
        ("rejected", "no song"),
    ]


def test_a_withdrawn_candidate_is_a_rejected_row_of_the_sheet(studio: Client, filled: SqliteStore) -> None:
    filled.begin_append(["101.1.1"])
    filled.settle_appends(there=["101.1.1"], missing=[])
    correct(studio, "no song", "1.1", ["101.1.1", "101.1.2", "101.1.3"])
    (edit,) = filled.begin_edits(10, post_of=lambda _, text: text)
    assert (edit.candidate_id, edit.status) == ("101.1.1", "rejected")


@pytest.mark.parametrize("step", ["UPDATE ON candidate", "INSERT ON verdict", "INSERT ON song", "INSERT ON song_label"])
def test_a_correction_that_cannot_be_written_to_its_end_is_not_written_at_all(
    studio: Client, filled: SqliteStore, database: Path, step: str
) -> None:
    connection = sqlite3.connect(database)
    before = list(filled.rows())
    connection.execute(f"CREATE TRIGGER full BEFORE {step} BEGIN SELECT RAISE(ABORT, 'disk full'); END")
    ids = ["101.1.1", "101.1.2", "101.1.3"]
    answer = correct(studio, "change", "1.1", ids, artist="Mica", title="Moss", genres="jazz")
    assert answer.status == 503
    assert "disk full" in answer.text
    connection.execute("DROP TRIGGER full")
    (labels,) = connection.execute("SELECT COUNT(*) FROM song_label").fetchone()
    connection.close()
    assert (list(filled.rows()), labels) == (before, 0)
    assert correct(studio, "change", "1.1", ids, artist="Mica", title="Moss", genres="jazz").status == 303


def test_a_verdict_on_a_withdrawn_candidate_ends_the_label(studio: Client, filled: SqliteStore, database: Path) -> None:
    correct(studio, "no song", "1.1", ["101.1.1", "101.1.2", "101.1.3"])
    accept(filled, "101.1.2")
    assert rows_of(filled, "101")[1].candidate.withdrawn == ""
    with SqliteDesk(database) as desk:
        assert list(desk.labels()) == []


# --- Reasons, selections, names ---------------------------------------------------------------------------------------


def test_a_rejection_may_have_a_reason_which_is_shown_and_kept(studio: Client, filled: SqliteStore) -> None:
    page = studio.get("/?q=slow+lamp").text
    for number, reason in enumerate(RejectReason, start=1):
        assert re.search(rf'value="{reason}" [^>]*data-reason="{number}"', page)
    fields = [("decision", "reject"), ("reason", "makes no sense"), ("candidate", "101.1.1"), ("seen", "0")]
    assert studio.decide(fields).status == 303
    verdict = rows_of(filled, "101")[0].verdict
    assert verdict
    assert verdict.reason == "makes no sense"
    assert "makes no sense</span>" in studio.get("/?status=rejected").text


@pytest.mark.parametrize(
    "fields", [[("decision", "reject"), ("reason", "because")], [("decision", "accept"), ("reason", "makes no sense")]]
)
def test_a_reason_that_is_none_is_refused(studio: Client, filled: SqliteStore, fields: list[tuple[str, str]]) -> None:
    assert studio.decide([*fields, ("candidate", "101.1.1"), ("seen", "0")]).status == 400
    assert rows_of(filled, "101")[0].verdict is None


def test_selected_candidates_are_decided_in_one_step_or_not_at_all(studio: Client, filled: SqliteStore) -> None:
    picks = [("pick", "0:101.1.1"), ("pick", "0:102.1.3")]
    assert studio.decide([("decision", "reject"), *picks]).status == 303
    assert filled.state().candidates[CandidateStatus.REJECTED] == 2
    # One of them is decided by now.
    assert studio.decide([("decision", "accept"), ("pick", "0:103.1.1"), *picks]).status == 409
    assert filled.state().candidates[CandidateStatus.ACCEPTED] == 0
    # One may not be posted: the answer names it.
    hostile = next(row.candidate.id for row in filled.rows() if row.candidate.sample.text == RTL)
    answer = studio.decide([("decision", "accept"), ("pick", "0:103.1.1"), ("pick", f"0:{hostile}")])
    assert answer.status == 400
    assert f"{hostile}: " in unescape(answer.text)
    assert "nothing was changed" in answer.text
    assert studio.decide([("decision", "accept"), ("pick", "x:103.1.1")]).status == 400


def test_a_name_chosen_on_the_page_is_recorded_with_verdicts(studio: Client, filled: SqliteStore) -> None:
    answer = send(studio, "/curator", ("who", "  Mila  Rós "), ("back", "/?status=all"))
    assert (answer.status, answer.headers["location"]) == (303, "/?status=all")
    cookie = answer.headers["set-cookie"]
    assert "HttpOnly" in cookie
    assert "SameSite=strict" in cookie
    given = cookie.partition(";")[0]
    assert ">Mila Rós<" in studio.get("/", Cookie=given).text.replace("</span>", ">")
    assert studio.decide([("decision", "accept"), ("candidate", "101.1.1"), ("seen", "0")], Cookie=given).status == 303
    verdict = rows_of(filled, "101")[0].verdict
    assert verdict
    assert verdict.who == "Mila Rós"
    # Another browser has the name of the command.
    studio.decide([("decision", "accept"), ("candidate", "102.1.1"), ("seen", "0")])
    verdict = rows_of(filled, "102")[0].verdict
    assert verdict
    assert verdict.who == "ana"


@pytest.mark.parametrize("name", ["x" * 61, "a\x07b", "a\u202eb"])
def test_a_name_that_is_none_is_refused_and_a_cookie_with_one_is_not_believed(untouched: Untouched, name: str) -> None:
    assert send(untouched, "/curator", ("who", name)).status == 400
    assert ">ana<" in untouched.get("/", Cookie=f"deephypebot_curator={quote(name)}").text.replace("</span>", ">")


def test_an_empty_name_returns_to_that_of_the_command(untouched: Untouched) -> None:
    assert "Max-Age=0" in send(untouched, "/curator", ("who", " ")).headers["set-cookie"]


def test_curators_see_who_looks_at_a_song_and_how_far_the_day_is(studio: Client, filled: SqliteStore) -> None:
    accept(filled, "102.1.1")
    studio.decide([("decision", "reject"), ("candidate", "101.1.1"), ("seen", "0")])
    mila = f"deephypebot_curator={quote('Mila')}"
    assert send(studio, "/look", ("song", "2.1"), Cookie=mila).status == 200
    answer = send(studio, "/look", ("song", "1.1"))
    assert '"looking":{"2.1":["Mila"]}' in answer.text
    assert "1 of 2 today, 26 left" in answer.text
    assert "1 of 2 today, 26 left" in studio.get("/").text
    # A curator that looks at nothing is seen nowhere.
    send(studio, "/look", ("song", ""), Cookie=mila)
    assert '"looking":{}' in send(studio, "/look", ("song", "1.1")).text


@pytest.mark.parametrize("path", ["/songs", "/curator", "/look", "/try"])
def test_what_changes_something_comes_from_the_studios_own_pages(untouched: Untouched, path: str) -> None:
    body = urlencode([("action", "no song"), ("song", "1.1"), ("who", "eve"), ("address", "/try?go=1")])
    kind = {"Content-Type": FORM}
    assert untouched.ask("POST", path, body=body, **kind).status == 403
    foreign = {**kind, "Origin": "http://evil.example"}
    token = quote(untouched.token())
    assert untouched.ask("POST", path, body=f"{body}&token={token}", **foreign).status == 403
    assert untouched.is_undecided()


# --- Try it -----------------------------------------------------------------------------------------------------------


def test_a_sample_that_was_tried_goes_to_the_queue_once(studio: Client, filled: SqliteStore) -> None:
    page = studio.get("/try?artist=Ona&title=Tin&genres=jazz&num_samples=2&seed=7&go=1").text
    forms = re.findall(r'name="address" value="([^"]+)"><input type="hidden" name="text" value="([^"]+)"', page)
    assert len(forms) == 2
    address, text = map(unescape, forms[1])
    for _ in range(2):
        answer = send(studio, "/try", ("address", address), ("text", text))
        assert (answer.status, answer.headers["location"]) == (303, "/?status=waiting&order=newest")
    (row,) = [row for row in filled.rows() if row.source_post.id.startswith("studio:")]
    assert (row.text, row.candidate.report.artist, row.candidate.report.genres) == (text, "Ona", ("jazz",))
    assert (row.source_post.author, row.source_post.text) == ("ana", "Ona – Tin")
    assert shown(studio.get("/?order=newest").text)[0] == row.candidate.id


def test_a_sample_that_the_model_no_longer_generates_is_not_added(studio: Client, filled: SqliteStore) -> None:
    address = "/try?artist=Ona&title=Tin&num_samples=1&best_of=1&seed=7&go=1"
    assert send(studio, "/try", ("address", address), ("text", "Another text.")).status == 409
    assert send(studio, "/try", ("address", "/try?num_samples=x"), ("text", "")).status == 400
    assert all(not row.source_post.id.startswith("studio:") for row in filled.rows())


# --- The database -----------------------------------------------------------------------------------------------------


def test_every_way_in_keeps_a_candidate_findable(filled: SqliteStore, database: Path) -> None:
    accept(filled, "101.1.1", text="A zither.")
    connection = sqlite3.connect(database)
    missing = connection.execute(
        "SELECT id FROM candidate LEFT JOIN search ON candidate_id = id WHERE candidate_id IS NULL"
    ).fetchall()
    (words,) = connection.execute("SELECT words FROM search WHERE candidate_id = '101.1.1'").fetchone()
    connection.close()
    assert missing == []
    assert "zither" in words
