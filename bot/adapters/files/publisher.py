"""Publisher that writes posts into a file of JSON lines, for trials and for other programs that post."""

from __future__ import annotations

import json
import os
import uuid
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from typing_extensions import override

from bot.domain.errors import NetworkUnavailableError
from bot.domain.outgoing_posts import OutgoingPost, OwnPost, PostMode
from bot.ports import Publisher

_LATEST = 100


class FilePublisher(Publisher):
    """Publisher that appends a line for each post: its text and the song that it is about.

    A line has "id", "text" (the whole post), "candidate_id", "in_reply_to", "created_at", and of the song "artist",
    "title", "genres" and "url", the address to listen to it.

    Args:
        path: the file; it is created if it does not exist.
    """

    def __init__(self, path: Path) -> None:
        self._path = path

    @property
    @override
    def name(self) -> str:
        return "file"

    @property
    @override
    def capabilities(self) -> frozenset[PostMode]:
        """All modes."""
        return frozenset(PostMode)

    @override
    def publish(self, post: OutgoingPost) -> str:
        """Append a post; a line is written completely or not at all."""
        song = post.report
        row = {
            "id": uuid.uuid4().hex,
            "text": post.text,
            "artist": song.artist if song is not None else "",
            "title": song.song.title if song is not None else "",
            "genres": song.genres if song is not None else (),
            "url": song.url if song is not None else "",
            "candidate_id": post.candidate_id,
            "in_reply_to": post.in_reply_to,
            "created_at": datetime.now(UTC).isoformat(timespec="milliseconds"),
        }
        try:
            self._path.parent.mkdir(parents=True, exist_ok=True)
            _append(self._path, json.dumps(row, ensure_ascii=False).encode("utf-8", "replace") + b"\n")
        except OSError as cause:
            raise NetworkUnavailableError(f"{self._path} cannot be written: {cause.strerror}") from cause
        return str(row["id"])

    @override
    def recent(self, after: str | None) -> Sequence[OwnPost]:
        rows = list(self._rows())
        places = [place for place, row in enumerate(rows) if row["id"] == after]
        newer = rows[places[-1] + 1 :] if places else rows[-_LATEST:]
        return [_own_post(row) for row in reversed(newer)]

    @override
    def back_to(self, after: str | None, since: datetime) -> Iterator[OwnPost]:
        """List own posts.

        Raises:
            NetworkUnavailableError: the file does not hold the post with the id, so others may be missing as well.
        """
        posts = [_own_post(row) for row in self._rows()]
        places = [place for place, own in enumerate(posts) if own.id == after]
        if after is not None and not places and not any(own.is_before(since) for own in posts):
            raise NetworkUnavailableError(
                f"{self._path} does not hold the posts that were written before the backup was made; put the file back"
            )
        first = places[-1] + 1 if places else 0
        yield from (
            own for place, own in reversed(list(enumerate(posts))) if place >= first or not own.is_before(since)
        )

    @override
    def check(self) -> str:
        folder = self._path.parent
        if self._path.is_dir() or (folder.exists() and not os.access(folder, os.W_OK)):
            raise NetworkUnavailableError(f"{self._path} cannot be written; choose another file")
        return f"the file {self._path}"

    def _rows(self) -> Iterator[dict[str, Any]]:
        try:
            lines = self._path.read_bytes().splitlines()
        except FileNotFoundError:
            return
        except OSError as cause:
            raise NetworkUnavailableError(f"{self._path} cannot be read: {cause.strerror}") from cause
        for line in lines:
            try:
                row = json.loads(line)
            except ValueError:
                continue  # an incomplete line, after a power failure
            if isinstance(row, dict) and {"id", "text", "created_at"} <= row.keys():
                yield row


def _own_post(row: dict[str, Any]) -> OwnPost:
    return OwnPost(
        id=str(row["id"]),
        text=str(row["text"]),
        created_at=str(row["created_at"]),
        candidate_id=str(row.get("candidate_id") or ""),
        in_reply_to=str(row.get("in_reply_to") or ""),
    )


def _append(path: Path, line: bytes) -> None:
    with path.open("ab") as file:
        size = file.tell()
        if size and _last_byte(path) != b"\n":
            line = b"\n" + line
        try:
            file.write(line)
            file.flush()
            os.fsync(file.fileno())
        except OSError:
            os.truncate(path, size)  # a full disk may hold a part of the line
            raise


def _last_byte(path: Path) -> bytes:
    with path.open("rb") as file:
        file.seek(-1, os.SEEK_END)
        return file.read(1)
