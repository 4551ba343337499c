import hashlib

import pytest

from serving.security.tokens import id_of, matches, new_token


def test_a_token_has_256_random_bits_and_only_its_hash_is_kept() -> None:
    made = [new_token(created=1.0, expires=None) for _ in range(100)]
    assert len({text for text, _ in made}) == 100
    for text, stored in made:
        secret = text.split("_", 2)[2]
        assert len(secret) == 43  # 256 bits, 6 a character
        assert stored.sha256 == hashlib.sha256(text.encode()).hexdigest()
        assert secret not in repr(stored)
        assert id_of(text) == stored.id


def test_an_id_that_is_taken_is_not_given_again(monkeypatch: pytest.MonkeyPatch) -> None:
    ids = iter(["00000000", "00000000", "00000001"])
    monkeypatch.setattr("secrets.token_hex", lambda _: next(ids))
    _, stored = new_token(created=0, expires=None, taken=["00000000"])
    assert stored.id == "00000001"


def test_a_token_matches_its_own_hash_alone() -> None:
    (one, kept), (other, _) = (new_token(created=0, expires=None) for _ in range(2))
    digest = bytes.fromhex(kept.sha256)
    assert matches(one, digest)
    assert not matches(other, digest)
    assert not matches(one[:-1], digest)
    assert not matches(one, None)
    assert not matches("\ud800", digest)  # text that has no bytes


@pytest.mark.parametrize("text", ["", "dhb", "dhb_", "dhb_0a1b2c3d", "xyz_0a1b2c3d_secret", "Bearer x"])
def test_what_is_not_a_token_has_no_id(text: str) -> None:
    assert id_of(text) == ""


def test_a_token_expires_at_its_time() -> None:
    _, stored = new_token(created=0, expires=10.0)
    assert [stored.is_expired(now) for now in (9.9, 10.0, 11.0)] == [False, True, True]
