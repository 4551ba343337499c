"""Scripts, styles and pictures of the pages: named by their contents, so that a browser loads each version once."""

from __future__ import annotations

import hashlib
from importlib.resources import files
from pathlib import Path

from starlette.responses import Response
from starlette.routing import BaseRoute, Mount
from starlette.staticfiles import StaticFiles
from starlette.types import Scope

_FOLDER = Path(str(files("bot.studio"))) / "static"
_YEAR_S = 365 * 86_400


class Assets:
    """The package's static files under an address that changes with them.

    Keys that are pressed before a page's scripts have come are lost, so they come from the browser's cache.
    """

    def __init__(self) -> None:
        digest = hashlib.sha256()
        paths = sorted(path for path in _FOLDER.rglob("*") if path.is_file())
        for path in paths:
            digest.update(path.relative_to(_FOLDER).as_posix().encode() + b"\0" + path.read_bytes())
        self.root = f"/static/{digest.hexdigest()[:12]}"
        """Address of the folder."""
        self.modules = tuple(
            f"{self.root}/{path.relative_to(_FOLDER).as_posix()}" for path in paths if path.suffix == ".js"
        )
        """Addresses of the scripts, which a page loads all at once."""

    def routes(self) -> list[BaseRoute]:
        """Routes of the files: those of this version, which a browser keeps, and the plain ones."""
        return [Mount(self.root, _Kept(directory=_FOLDER)), Mount("/static", StaticFiles(directory=_FOLDER))]


class _Kept(StaticFiles):
    async def get_response(self, path: str, scope: Scope) -> Response:
        response = await super().get_response(path, scope)
        response.headers["Cache-Control"] = f"max-age={_YEAR_S}, immutable"
        return response
