from pathlib import Path

import pytest

from serving.client import CommentaryClient, Credentials, CredentialsError
from serving.credentials import VARIABLES, BearerToken

TOKEN = "dhb_0a1b2c3d_secret"  # noqa: S105 - of no gateway
HERE = "127.0.0.1:50051"


def shown(credentials: Credentials, target: str = HERE) -> BearerToken:
    return BearerToken(credentials, target=target, is_secure=False)


def test_the_environment_names_credentials_and_options_stand_before_it(monkeypatch: pytest.MonkeyPatch) -> None:
    for variable in VARIABLES.values():
        monkeypatch.delenv(variable, raising=False)
    assert Credentials.from_environment() == Credentials()
    monkeypatch.setenv("DEEPHYPEBOT_CA", "a.pem")
    monkeypatch.setenv("DEEPHYPEBOT_CLIENT_CERT", "c.pem")
    monkeypatch.setenv("DEEPHYPEBOT_CLIENT_KEY", "k.pem")
    monkeypatch.setenv("DEEPHYPEBOT_SERVER_NAME", "gateway.example")
    monkeypatch.setenv("DEEPHYPEBOT_TOKEN", TOKEN)
    expected = Credentials(
        ca=Path("a.pem"),
        client_cert=Path("c.pem"),
        client_key=Path("k.pem"),
        server_name="gateway.example",
        token=TOKEN,
    )
    assert Credentials.from_environment() == expected
    given = Credentials.from_environment(ca=Path("b.pem"), token_file=Path("t"))
    assert (given.ca, given.token, given.token_file) == (Path("b.pem"), "", Path("t"))


def test_a_token_is_never_a_part_of_the_text_of_its_credentials() -> None:
    assert TOKEN not in repr(Credentials(token=TOKEN))


@pytest.mark.parametrize("target", ["gateway.example:50051", "dns:///gateway.example:1", "ipv4:127.0.0.1:1,10.0.0.1:1"])
def test_a_token_does_not_go_to_another_machine_in_the_clear(target: str) -> None:
    with pytest.raises(CredentialsError, match=r"in the clear.*--ca") as caught:
        CommentaryClient(target, credentials=Credentials(token=TOKEN))
    assert TOKEN not in str(caught.value)
    CommentaryClient(target).close()
    CommentaryClient(target, credentials=Credentials(token=TOKEN, tls=True)).close()


@pytest.mark.parametrize("target", [HERE, "localhost:1", "[::1]:1", "unix:/run/gateway.sock", "dns:///localhost:1"])
def test_a_token_goes_to_this_machine_in_the_clear(target: str) -> None:
    assert shown(Credentials(token=TOKEN), target).metadata() == (("authorization", f"Bearer {TOKEN}"),)


def test_a_changed_token_file_is_read_again_and_a_broken_one_keeps_the_token(tmp_path: Path) -> None:
    path = tmp_path / "token"
    path.write_text("one\n")
    bearer = shown(Credentials(token_file=path))
    assert bearer.metadata() == (("authorization", "Bearer one"),)
    (tmp_path / "new").write_text("two")
    (tmp_path / "new").replace(path)
    assert bearer.metadata() == (("authorization", "Bearer two"),)
    for broken in (b"", b"\xff", b"two words"):
        path.write_bytes(broken)
        assert bearer.metadata() == (("authorization", "Bearer two"),)
    path.unlink()
    assert bearer.metadata() == (("authorization", "Bearer two"),)


@pytest.mark.parametrize("contents", [b"", b"two words", "caf\u00e9".encode(), b"\xff", None])
def test_a_token_file_that_cannot_be_used_is_named(tmp_path: Path, contents: bytes | None) -> None:
    path = tmp_path / "token"
    if contents is not None:
        path.write_bytes(contents)
    with pytest.raises(CredentialsError, match=str(path)):
        shown(Credentials(token_file=path))


def test_files_that_are_missing_and_pairs_that_are_halves_are_named(tmp_path: Path) -> None:
    with pytest.raises(CredentialsError, match=r"none\.pem cannot be read"):
        CommentaryClient(HERE, credentials=Credentials(ca=tmp_path / "none.pem"))
    with pytest.raises(CredentialsError, match="not both"):
        Credentials(token=TOKEN, token_file=tmp_path / "t")
