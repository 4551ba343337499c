"""Commands of `keys`: keys that sign archives, and their signatures."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Final

import typer
from rich.console import Console

from serving.options import WORKSPACE, SigningKeyOption, TrackingOption, WorkspaceOption, open_registry

app_keys = typer.Typer(help="Keys that sign archives: new, show, sign, verify.", no_args_is_help=True)

_VERSION: Final = "lcgan/2, lcgan@champion, or lcgan alone for its champion."


@app_keys.command("new")
def new(
    private: Annotated[
        Path, typer.Argument(metavar="FILE", help="File of the private key; the public one is FILE.pub beside it.")
    ],
) -> None:
    """Make a key pair: FILE (mode 600) signs archives, and FILE.pub (mode 644) goes to the hosts that serve them.

    Neither file is overwritten. Keep FILE where models are trained or approved, and off the hosts that serve: those who
    have it decide which code runs there.

    Example:
        deephypebot keys new release.key
    """
    from foundation.signatures import PUBLIC_SUFFIX, new_key_pair

    fingerprint = new_key_pair(private)
    typer.echo(fingerprint)
    public = f"{private}{PUBLIC_SUFFIX}"
    typer.echo(f"{private} signs (`--signing-key`), {public} is for `serve --trusted-keys`", err=True)


@app_keys.command("show")
def show(
    keys: Annotated[Path, typer.Argument(metavar="FILE", help="File of one or more public keys.")],
) -> None:
    """Print the fingerprints of the public keys in a file, one a line.

    Example:
        deephypebot keys show trusted.pem
    """
    from foundation.signatures import TrustedKeys

    for fingerprint in TrustedKeys.read(keys).fingerprints:
        typer.echo(fingerprint)


@app_keys.command("sign")
def sign(
    version: Annotated[str, typer.Argument(metavar="VERSION", help=_VERSION)],
    number: Annotated[
        str | None, typer.Argument(metavar="[NUMBER]", help="Number of the version, where only its model is named.")
    ] = None,
    *,
    signing_key: SigningKeyOption,
    workspace: WorkspaceOption = WORKSPACE,
    tracking_uri: TrackingOption = "",
) -> None:
    """Sign the archive of a registered version, and put the signature into the registry.

    Look at what you sign first, since the registry's writer chose it: `archive` fetches the same file. It is compared
    with the registry's hash and read, not run. A training signs its own archives with `train --signing-key`.

    Example:
        deephypebot keys sign lcgan/2 --signing-key release.key
    """
    import tempfile
    from functools import partial

    from foundation.model_versions import VersionName
    from foundation.signatures import SHOWN, SigningKey
    from handlers.contract import ARCHIVE_SIGNATURE_TAG, archive_name
    from serving.registry.archives import bring_archive
    from serving.registry.versions import TagChange

    key = SigningKey.read(signing_key)
    registry = open_registry(workspace, tracking_uri)
    chosen = registry.resolve(VersionName.of(version, number))
    with Console(stderr=True).status(f"fetching {chosen.name}"), tempfile.TemporaryDirectory() as folder:
        info = bring_archive(
            Path(folder),
            model=chosen.model,
            version=chosen.version,
            sha256=chosen.archive_sha256,
            fetch=partial(registry.fetch_archive, chosen),
        )
    signature = key.sign(archive_name(info.model, info.version), info.sha256)
    registry.write_tags(chosen.model, [TagChange(version=chosen.version, tag=ARCHIVE_SIGNATURE_TAG, value=signature)])
    if chosen.sync_error:
        registry.set_sync_error(chosen.model, chosen.version, "")  # a running service then retries it
    typer.echo(f"{chosen.name}  sha256 {info.sha256}  signed by {key.fingerprint[:SHOWN]}")


@app_keys.command("verify")
def verify(
    archive: Annotated[Path, typer.Argument(metavar="ARCHIVE", help="An archive, under the name it was packed with.")],
    *,
    trusted_keys: Annotated[
        Path,
        typer.Option("--trusted-keys", envvar="DEEPHYPEBOT_TRUSTED_KEYS", help="PEM file of one or more public keys."),
    ],
    signature: Annotated[
        Path | None, typer.Option("--signature", help="File of its signature.", show_default="ARCHIVE.sig")
    ] = None,
) -> None:
    """Check a local archive by the file of its signature, which `archive` and `train` write beside it.

    Example:
        deephypebot keys verify model_store/lcgan_2.mar --trusted-keys release.key.pub
    """
    from foundation.hashes import file_sha256
    from foundation.signatures import SIGNATURE_SUFFIX, SignatureError, TrustedKeys
    from serving.errors import ArchiveError

    keys = TrustedKeys.read(trusted_keys)
    path = signature or archive.with_name(archive.name + SIGNATURE_SUFFIX)
    try:
        text, sha256 = path.read_text(encoding="utf-8"), file_sha256(archive)
    except (OSError, UnicodeDecodeError) as cause:
        raise ArchiveError(f"{archive} cannot be checked: {cause}") from cause
    try:
        fingerprint = keys.verify(text, name=archive.name, sha256=sha256)
    except SignatureError as fault:
        raise ArchiveError(f"{archive} is refused: {fault}") from fault
    typer.echo(f"{archive}  sha256 {sha256}  signed by {fingerprint}")
