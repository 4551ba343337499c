"""Keys that TorchServe asks its callers for. It makes new ones at each start, and writes them into its own folder.

To register an archive is to run code as our user, and every local user reaches TorchServe's gRPC ports. So its token
authorization stays on. The file of the keys is readable by our user alone (mode 600), in a folder of mode 700.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final, Self

from serving.torchserve.errors import TorchServeError

KEY_FILE: Final = "key_file.json"
"""File in TorchServe's working directory. The name is TorchServe's."""
LIFE_MIN: Final = 100 * 365 * 24 * 60
"""Minutes for which keys are valid: longer than any process lives, so that none expires. TorchServe's own 60 minutes
would need renewals, and a renewal refuses the calls that are under way with the key before it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Keys:
    """Keys of one running TorchServe; they are in no log and no representation."""

    management: str = field(repr=False)
    inference: str = field(repr=False)

    @classmethod
    def read(cls, folder: Path) -> Self | None:
        """Read the keys from TorchServe's folder; None while it has not written them.

        Raises:
            TorchServeError: the file is of another form.
        """
        try:
            text = (folder / KEY_FILE).read_text(encoding="utf-8")
        except FileNotFoundError:
            return None
        try:
            document: Any = json.loads(text)
        except ValueError:  # it is being written
            return None
        try:
            return cls(management=str(document["management"]["key"]), inference=str(document["inference"]["key"]))
        except (KeyError, TypeError) as cause:
            raise TorchServeError(f"TorchServe wrote a {KEY_FILE} of an unknown form: {cause!r}") from cause


def bearer(key: str) -> str:
    """Return the value of the header `authorization`."""
    return f"Bearer {key}"
