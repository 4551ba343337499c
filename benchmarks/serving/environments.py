"""Environments of the other servers, created in the workspace and separate from the project's own.

Each framework has one, since they need different versions of the same libraries. The project's packages follow its own
on the path, so torch and the engine are the same files for all, and only the additions of a framework are installed:
20 MB for LitServe and for BentoML, 280 MB for Ray.
"""

from __future__ import annotations

import hashlib
import subprocess
import sys
import sysconfig
import venv
from pathlib import Path
from typing import Final

from benchmarks.serving.errors import ServerError

_REQUIREMENTS: Final = Path(__file__).with_name("programs") / "peers"
_MARK: Final = "installed"
_INSTALL_S: Final = 900


def ready_python(peer: str, folder: Path) -> Path:
    """Return the interpreter of a server's environment, which is created on first use.

    Raises:
        ServerError: the server cannot be installed; the message holds the reason.
    """
    requirements = _REQUIREMENTS / f"{peer}.txt"
    # Other requirements, or another Python or project environment, make another environment.
    identity = f"{requirements.read_text(encoding='utf-8')}{sys.prefix}{sys.version}"
    home = (folder / f"{peer}-{hashlib.sha256(identity.encode()).hexdigest()[:12]}").absolute()
    python = home / "bin" / "python"
    if not (home / _MARK).exists():
        venv.create(home, clear=True, with_pip=True)
        _show_ours(home)
        _install(python, requirements, peer)
        (home / _MARK).touch()
    return python


def _show_ours(home: Path) -> None:
    """Append the project's packages to its path, including those of .pth files such as an editable install's."""
    ours = sysconfig.get_paths()["purelib"]
    theirs = Path(sysconfig.get_path("purelib", vars={"base": str(home), "platbase": str(home)}))
    (theirs / "project.pth").write_text(f"import site; site.addsitedir({ours!r})\n", encoding="utf-8")


def _install(python: Path, requirements: Path, peer: str) -> None:
    command = [str(python), "-m", "pip", "install", "--quiet", "--no-input", "--disable-pip-version-check"]
    try:
        done = subprocess.run(  # noqa: S603 - the arguments are fixed
            [*command, "-r", str(requirements)], capture_output=True, text=True, check=False, timeout=_INSTALL_S
        )
    except subprocess.TimeoutExpired as cause:
        raise ServerError(f"{peer} was not installed within {_INSTALL_S} s") from cause
    if done.returncode != 0:
        errors = [line for line in done.stderr.splitlines() if line.startswith("ERROR")] or done.stderr.splitlines()
        raise ServerError(f"{peer} cannot be installed: {(errors or ['pip printed no error'])[-1][:200]}")
