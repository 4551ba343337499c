"""Client of the stand-ins' control, for this or another process."""

from __future__ import annotations

import base64
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import requests

from bot.sandbox.account import SandboxSettings

_TIMEOUT_S = 10.0
_POLL_S = 0.02


@dataclass(frozen=True, slots=True, kw_only=True)
class Exchange:
    """Full request and response of a call."""

    operation: str
    fault: str | None
    method: str
    url: str
    headers: Mapping[str, str]
    body: bytes
    status: int
    response_headers: Mapping[str, str]
    response_body: bytes


class SandboxControl:
    """Control of the stand-ins at an address; `bot.sandbox.control` describes the calls.

    Raises (every method):
        RuntimeError: the stand-ins refuse the call; the message has the reason.
    """

    def __init__(self, url: str) -> None:
        self._url = url

    def settings(self) -> SandboxSettings:
        """Return addresses and credentials."""
        return SandboxSettings.from_document(self._ask("GET", "settings"))

    def fail(self, operation: str, kind: str = "status", **fields: Any) -> None:
        """Queue a fault for a future call; the fields are those of `bot.sandbox.calls.Fault`."""
        self._ask("POST", "faults", {"operation": operation, "kind": kind, **fields})

    def faults_waiting(self) -> int:
        """Return the number of faults that still wait for calls."""
        return int(self._ask("GET", "calls")["faults_waiting"])

    def calls(self, operation: str | None = None) -> list[dict[str, Any]]:
        """Return the latest calls, the oldest first, of all operations or of one."""
        calls: list[dict[str, Any]] = self._ask("GET", "calls")["calls"]
        return [call for call in calls if operation in (None, call["operation"])]

    def exchanges(self) -> list[Exchange]:
        """Return the latest calls in full; an empty list if recording is off."""
        documents: list[dict[str, Any]] = self._ask("GET", "exchanges")["exchanges"]
        for document in documents:
            for part in ("body", "response_body"):
                document[part] = base64.b64decode(document[part])
        return [Exchange(**document) for document in documents]

    def wait_for_hold(self, timeout_s: float = 30.0) -> dict[str, Any]:
        """Wait until a call is held.

        Raises:
            TimeoutError: none was.
        """
        deadline = time.monotonic() + timeout_s
        while time.monotonic() < deadline:
            for call in self.calls():
                if call["held"]:
                    return call
            time.sleep(_POLL_S)
        raise TimeoutError(f"no call was held within {timeout_s:g} seconds")

    def release(self) -> None:
        """Continue the held calls."""
        self._ask("POST", "release")

    def add_posts(self, posts: Sequence[Mapping[str, str]], network: str = "x") -> list[str]:
        """Add posts of other users and return their ids.

        A post has a text and optionally author, id, repost_of, reply_to; "@sandboxbot" in the text makes it a mention.
        """
        ids: list[str] = self._ask("POST", "posts", {"network": network, "posts": list(map(dict, posts))})["ids"]
        return ids

    def posted(self, network: str = "x") -> list[dict[str, Any]]:
        """Return the bot's own posts: id, text, reply_to."""
        posts: list[dict[str, Any]] = self._ask("GET", f"posted?network={network}")["posts"]
        return posts

    def sheet(self, title: str | None = None) -> list[list[str]]:
        """Return the rows of a tab as displayed, the header first."""
        rows: list[list[str]] = self._ask("GET", "sheet" + (f"?title={title}" if title else ""))["rows"]
        return rows

    def notes(self, title: str) -> dict[str, str]:
        """Return the notes of a tab's rows by the row's first cell, those of a row in one text."""
        table = self._ask("GET", f"sheet?title={title}")
        rows = zip(table["rows"], table["notes"], strict=True)
        return {cells[0]: "\n".join(notes.values()) for cells, notes in rows if notes}

    def edit(self, title: str, key: str, column: str, value: str) -> None:
        """Edit the row whose first cell is `key`, as a curator."""
        self._ask("POST", "sheet/edit", {"title": title, "key": key, "column": column, "value": value})

    def sort(self, title: str, column: str, *, descending: bool = False) -> None:
        """Sort the rows, as a curator."""
        self._ask("POST", "sheet/sort", {"title": title, "column": column, "descending": descending})

    def rename(self, title: str, to: str) -> None:
        """Rename a tab, as a curator."""
        self._ask("POST", "sheet/rename", {"title": title, "to": to})

    def delete(self, title: str) -> None:
        """Delete a tab, as a curator."""
        self._ask("POST", "sheet/delete", {"title": title})

    def renew(self) -> None:
        """Make X's access token valid again after an "expired" fault."""
        self._ask("POST", "renew")

    def forget_calls(self) -> None:
        """Empty the call log."""
        self._ask("POST", "forget")

    def _ask(self, method: str, path: str, document: Any = None) -> Any:
        with requests.Session() as session:
            session.trust_env = False  # a proxy of the environment cannot reach this machine
            answer = session.request(method, f"{self._url}/sandbox/{path}", json=document, timeout=_TIMEOUT_S)
        if not answer.ok:
            raise RuntimeError(f"{method} /sandbox/{path}: {answer.text}")
        return answer.json()
