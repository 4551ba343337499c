"""Posts -> a corpus: clean sentences with their song's genres and a split by song, in a folder.

The same posts and settings give the same bytes. A corpus is built beside its place and moved there when it is whole.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Final

import pyarrow as pa
import pyarrow.parquet as pq

from training.corpus.cleaning import paragraphs, show_placeholders
from training.corpus.funnel import Funnel, Input
from training.corpus.genre_labels import choose_labels
from training.corpus.masking import mask
from training.corpus.posts import Catalog, Post, read_catalog, read_posts
from training.corpus.sentences import SentenceLimits, reject, split
from training.corpus.songs import SPLITS, choose_split, is_round_up, song_key
from training.corpus.store import FUNNEL_FILE, GENRES_FILE, SCHEMA, SENTENCES_FILE
from training.errors import CorpusError, NoUsableSentenceError
from training.files import atomic_directory

Progress = Callable[[int, int | None], None]
"""Called with the bytes of post files read so far, and with how many there are."""

_BATCH: Final = 8192
_NO_WORD: Final = re.compile(r"[\W_]+")


@dataclass(frozen=True, slots=True, kw_only=True)
class CorpusSettings:
    """What a build depends on besides its posts."""

    limits: SentenceLimits = field(default_factory=SentenceLimits)
    min_posts_per_genre: int = 50
    max_genres: int = 300
    valid_share: float = 0.05
    """Share of songs in the validation split."""
    test_share: float = 0.05
    max_repeats: int = 5
    """A sentence found in more posts than this is boilerplate, and all its copies go; up to this, the first stays."""

    def __post_init__(self) -> None:
        if self.min_posts_per_genre < 1 or self.max_genres < 1 or self.max_repeats < 1:
            raise ValueError("min_posts_per_genre, max_genres and max_repeats must be at least 1")
        if not (0 <= self.valid_share < 1 and 0 <= self.test_share < 1 and self.valid_share + self.test_share < 1):
            raise ValueError(f"shares must leave songs to train on, got {self.valid_share} and {self.test_share}")


DEFAULT_SETTINGS: Final = CorpusSettings()


def build_corpus(
    post_files: Sequence[Path],
    out: Path,
    *,
    settings: CorpusSettings = DEFAULT_SETTINGS,
    catalog: Path | None = None,
    progress: Progress | None = None,
) -> Funnel:
    """Build a corpus from files of posts.

    Posts and sentences stream; what grows with the input is one hash per distinct post and sentence.

    Args:
        post_files: see `posts.read_posts`; their order decides which of two equal sentences is the first.
        out: folder of the corpus; a corpus that is there already is replaced once the new one is whole.
        settings: of the build.
        catalog: table of artist and genres, for posts without genres.
        progress: see `Progress`.

    Raises:
        PostsError: if a file cannot be used.
        CorpusError: if `out` holds something else.
        OutputError: if `out` cannot be written.
        NoUsableSentenceError: if nothing is left.
    """
    if not post_files:
        raise CorpusError("no file of posts was given")
    known = read_catalog(catalog) if catalog else {}
    _check_place(out)
    with atomic_directory(out) as folder:
        cleaned = folder / "cleaned.parquet"
        build = _Build(settings=settings)
        with pq.ParquetWriter(cleaned, SCHEMA) as writer:
            for rows in _batches(build.sentences(_posts(post_files, known, progress))):
                writer.write_table(pa.Table.from_pylist(rows, schema=SCHEMA))
        inputs = tuple(_input(path) for path in (*post_files, *((catalog,) if catalog else ())))
        funnel = build.finish(cleaned, folder, inputs=inputs)
        cleaned.unlink()
    return funnel


@dataclass(slots=True, kw_only=True)
class _Build:
    """State of a build: counts and hashes of what was seen."""

    settings: CorpusSettings
    counts: Counter[str] = field(default_factory=Counter)
    combinations: Counter[tuple[str, ...]] = field(default_factory=Counter)
    seen_posts: set[bytes] = field(default_factory=set)
    copies: Counter[bytes] = field(default_factory=Counter)
    repeated: set[bytes] = field(default_factory=set)
    """Fingerprints of sentences that too many posts hold; known after the first pass."""

    def sentences(self, posts: Iterator[Post | None]) -> Iterator[dict[str, Any]]:
        """First pass: rows of the corpus with the posts' own genres."""
        for post in posts:
            self.counts["rows read"] += 1
            reason = self._reject_post(post)
            if reason or post is None:
                self.counts[reason or "unreadable"] += 1
                continue
            self.counts["posts kept"] += 1
            self.combinations[post.genres] += 1
            yield from self._sentences(post)

    def _reject_post(self, post: Post | None) -> str | None:
        if post is None:
            return "unreadable"
        if not post.text:
            return "without text"
        if is_round_up(post):
            return "round-up"
        fingerprint = _fingerprint(post.text)
        if fingerprint in self.seen_posts:
            return "same text as an earlier post"
        self.seen_posts.add(fingerprint)
        return None

    def _sentences(self, post: Post) -> Iterator[dict[str, Any]]:
        fields = {"artist": post.artist, "title": post.title, "genres": post.genres, "post_id": post.id}
        fields["split"] = choose_split(
            song_key(post), valid_share=self.settings.valid_share, test_share=self.settings.test_share
        )
        for paragraph in mask(paragraphs(post.text), artist=post.artist, title=post.title):
            for sentence in split(paragraph):
                self.counts["sentences found"] += 1
                reason = reject(sentence, self.settings.limits)
                if reason is None:
                    text = show_placeholders(sentence)
                    fingerprint = _fingerprint(text)
                    self.copies[fingerprint] += 1
                    reason = "same as an earlier sentence" if self.copies[fingerprint] > 1 else None
                if reason is None:
                    yield {"text": text, **fields}
                else:
                    self.counts[reason] += 1

    def finish(self, cleaned: Path, folder: Path, *, inputs: tuple[Input, ...]) -> Funnel:
        """Second pass: map genres to labels, drop what too many posts repeat, write the corpus."""
        table = choose_labels(
            self.combinations, min_posts=self.settings.min_posts_per_genre, max_labels=self.settings.max_genres
        )
        self.repeated = {sentence for sentence, count in self.copies.items() if count > self.settings.max_repeats}
        labels_of = {genres: table.resolve(genres)[0] for genres in self.combinations}
        splits = dict.fromkeys(SPLITS, 0)
        with (
            pq.ParquetFile(cleaned) as source,
            pq.ParquetWriter(folder / SENTENCES_FILE, SCHEMA, compression="zstd") as writer,
        ):
            for batch in source.iter_batches(batch_size=_BATCH):
                rows = [row for row in batch.to_pylist() if not self._is_repeated(row["text"])]
                for row in rows:
                    row["genres"] = labels_of[tuple(row["genres"])]
                    splits[row["split"]] += 1
                writer.write_table(pa.Table.from_pylist(rows, schema=SCHEMA))
        self.counts["sentences kept"] = sum(splits.values())
        bare = sum(count for genres, count in self.combinations.items() if not labels_of[genres])
        funnel = Funnel.from_counts(
            self.counts,
            inputs=inputs,
            settings=asdict(self.settings),
            splits=splits,
            genres={"labels": len(table), "posts without genre": bare},
        )
        if not funnel["sentences kept"]:
            names = ", ".join(entry.name for entry in inputs)
            raise NoUsableSentenceError(
                f"no usable sentence is left of {funnel['rows read']:,} rows in {names}; dropped: {funnel.dropped()}"
            )
        (folder / GENRES_FILE).write_text(
            json.dumps(table.labels, ensure_ascii=False, indent=0) + "\n", encoding="utf-8"
        )
        (folder / FUNNEL_FILE).write_text(funnel.to_json(), encoding="utf-8")
        return funnel

    def _is_repeated(self, text: str) -> bool:
        if not self.repeated or _fingerprint(text) not in self.repeated:
            return False
        self.counts["repeated in many posts"] += 1
        return True


def _fingerprint(text: str) -> bytes:
    """Hash of a text's letters and digits: punctuation and case make no new sentence."""
    return hashlib.blake2b(_NO_WORD.sub(" ", text.casefold()).strip().encode(), digest_size=10).digest()


def _posts(files: Sequence[Path], catalog: Catalog, progress: Progress | None) -> Iterator[Post | None]:
    total = sum(path.stat().st_size for path in files if path.is_file())
    done = 0

    def advance(count: int) -> None:
        nonlocal done
        done += count
        if progress:
            progress(done, total)

    for path in files:
        yield from read_posts(path, catalog=catalog, advance=advance)


def _batches(rows: Iterator[dict[str, Any]]) -> Iterator[list[dict[str, Any]]]:
    batch: list[dict[str, Any]] = []
    for row in rows:
        batch.append(row)
        if len(batch) == _BATCH:
            yield batch
            batch = []
    if batch:
        yield batch


def _input(path: Path) -> Input:
    with path.open("rb") as file:
        digest = hashlib.file_digest(file, "sha256").hexdigest()
    return Input(name=path.name, num_bytes=path.stat().st_size, sha256=digest)


def _check_place(out: Path) -> None:
    """Refuse to replace anything but a corpus or an empty folder."""
    try:
        replaceable = not out.exists() or (out.is_dir() and ((out / FUNNEL_FILE).is_file() or not any(out.iterdir())))
    except OSError as cause:
        raise CorpusError(f"{out} cannot be written: {cause.strerror or cause}") from cause
    if not replaceable:
        raise CorpusError(f"{out} exists and is no corpus; choose another folder or remove it")
