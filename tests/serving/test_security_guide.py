"""The commands of the guide to security, each as it stands there, in the order of an operator who follows it."""

from __future__ import annotations

import asyncio
import re
import shlex
import subprocess
from pathlib import Path
from typing import Any

import pytest
import typer
from typer.testing import CliRunner, Result

from deephypebot import build_app
from foundation.signatures import SigningKey, TrustedKeys
from serving.client import CommentaryClient, Credentials
from serving.security.settings import SecuritySettings
from tests.serving.loopback_gateway import Bench, bench
from tests.serving.support import ask

GUIDE = Path(__file__).parents[2] / "docs/guides/security.md"
SECURITY_OPTIONS = ("tls_cert", "tls_key", "tls_client_ca", "clients_file", "insecure_listen")


def commands() -> list[str]:
    blocks = re.findall(r"^```sh\n(.*?)^```", GUIDE.read_text(encoding="utf-8"), re.MULTILINE | re.DOTALL)
    lines = "".join(blocks).replace("\\\n", " ").splitlines()
    return [line.partition("  #")[0].strip() for line in lines]


def of(start: str) -> list[str]:
    found = [line for line in commands() if line.startswith(start)]
    assert found, f"the guide has no command {start}"
    return found


def run(line: str, **replaced: str) -> Result:
    """Run a command of ours in this process; what a shell would redirect goes to its file."""
    for old, new in replaced.items():
        line = line.replace(old, new)
    words, _, file = line.removeprefix("deephypebot ").partition(" > ")
    result = CliRunner().invoke(build_app([words.split()[0]]), shlex.split(words))
    assert result.exit_code == 0, (result.output, result.exception)
    if file:
        Path(file.strip()).write_text(result.stdout)
    return result


def settings_of(line: str) -> tuple[str, SecuritySettings]:
    """Host and security settings that the options of `serve` mean."""
    command: Any = typer.main.get_command(build_app(["serve"]))
    context = command.commands["serve"].make_context("serve", shlex.split(line)[2:])
    values = {name: context.params[name] for name in SECURITY_OPTIONS}
    return context.params["host"], SecuritySettings(**values)


def kept_token() -> str:
    return Path("bot.token").read_text().strip()


def ids(listing: str) -> list[str]:
    return re.findall(r"\b[0-9a-f]{8}\b", listing)


@pytest.mark.slow
def test_an_operator_who_follows_the_guide_has_a_gateway_that_lets_clients_in(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    script = "\n".join(line for line in commands() if line.startswith(("openssl", "printf")))
    subprocess.run(["sh", "-ec", script], check=True, capture_output=True)
    (add,) = of("deephypebot tokens add")
    run(add)
    host, security = settings_of(of("deephypebot serve")[0])
    assert host == "0.0.0.0"  # noqa: S104 - what the guide is about

    async def scene() -> None:
        async with bench(host=host, security=security) as it:
            here = f"127.0.0.1:{it.target.rpartition(':')[2]}"
            (generate,) = of("deephypebot generate")
            answer = await asyncio.to_thread(run, generate, **{"gateway.example:50051": here})
            assert "lcgan/2" in answer.output
            await follow_rotation(it, here)

    async def follow_rotation(it: Bench, here: str) -> None:
        clients = it.gateway.security._clients
        assert clients is not None
        old = kept_token()
        run(of("deephypebot tokens rotate")[0])
        listing = run(of("deephypebot tokens list")[0]).output
        assert len(ids(listing)) == 2
        one, whole = sorted(of("deephypebot tokens revoke"), key=len, reverse=True)
        for token in (old, kept_token()):
            clients.refresh()
            with CommentaryClient(here, credentials=Credentials(ca=Path("ca.pem"), token=token)) as client:
                assert (await asyncio.to_thread(client.generate, ask())).model.version == "2"
        run(one, **{"0a1b2c3d": ids(listing)[0]})
        clients.refresh()
        assert len(clients.value.clients["bot"].tokens) == 1
        run(whole)
        clients.refresh()
        assert not clients.value.clients

    asyncio.run(scene())


def test_an_operator_who_follows_the_guide_has_keys_and_names_them_where_they_belong(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    (new,) = of("deephypebot keys new")
    run(new)
    assert SigningKey.read(Path("release.key")).fingerprint in TrustedKeys.read(Path("release.key.pub")).fingerprints
    named = [line for line in commands() if "--signing-key" in line or "--trusted-keys" in line]
    assert len(named) == 3
    for line in named:
        _, *words = shlex.split(line)
        command: Any = typer.main.get_command(build_app(words))
        while hasattr(command, "commands"):
            command = command.commands[words.pop(0)]
        context = command.make_context(command.name, words)
        found = context.params.get("signing_key") or context.params["trusted_keys"]
        assert found.is_file()


def test_every_command_of_the_guide_is_one_that_the_test_follows() -> None:
    followed = (
        *("openssl", "printf", "deephypebot tokens", "deephypebot serve", "deephypebot generate"),
        *("deephypebot keys", "deephypebot train"),
        *("HASHES=", "sh scripts/lock.sh"),  # tests/image/test_install_script.py
    )
    assert [line for line in commands() if line and not line.startswith(followed)] == []
