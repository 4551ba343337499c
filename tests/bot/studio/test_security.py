"""Only pages of the studio's own, on this machine, may change anything; nothing from outside becomes markup."""

from __future__ import annotations

import re
import socket
from collections.abc import Callable
from datetime import UTC, datetime

import pytest

from bot.adapters.sqlite.store import SqliteStore
from bot.domain.candidates import Decision, Verdict
from bot.studio.site import MAX_EDIT
from tests.bot.helpers.studio_world import HOSTILE, Client, Untouched

FIRST = "101.1.1"
ACCEPT = [("decision", "accept"), ("candidate", FIRST), ("seen", "0")]


@pytest.mark.parametrize(
    "host", ["evil.example", "evil.example:80", "127.0.0.1.evil.example", "", "[::1", "localhost.", "@localhost"]
)
def test_another_name_for_this_machine_gets_nothing(untouched: Untouched, host: str) -> None:
    for path in (
        "/",
        "/posted",
        "/try",
        "/models",
        "/experiments",
        "/experiments/a",
        "/static/untouched.js",
        "/waiting",
    ):
        answer = untouched.get(path, Host=host)
        assert answer.status == 400
        assert "Slow Lamp" not in answer.text


def test_this_machine_by_either_name_gets_the_page(untouched: Untouched) -> None:
    port = untouched.host.partition(":")[2]
    for host in (f"127.0.0.1:{port}", f"localhost:{port}", "localhost:9000"):
        assert untouched.get("/", Host=host).status == 200


def test_it_listens_on_one_address_of_loopback_alone(untouched: Untouched) -> None:
    port = int(untouched.host.partition(":")[2])
    # All of 127.0.0.0/8 is this machine: a server that listens on every address answers here too.
    with pytest.raises(OSError), socket.create_connection(("127.0.0.2", port), timeout=5):  # noqa: PT011 -- by system
        pass


@pytest.mark.parametrize(
    "headers",
    [
        {"Origin": "http://evil.example"},
        {"Origin": "null"},
        {"Origin": "http://127.0.0.1:1"},
        {"Sec-Fetch-Site": "cross-site"},
        {"Sec-Fetch-Site": "same-site"},
    ],
)
def test_a_verdict_from_another_site_is_refused_even_with_the_token(
    untouched: Untouched, headers: dict[str, str]
) -> None:
    assert untouched.decide(ACCEPT, **headers).status == 403
    assert untouched.is_undecided()


@pytest.mark.parametrize("token", ["", "x", "é", "\udcff"])
def test_a_verdict_without_the_pages_token_is_refused_and_says_what_to_do(untouched: Untouched, token: str) -> None:
    token = token.encode("utf-8", "surrogateescape").decode("latin-1")
    answer = untouched.decide(ACCEPT, token=token)
    assert answer.status == 403
    assert "reload" in answer.text
    assert untouched.is_undecided()


def test_a_verdict_is_given_by_post_alone(untouched: Untouched) -> None:
    token = untouched.token()
    assert untouched.get(f"/verdicts?token={token}&decision=accept&candidate={FIRST}&seen=0").status == 405
    assert untouched.is_undecided()


@pytest.mark.usefixtures("filled")
def test_two_studios_do_not_take_each_others_tokens(untouched: Untouched, open_studio: Callable[..., Client]) -> None:
    other = open_studio()
    assert untouched.decide(ACCEPT, token=other.token()).status == 403
    assert untouched.is_undecided()


@pytest.mark.parametrize(
    ("fields", "status"),
    [
        ([], 400),
        ([("decision", "accept")], 400),
        ([("decision", "burn"), ("candidate", FIRST), ("seen", "0")], 400),
        ([("decision", "accept"), ("candidate", FIRST)], 400),
        ([("decision", "accept"), ("candidate", FIRST), ("seen", "-1")], 400),
        ([("decision", "accept"), ("candidate", FIRST), ("seen", "٣")], 400),
        ([("decision", "accept"), ("candidate", FIRST), ("seen", "0"), ("text", "  \r\n ")], 400),
        ([("decision", "accept"), ("candidate", FIRST), ("seen", "0"), ("text", "a\x00b")], 400),
        ([("decision", "accept"), ("candidate", FIRST), ("seen", "0"), ("text", "x" * (MAX_EDIT + 1))], 400),
        ([("decision", "reject"), ("candidate", FIRST), ("seen", "0"), ("text", "x")], 400),
        ([("decision", "accept"), *[("candidate", FIRST), ("seen", "0")] * 2, ("text", "x")], 400),
        ([("decision", "accept"), ("candidate", "nobody"), ("seen", "0")], 404),
        ([("decision", "accept"), ("candidate", FIRST), ("seen", "9" * 400)], 409),
        ([("decision", "accept"), ("candidate", FIRST), ("seen", "0"), ("text", "x" * 300_000)], 413),
        ([("decision", "accept"), *[("candidate", FIRST), ("seen", "0")] * 400], 400),
    ],
)
def test_a_form_that_makes_no_sense_is_refused_and_changes_nothing(
    untouched: Untouched, fields: list[tuple[str, str]], status: int
) -> None:
    answer = untouched.decide(fields)
    assert answer.status == status
    assert "<h1>" in answer.text
    assert untouched.is_undecided()


def test_a_body_of_another_kind_is_refused(untouched: Untouched) -> None:
    for kind in ("application/json", "text/plain", "multipart/form-data; boundary=x"):
        assert untouched.decide(ACCEPT, **{"Content-Type": kind}).status == 415
    broken = untouched.ask(
        "POST", "/verdicts", body=b"token=\xff", **{"Content-Type": "application/x-www-form-urlencoded"}
    )
    assert broken.status == 400
    assert untouched.is_undecided()


@pytest.mark.parametrize(
    "back",
    ["https://evil.example/", "//evil.example", "/\\evil.example", "javascript:alert(1)", "/?x\r\nSet-Cookie: a=b"],
)
def test_after_a_verdict_the_browser_stays_with_the_studio(studio: Client, back: str) -> None:
    answer = studio.decide([*ACCEPT, ("back", back)])
    assert answer.status == 303
    assert re.match(r"/(\?|#)", answer.headers["location"])
    assert "set-cookie" not in answer.headers


def test_every_answer_forbids_foreign_scripts_frames_and_caches(untouched: Untouched) -> None:
    for path in ("/", "/posted", "/try", "/models", "/nowhere", "/?status=burnt", "/static/untouched.css"):
        headers = untouched.get(path).headers
        policy = headers["content-security-policy"]
        assert policy.startswith("default-src 'none'")
        assert "unsafe" not in policy
        assert "frame-ancestors 'none'" in policy
        assert headers["x-content-type-options"] == "nosniff"
        assert headers["cache-control"] == "no-store"
        assert "server" not in headers


@pytest.mark.parametrize("path", ["/?status=all", "/?status=all&order=newest", "/posted"])
def test_text_from_outside_is_never_markup(studio: Client, filled: SqliteStore, path: str) -> None:
    hostile = [row.candidate.id for row in filled.rows() if row.candidate.sample.text == HOSTILE]
    filled.decide([Verdict(candidate_id=hostile[0], decision=Decision.ACCEPT, who=HOSTILE, edited_text=HOSTILE + "!")])
    filled.enqueue_accepted(since=datetime(2020, 1, 1, tzinfo=UTC))
    pages = [studio.get(path).text]
    while found := re.search(r'<a href="([^"]+)" rel="next"', pages[-1]):
        pages.append(studio.get(found[1].replace("&amp;", "&")).text)
    text = "".join(pages)
    assert "&lt;script&gt;" in text
    assert "<script>document" not in text
    assert "<img src=x" not in text
    assert "javascript:" not in re.findall(r'(?:href|src|action)="([^"]*)', text)
    assert not re.search(r'(href|src|action)="\s*javascript:', text)
    scripts = re.findall(r"<script[^>]*>", text)
    assert len(scripts) == len(pages)
    assert all(re.fullmatch(r'<script type="module" src="/static/[0-9a-f]{12}/js/main\.js">', tag) for tag in scripts)
    assert not re.search(r"\son\w+=", re.sub(r'"[^"]*"', '""', re.sub(r">[^<]*<", "><", text)))
    assert " style=" not in text


def test_what_is_typed_into_an_address_comes_back_as_text(untouched: Untouched) -> None:
    for path in (
        "/try?query=%3Cscript%3E&genres=%22%3E%3Cb%3E&seed=%3Ci%3E&go=1",
        "/?status=%3Cscript%3E",
        "/?after=%3Cscript%3E",
    ):
        answer = untouched.get(path)
        assert "<script>" not in answer.text
        assert '"><b>' not in answer.text


def test_files_beside_the_pages_own_are_not_served(untouched: Untouched) -> None:
    for path in (
        "/static/../app.py",
        "/static/%2e%2e/app.py",
        "/static/..%2fapp.py",
        "/static//etc/passwd",
        "/static/",
    ):
        assert untouched.get(path).status == 404
