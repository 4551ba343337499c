"""Trust in archives: with trusted keys, those alone are loaded that the owner of one of the keys has signed.

Nothing that a writer of the registry can change is believed then. Archive, hash and signature lie in the registry, and
the signature covers the hash and the name of the archive, which is that of its model and version. The keys are a file
of the serving host.
"""

from __future__ import annotations

from pathlib import Path

from foundation.signatures import SHOWN, SignatureError, TrustedKeys
from handlers.contract import ARCHIVE_SIGNATURE_TAG, archive_name
from serving.errors import ArchiveError, SecurityError
from serving.registry.versions import RegisteredVersion


class Trust:
    """Check of archives' signatures.

    Args:
        keys_file: file of trusted public keys; None lets every archive pass whose hash is right. It is read again for
            each check, so a key that is taken out counts no more from then on.

    Raises:
        SecurityError: the file cannot be used.
    """

    def __init__(self, keys_file: Path | None) -> None:
        self._keys_file = keys_file
        self._keys()

    def check(self, version: RegisteredVersion) -> str:
        """Return the fingerprint of the key that signed a version's archive; empty where no keys are trusted.

        It is called before the archive is fetched: the signature covers the hash that the registry has, and the fetch
        compares the file with it.

        Raises:
            ArchiveError: the archive is not signed, or not by a trusted key.
            SecurityError: the file of trusted keys cannot be used any more.
        """
        keys = self._keys()
        if keys is None:
            return ""
        name = f"the archive of {version.name}"
        way_out = f"sign it with `deephypebot keys sign {version.name}`, or serve another version"
        if not version.archive_signature:
            trusted = ", ".join(each[:SHOWN] for each in keys.fingerprints)
            raise ArchiveError(
                f"{name} is not signed (tag {ARCHIVE_SIGNATURE_TAG!r}), and only those are served that a trusted key "
                f"has signed ({trusted}): {way_out}"
            )
        try:
            return keys.verify(
                version.archive_signature,
                name=archive_name(version.model, version.version),
                sha256=version.archive_sha256,
            )
        except SignatureError as fault:
            raise ArchiveError(f"{name} is refused: {fault}. {way_out.capitalize()}") from fault

    def _keys(self) -> TrustedKeys | None:
        if self._keys_file is None:
            return None
        try:
            return TrustedKeys.read(self._keys_file)
        except SignatureError as fault:
            raise SecurityError(f"{fault}; --trusted-keys names the file of public keys") from fault
