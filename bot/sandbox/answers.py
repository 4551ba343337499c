"""JSON of the stand-ins."""

from __future__ import annotations

import json
from typing import Any

from starlette import responses
from typing_extensions import override


class JSONResponse(responses.JSONResponse):
    """Answer in ASCII, so that it can hold half of a surrogate pair, as the networks' answers sometimes do."""

    @override
    def render(self, content: Any) -> bytes:
        return json.dumps(content, separators=(",", ":")).encode("ascii")
