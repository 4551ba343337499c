import json
import multiprocessing
import os
from pathlib import Path

import pytest

from serving.errors import SecurityError
from serving.security.clients import ClientBook, TokenError, read_clients
from serving.security.settings import ClientLimits
from serving.security.store import add_client, revoke, rotate_token


def add(path: Path, name: str, *, now: float = 0.0) -> str:
    return add_client(path, name, limits=ClientLimits(), now=now, expires=None)


def book(path: Path) -> ClientBook:
    return ClientBook(read_clients(path))


def test_an_added_client_is_let_in_and_its_file_is_its_owners_alone(tmp_path: Path) -> None:
    path = tmp_path / "new" / "clients.json"
    text = add_client(path, "bot", limits=ClientLimits(max_calls=3), now=0, expires=None)
    assert book(path).client_of(text, 0).limits.max_calls == 3
    assert path.stat().st_mode & 0o777 == 0o600
    assert text not in path.read_text()
    assert text.split("_", 2)[2] not in path.read_text()


def test_a_file_that_the_group_may_read_stays_so_and_one_that_all_may_read_does_not(tmp_path: Path) -> None:
    path = tmp_path / "clients.json"
    add(path, "a")
    for mode, kept in ((0o640, 0o640), (0o644, 0o640)):
        path.chmod(mode)
        add(path, f"b{mode}")
        assert path.stat().st_mode & 0o777 == kept


@pytest.mark.skipif(os.geteuid() != 0, reason="only root may give files away")
def test_the_owner_of_the_file_stays(tmp_path: Path) -> None:
    path = tmp_path / "clients.json"
    add(path, "a")
    os.chown(path, 12_345, 12_346)
    add(path, "b")
    assert (path.stat().st_uid, path.stat().st_gid) == (12_345, 12_346)


def test_a_second_client_of_a_name_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "clients.json"
    add(path, "bot")
    with pytest.raises(SecurityError, match="tokens rotate bot"):
        add(path, "bot")


def test_a_bad_name_changes_nothing(tmp_path: Path) -> None:
    path = tmp_path / "clients.json"
    with pytest.raises(SecurityError, match="letters, digits"):
        add(path, "../bot")
    assert not path.exists()


def test_after_a_rotation_both_tokens_are_valid_until_the_old_one_expires(tmp_path: Path) -> None:
    path = tmp_path / "clients.json"
    old = add(path, "bot")
    new = rotate_token(path, "bot", now=100, expires=None, old_until=200)
    known = book(path)
    assert known.client_of(old, 199).name == known.client_of(new, 199).name == "bot"
    with pytest.raises(TokenError):
        known.client_of(old, 200)
    # A rotation does not prolong what expires earlier, and removes what has expired.
    rotate_token(path, "bot", now=150, expires=None, old_until=900)
    with pytest.raises(TokenError):
        book(path).client_of(old, 200)
    rotate_token(path, "bot", now=300, expires=None, old_until=900)
    assert len(read_clients(path)[0].tokens) == 3


def test_a_revoked_token_and_a_revoked_client_are_gone(tmp_path: Path) -> None:
    path = tmp_path / "clients.json"
    old, other = add(path, "bot"), add(path, "other")
    new = rotate_token(path, "bot", now=0, expires=None, old_until=1e9)
    revoke(path, "bot", token=old.split("_")[1])
    with pytest.raises(TokenError):
        book(path).client_of(old, 0)
    assert book(path).client_of(new, 0).name == "bot"
    revoke(path, "bot")
    with pytest.raises(TokenError):
        book(path).client_of(new, 0)
    assert book(path).client_of(other, 0).name == "other"


def test_what_is_not_there_is_not_revoked_and_the_message_lists_what_is(tmp_path: Path) -> None:
    path = tmp_path / "clients.json"
    add(path, "bot")
    with pytest.raises(SecurityError, match="no client x; the clients are bot"):
        revoke(path, "x")
    with pytest.raises(SecurityError, match=r"bot has no token 00000000; its tokens are [0-9a-f]{8}"):
        revoke(path, "bot", token="00000000")  # noqa: S106 - its id
    with pytest.raises(SecurityError, match="cannot be read"):
        rotate_token(tmp_path / "none.json", "bot", now=0, expires=None, old_until=0)


def _add_many(path: Path, prefix: str) -> None:
    for number in range(10):
        add(path, f"{prefix}{number}")


def test_two_processes_that_add_clients_lose_none(tmp_path: Path) -> None:
    path = tmp_path / "clients.json"
    context = multiprocessing.get_context("fork")
    writers = [context.Process(target=_add_many, args=(path, prefix)) for prefix in "ab"]
    for writer in writers:
        writer.start()
    for writer in writers:
        writer.join()
    assert {client.name for client in read_clients(path)} == {f"{p}{n}" for p in "ab" for n in range(10)}
    assert [each.name for each in tmp_path.iterdir() if not each.name.endswith(".lock")] == ["clients.json"]


def test_a_write_that_fails_leaves_the_file_as_it_was(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "clients.json"
    add(path, "bot")
    before = path.read_bytes()

    def full(_: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(SecurityError, match="No space left"):
        add(path, "other")
    assert path.read_bytes() == before
    assert json.loads(before)
    assert sorted(each.name for each in tmp_path.iterdir()) == [".clients.json.lock", "clients.json"]


def test_a_time_that_no_file_can_hold_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "clients.json"
    with pytest.raises(SecurityError, match="year 9999"):
        add_client(path, "bot", limits=ClientLimits(), now=0, expires=1e12)
    assert not path.exists()
