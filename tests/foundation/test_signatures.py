from __future__ import annotations

import base64
import json
import os
import stat
from collections.abc import Callable
from hashlib import sha256
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519
from hypothesis import given
from hypothesis import strategies as st

from foundation import signatures
from foundation.signatures import SignatureError, SigningKey, TrustedKeys, new_key_pair
from tests.examples import examples

OMS = Path(__file__).with_name("oms")
"""A file, its signature and the public key, as `model_signing sign key` of OpenSSF's model-signing 1.1.1 wrote them."""
NAME = "lcgan_2.mar"
DIGEST = sha256(b"an archive").hexdigest()


@pytest.fixture
def key(tmp_path: Path) -> Path:
    new_key_pair(tmp_path / "release.key")
    return tmp_path / "release.key"


def trusted(key: Path) -> TrustedKeys:
    return TrustedKeys.read(key.with_name(f"{key.name}.pub"))


def signed(key: Path) -> str:
    return SigningKey.read(key).sign(NAME, DIGEST)


def test_a_signature_holds_for_the_name_and_the_content_that_were_signed(key: Path) -> None:
    assert trusted(key).verify(signed(key), name=NAME, sha256=DIGEST) == SigningKey.read(key).fingerprint


def test_a_signature_of_openssf_model_signing_holds(tmp_path: Path) -> None:
    digest = sha256((OMS / NAME).read_bytes()).hexdigest()
    signature = (OMS / f"{NAME}.sig").read_text()
    assert TrustedKeys.read(OMS / "key.pub").verify(signature, name=NAME, sha256=digest)
    new_key_pair(tmp_path / "other")
    with pytest.raises(SignatureError, match="which is not trusted"):
        trusted(tmp_path / "other").verify(signature, name=NAME, sha256=digest)


def test_the_private_file_is_its_owners_and_the_public_one_is_everybodys(tmp_path: Path) -> None:
    before = os.umask(0)
    try:
        fingerprint = new_key_pair(tmp_path / "release.key")
    finally:
        os.umask(before)
    assert stat.S_IMODE((tmp_path / "release.key").stat().st_mode) == 0o600
    assert stat.S_IMODE((tmp_path / "release.key.pub").stat().st_mode) == 0o644
    assert SigningKey.read(tmp_path / "release.key").fingerprint == fingerprint
    assert trusted(tmp_path / "release.key").fingerprints == (fingerprint,)


@pytest.mark.parametrize("taken", ["release.key", "release.key.pub"])
def test_no_key_is_overwritten(tmp_path: Path, taken: str) -> None:
    (tmp_path / taken).write_text("mine")
    with pytest.raises(SignatureError, match="no key is overwritten"):
        new_key_pair(tmp_path / "release.key")
    assert [path.name for path in tmp_path.iterdir()] == [taken]
    assert (tmp_path / taken).read_text() == "mine"


def test_a_signature_of_one_version_cannot_be_shown_for_another_or_for_other_content(key: Path) -> None:
    keys, signature = trusted(key), signed(key)
    for name in ("lcgan_3.mar", "cvae_2.mar", "LCGAN_2.mar", ""):
        with pytest.raises(SignatureError, match=r"is that of lcgan_2\.mar, not of"):
            keys.verify(signature, name=name, sha256=DIGEST)
    with pytest.raises(SignatureError, match="of another content"):
        keys.verify(signature, name=NAME, sha256=sha256(b"another").hexdigest())


def test_a_key_beside_an_old_one_counts_and_one_that_is_taken_out_does_not(key: Path, tmp_path: Path) -> None:
    new_key_pair(tmp_path / "new.key")
    both = tmp_path / "trusted.pem"
    both.write_bytes((tmp_path / "release.key.pub").read_bytes() + (tmp_path / "new.key.pub").read_bytes())
    for each in (key, tmp_path / "new.key"):
        assert TrustedKeys.read(both).verify(signed(each), name=NAME, sha256=DIGEST)
    with pytest.raises(SignatureError, match="which is not trusted"):
        trusted(tmp_path / "new.key").verify(signed(key), name=NAME, sha256=DIGEST)


def test_a_signature_that_names_a_trusted_key_and_is_anothers_is_refused(key: Path, tmp_path: Path) -> None:
    new_key_pair(tmp_path / "thief.key")
    forged = json.loads(signed(tmp_path / "thief.key"))
    forged["verificationMaterial"]["publicKey"]["hint"] = SigningKey.read(key).fingerprint
    with pytest.raises(SignatureError, match="is not one of the key"):
        trusted(key).verify(json.dumps(forged), name=NAME, sha256=DIGEST)


def test_a_payload_that_was_changed_after_it_was_signed_is_refused(key: Path) -> None:
    document = json.loads(signed(key))
    payload = base64.b64decode(document["dsseEnvelope"]["payload"])
    document["dsseEnvelope"]["payload"] = base64.b64encode(payload.replace(b"lcgan_2", b"lcgan_3")).decode()
    with pytest.raises(SignatureError, match="is not one of the key"):
        trusted(key).verify(json.dumps(document), name="lcgan_3.mar", sha256=DIGEST)


def _set(*path: Any, value: Any) -> Callable[[Any], None]:
    def change(document: Any) -> None:
        *places, last = path
        for place in places:
            document = document[place]
        document[last] = value

    return change


ENVELOPE = "dsseEnvelope"


@pytest.mark.parametrize(
    "change",
    [
        _set("mediaType", value="text/plain"),
        _set("verificationMaterial", value={}),
        _set("verificationMaterial", value=None),
        _set("verificationMaterial", "publicKey", "hint", value=None),
        _set(ENVELOPE, value=[]),
        _set(ENVELOPE, "payloadType", value="application/json"),
        _set(ENVELOPE, "payload", value="%%%"),
        _set(ENVELOPE, "payload", value=7),
        _set(ENVELOPE, "signatures", value=[]),
        _set(ENVELOPE, "signatures", value=[{"sig": ""}, {"sig": ""}]),
        _set(ENVELOPE, "signatures", 0, "sig", value=""),
        _set(ENVELOPE, "signatures", 0, "sig", value="AAAA"),
        _set(ENVELOPE, "signatures", 0, value={}),
    ],
)
def test_a_bundle_of_another_form_is_refused_in_words(key: Path, change: Callable[[Any], None]) -> None:
    document = json.loads(signed(key))
    change(document)
    with pytest.raises(SignatureError, match=r"signature|key"):
        trusted(key).verify(json.dumps(document), name=NAME, sha256=DIGEST)


@examples(200)
@given(data=st.data())
def test_a_signature_that_is_changed_anywhere_holds_for_nothing_else(data: st.DataObject) -> None:
    name, digest = NAME, sha256((OMS / NAME).read_bytes()).hexdigest()
    signature = (OMS / f"{NAME}.sig").read_text().strip()
    place = data.draw(st.integers(0, len(signature) - 1))
    changed = signature[:place] + data.draw(st.text(max_size=3)) + signature[place + data.draw(st.integers(0, 3)) :]
    keys = TrustedKeys.read(OMS / "key.pub")
    try:
        keys.verify(changed, name=name, sha256=digest)
    except SignatureError:
        return
    # What is not signed, such as the name of the key, may differ; what is signed does not.
    assert signatures._envelope(changed) == signatures._envelope(signature)


@pytest.mark.parametrize("text", ["", "null", "[]", "{", "[" * 60_000, "x" * 100_000, "\ud800"])
def test_a_text_that_is_no_signature_is_refused_in_words(key: Path, text: str) -> None:
    with pytest.raises(SignatureError, match="its signature"):
        trusted(key).verify(text, name=NAME, sha256=DIGEST)


@pytest.mark.parametrize(
    "change",
    [
        _set("_type", value="https://in-toto.io/Statement/v0.1"),
        _set("predicateType", value="https://slsa.dev/provenance/v1"),
        _set("subject", value=[]),
        _set("subject", 0, "digest", "sha256", value="0" * 64),
        _set("predicate", "resources", value=[]),
        _set("predicate", "resources", 0, "algorithm", value="blake3"),
        _set("predicate", "resources", 0, "name", value="weights.safetensors"),
        _set("predicate", "resources", 0, "digest", value="zz"),
    ],
)
def test_a_statement_that_is_well_signed_but_of_something_else_is_refused(
    key: Path, change: Callable[[Any], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    statement = signatures._statement(NAME, DIGEST)
    change(statement)
    monkeypatch.setattr(signatures, "_statement", lambda *_: statement)
    with pytest.raises(SignatureError, match="of something else than one file"):
        trusted(key).verify(signed(key), name=NAME, sha256=DIGEST)


@pytest.mark.parametrize("mode", [0o640, 0o604, 0o644])
def test_a_private_key_that_others_may_read_is_refused(key: Path, mode: int) -> None:
    key.chmod(mode)
    with pytest.raises(SignatureError, match=r"can be read by others .*chmod 600"):
        SigningKey.read(key)


def _private(path: Path, key: Any, encryption: Any = None) -> None:
    chosen = encryption or serialization.NoEncryption()
    path.write_bytes(key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, chosen))
    path.chmod(0o600)


def test_a_private_key_that_cannot_sign_says_why(tmp_path: Path) -> None:
    path = tmp_path / "x.key"
    with pytest.raises(SignatureError, match="cannot be read"):
        SigningKey.read(path)
    _private(path, ed25519.Ed25519PrivateKey.generate())
    with pytest.raises(SignatureError, match="P-256, P-384 or P-521"):
        SigningKey.read(path)
    _private(path, ec.generate_private_key(ec.SECP256R1()), serialization.BestAvailableEncryption(b"words"))
    with pytest.raises(SignatureError, match="passphrase"):
        SigningKey.read(path)
    for content in (b"", b"no key", b"x" * 100_000):
        path.write_bytes(content)
        with pytest.raises(SignatureError, match=r"no private key|more than 64 KiB"):
            SigningKey.read(path)


def test_larger_curves_sign_with_their_hashes(tmp_path: Path) -> None:
    for curve in (ec.SECP384R1(), ec.SECP521R1()):
        made = ec.generate_private_key(curve)
        _private(tmp_path / "x.key", made)
        (tmp_path / "x.key.pub").write_bytes(
            made.public_key().public_bytes(serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo)
        )
        assert trusted(tmp_path / "x.key").verify(signed(tmp_path / "x.key"), name=NAME, sha256=DIGEST)


def test_a_file_of_trusted_keys_that_would_trust_nobody_or_tells_a_secret_is_refused(key: Path, tmp_path: Path) -> None:
    with pytest.raises(SignatureError, match="holds a private key"):
        TrustedKeys.read(key)
    with pytest.raises(SignatureError, match="cannot be read"):
        TrustedKeys.read(tmp_path / "nowhere.pem")
    path = tmp_path / "trusted.pem"
    rsa = "-----BEGIN PUBLIC KEY-----\nMCowBQYDK2VwAyEA%s\n-----END PUBLIC KEY-----\n" % ("A" * 43 + "=")
    for content, said in (
        ("", "no public key"),
        ("-----BEGIN PUBLIC KEY-----\nAAAA\n-----END PUBLIC KEY-----\n", "number 1"),
        (key.with_name("release.key.pub").read_text() + rsa, "number 2"),
        (key.with_name("release.key.pub").read_text() + rsa.replace("-----END", "----END"), "outside of a public key"),
        ("release\n" + key.with_name("release.key.pub").read_text(), "holds 'release' outside of a public key"),
    ):
        path.write_text(content)
        with pytest.raises(SignatureError, match=said):
            TrustedKeys.read(path)
    path.write_text(f"# of the release\n\n{key.with_name('release.key.pub').read_text()}\n# the end")
    assert TrustedKeys.read(path).fingerprints == trusted(key).fingerprints
