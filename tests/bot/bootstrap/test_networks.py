from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
from pydantic import SecretStr

from bot.adapters.lookups import LOOKUPS
from bot.bootstrap import networks
from bot.domain.errors import CredentialsError
from bot.domain.networks import BLUESKY, MASTODON, NETWORKS, Network, X
from bot.domain.outgoing_posts import OutgoingPost
from bot.sandbox.server import LOOKUPS as STAND_INS
from bot.sandbox.server import SandboxServer
from bot.sections import BlueskySettings, MastodonSettings, PostSettings
from bot.settings import BotSettings

# The peak of the process itself: a child inherits getrusage's figure from its parent.
MEMORY = """
from pathlib import Path
{imports}
(peak,) = (line for line in Path("/proc/self/status").read_text().splitlines() if line.startswith("VmHWM"))
print(int(peak.split()[1]) // 1024)
"""


def make_settings(sandbox: SandboxServer, to: str) -> BotSettings:
    known = sandbox.settings
    return BotSettings(
        bluesky=BlueskySettings(
            handle=known.bluesky_handle, app_password=SecretStr(known.bluesky_password), base_url=known.url
        ),
        mastodon=MastodonSettings(base_url=known.url, access_token=SecretStr(known.mastodon_access_token)),
        post=PostSettings(to=to),
    )


def test_every_network_and_lookup_has_a_section_a_check_and_a_stand_in() -> None:
    accounts = BotSettings().accounts
    assert set(networks.ADAPTERS) == set(NETWORKS)
    assert tuple(stand_in.name for stand_in in STAND_INS) == LOOKUPS
    assert {*NETWORKS, *LOOKUPS, "sheet"} == set(accounts) == set(networks.checks(BotSettings()))


@pytest.mark.parametrize(
    ("network", "identifier", "author", "url"),
    [
        (X, "17", "", "https://x.com/i/status/17"),
        (X, "17", "radio", "https://x.com/radio/status/17"),
        (X, "at://17", "", ""),
        (BLUESKY, "bsky:at://did:plc:1/app.bsky.feed.post/3k", "", "https://bsky.app/profile/did%3Aplc%3A1/post/3k"),
        (BLUESKY, "at://did:plc:1/app.bsky.feed.post/3k", "a.test", "https://bsky.app/profile/a.test/post/3k"),
        (BLUESKY, "at://did:plc:1", "", ""),
        (MASTODON, "masto:17", "", ""),
    ],
)
def test_the_address_of_a_post_follows_from_its_id(network: Network, identifier: str, author: str, url: str) -> None:
    assert network.url_of(identifier, author) == url


@pytest.mark.parametrize("to", ["bluesky", "mastodon"])
def test_what_the_settings_switch_on_reads_and_posts(sandbox: SandboxServer, to: str) -> None:
    settings = make_settings(sandbox, to)
    sandbox.control.add_posts([{"text": "“Moss” by Ona Vell"}], to)
    sources = networks.open_sources(settings)
    assert [source.name.rpartition(":")[0].partition(":http")[0] for source in sources] == [
        # Somebody waits for an answer to a mention.
        "bluesky:mentions",
        "bluesky:timeline",
        "mastodon:mentions",
        "mastodon:timeline",
    ]
    timelines = [source for source in sources if ":timeline" in source.name]
    read = {source.name.partition(":")[0]: source.read(None, 10).source_posts for source in timelines}
    assert [source_post.text for source_post in read[to]] == ["“Moss” by Ona Vell"]
    publisher = networks.open_publisher(settings)
    assert publisher is not None
    assert publisher.name == to
    publisher.publish(OutgoingPost(candidate_id="1.1.1", text="slow and careful"))
    assert [post["text"] for post in sandbox.control.posted(to)] == ["slow and careful"]


def test_bluesky_is_signed_in_to_once_for_all_that_use_it(sandbox: SandboxServer) -> None:
    settings = make_settings(sandbox, "bluesky")
    for source in networks.open_sources(settings)[:2]:
        source.read(None, 10)
    assert networks.checks(settings)["bluesky"]() == "@sandboxbot.test"
    assert len(sandbox.control.calls("bluesky.login")) == 1


def test_an_account_that_does_not_work_is_told_by_its_check(sandbox: SandboxServer) -> None:
    settings = make_settings(sandbox, "mastodon")
    assert networks.checks(settings)["mastodon"]() == "@sandboxbot"
    sandbox.control.fail("mastodon.me", status=401)
    with pytest.raises(CredentialsError):
        networks.checks(settings)["mastodon"]()


@pytest.mark.slow
@pytest.mark.skipif(sys.platform != "linux", reason="a process's memory is read from /proc")
@pytest.mark.parametrize(
    ("modules", "most_mib"),
    [
        ("x.source, x.publisher, lookups.spotify, lookups.lastfm, lookups.musicbrainz, sheets.board", 80),
        ("mastodon.source, mastodon.publisher", 65),
        ("bluesky.source, bluesky.publisher", 85),
    ],
)
def test_the_libraries_of_the_networks_stay_within_their_memory(modules: str, most_mib: int) -> None:
    imports = "\n".join(f"import bot.adapters.{module}" for module in modules.split(", "))
    done = subprocess.run(
        [sys.executable, "-c", MEMORY.format(imports=imports)],
        check=True,
        capture_output=True,
        text=True,
        cwd=Path(__file__).parents[3],
        env=os.environ,
    )
    assert int(done.stdout) < most_mib
