"""Answers of the networks to a post: only one that names the post uses it up."""

from __future__ import annotations

from typing import Any

import pytest

from bot.adapters.bluesky.client import BlueskyClient
from bot.adapters.bluesky.publisher import BlueskyPublisher
from bot.adapters.mastodon.client import MastodonClient
from bot.adapters.mastodon.publisher import MastodonPublisher
from bot.adapters.x.publisher import XPublisher
from bot.domain.errors import CredentialsError, NetworkError, NetworkUnavailableError, PostRefusedError
from bot.domain.outgoing_posts import OutgoingPost, PostMode
from bot.ports import Publisher
from bot.sandbox.server import SandboxServer
from tests.bot.helpers.sandbox_clients import x_keys

POST = OutgoingPost(candidate_id="17.1.1", text="a slow & careful song")
OPERATIONS = {"x": "x.create_tweet", "bluesky": "bluesky.post", "mastodon": "mastodon.post"}


def open_publisher(sandbox: SandboxServer, network: str) -> Publisher:
    url, settings = sandbox.settings.url, sandbox.settings
    if network == "x":
        return XPublisher(keys=x_keys(sandbox), base_url=url, timeout_s=5)
    if network == "bluesky":
        client = BlueskyClient(
            handle=settings.bluesky_handle, app_password=settings.bluesky_password, base_url=url, timeout_s=5
        )
        return BlueskyPublisher(client=client)
    return MastodonPublisher(
        client=MastodonClient(base_url=url, access_token=settings.mastodon_access_token, timeout_s=5)
    )


def code(number: int, message: str) -> dict[str, Any]:
    return {"errors": [{"code": number, "message": message}]}


def problem(title: str, detail: str, kind: str = "about:blank") -> dict[str, Any]:
    return {"title": title, "detail": detail, "type": kind}


def bluesky(name: str, message: str = "") -> dict[str, Any]:
    return {"error": name, "message": message or name}


ABOUT_THE_ACCOUNT: list[tuple[str, int, Any]] = [
    ("x", 402, problem("Payment Required", "Your account has used up what it paid for.", "https://x.example/credits")),
    ("x", 402, problem("Payment Required", "No credit is left")),
    ("x", 403, code(326, "To protect our users, this account is temporarily locked.")),
    ("x", 403, code(64, "Your account is suspended and is not permitted to access this feature.")),
    ("x", 403, code(261, "Application cannot perform write actions.")),
    ("x", 403, code(185, "User is over daily status update limit.")),
    ("x", 403, code(226, "This request looks like it might be automated.")),
    ("x", 403, code(64, "Your account is suspended for duplicate content.")),
    ("x", 403, problem("Forbidden", "You are not permitted to perform this action.")),
    ("x", 403, problem("Forbidden", "Something that nobody has read before.")),
    ("x", 403, problem("Forbidden", "Quoting posts is not permitted for this access level.")),
    ("x", 400, code(215, "Bad Authentication data.")),
    ("bluesky", 400, bluesky("AccountDeactivated", "Account is deactivated")),
    ("bluesky", 400, bluesky("AccountTakedown")),
    ("bluesky", 400, bluesky("RepoDeactivated")),
    ("bluesky", 400, bluesky("InvalidRequest", "Could not find repo: did:plc:abc")),
    ("bluesky", 400, bluesky("InvalidRequest", "Account may not create a record until its address is verified")),
    ("mastodon", 422, {"error": "Your account is not confirmed"}),
    ("mastodon", 403, {"error": "Your login is currently disabled"}),
    ("mastodon", 422, {"error": "Confirm your e-mail address before you write a text"}),
    ("mastodon", 402, {"error": "Pay first"}),
]
ABOUT_NOTHING_KNOWN: list[tuple[str, int, Any]] = [
    *(("x", status, problem("Odd", "an answer of some kind")) for status in (400, 404, 408, 410, 451)),
    ("bluesky", 400, bluesky("UpstreamFailure")),
    ("bluesky", 404, bluesky("NotFound")),
    ("mastodon", 404, {"error": "Record not found"}),
    ("mastodon", 422, {"error": "The server does not like this"}),
    ("mastodon", 451, {"error": "Not here"}),
]
ABOUT_THE_POST: list[tuple[str, int, Any]] = [
    ("x", 403, problem("Forbidden", "You are not allowed to create a Tweet with duplicate content.")),
    ("x", 403, code(187, "Status is a duplicate.")),
    ("x", 403, code(186, "Tweet needs to be a bit shorter.")),
    ("x", 400, {"errors": [{"parameters": {"text": [""]}, "message": "not valid"}], "title": "Invalid Request"}),
    ("bluesky", 400, bluesky("InvalidRequest", "Invalid app.bsky.feed.post record: Record/text is too long")),
    ("mastodon", 422, {"error": "Validation failed: Text can't be blank"}),
]


def answer(sandbox: SandboxServer, case: tuple[str, int, Any]) -> NetworkError:
    network, status, document = case
    publisher = open_publisher(sandbox, network)
    publisher.check()
    sandbox.control.fail(OPERATIONS[network], kind="json", status=status, document=document)
    with pytest.raises(NetworkError) as caught:
        publisher.publish(POST)
    return caught.value


def test_an_answer_about_the_account_calls_the_operator_and_uses_up_no_post(sandbox: SandboxServer) -> None:
    kinds = {str(case): type(answer(sandbox, case)) for case in ABOUT_THE_ACCOUNT}
    assert {case for case, kind in kinds.items() if kind is not CredentialsError} == set()


def test_an_answer_that_nobody_knows_uses_up_no_post(sandbox: SandboxServer) -> None:
    kinds = {str(case): type(answer(sandbox, case)) for case in ABOUT_NOTHING_KNOWN}
    assert {case for case, kind in kinds.items() if kind is not NetworkUnavailableError} == set()


def test_an_answer_that_names_the_post_refuses_it(sandbox: SandboxServer) -> None:
    kinds = {str(case): type(answer(sandbox, case)) for case in ABOUT_THE_POST}
    assert {case for case, kind in kinds.items() if kind is not PostRefusedError} == set()


def test_a_reply_to_a_post_that_is_gone_from_mastodon_is_refused(sandbox: SandboxServer) -> None:
    publisher = open_publisher(sandbox, "mastodon")
    reply = OutgoingPost(candidate_id="1.1.1", text="moss", mode=PostMode.REPLY, in_reply_to="masto:999")
    with pytest.raises(PostRefusedError):
        publisher.publish(reply)


@pytest.mark.parametrize("document", [{"errors": ["no"]}, {"errors": [{"code": [1], "message": {}}]}, {"detail": 5}])
def test_an_error_of_an_odd_form_uses_up_no_post(sandbox: SandboxServer, document: Any) -> None:
    assert not isinstance(answer(sandbox, ("x", 403, document)), PostRefusedError)
