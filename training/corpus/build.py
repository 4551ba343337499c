"""Build of a corpus from posts: clean sentences with their song's genres and a split by song, in a folder.

A build has three passes. Chunks of posts are cleaned independently in several processes (`chunks`); duplicates and
rare words, which only all chunks together show, are found on disk (`judging`); the remaining sentences are written.
Memory is that of the chunks being cleaned, whatever the number of posts. Cleaned chunks lie in a hidden folder beside
the corpus until it is complete, so that an interrupted build continues where it stopped. The same posts and settings
give the same bytes, interrupted or not.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass, field
from itertools import islice
from pathlib import Path
from typing import Final

from foundation.hashes import file_sha256
from foundation.parallel.port import Engine
from training.corpus.chunks import ChunkSettings
from training.corpus.funnel import Funnel, Input
from training.corpus.judging import JudgeSettings, judge
from training.corpus.pool import clean_chunks
from training.corpus.posts import DEFAULT_READING, Catalog, Post, Reading, read_catalog, read_posts
from training.corpus.sentences import SentenceLimits
from training.corpus.store import FUNNEL_FILE
from training.corpus.work import WorkFolder, code_hash
from training.corpus.writing import write_corpus
from training.errors import CorpusError, NoUsableSentenceError, PostsError
from training.files import atomic_directory

Progress = Callable[[int, int | None], None]
"""Called with the number of bytes of post files read so far and with their total."""

CHUNK_POSTS: Final = 1000


@dataclass(frozen=True, slots=True, kw_only=True)
class CorpusSettings:
    """Settings of a build: everything but the posts that it depends on."""

    limits: SentenceLimits = field(default_factory=SentenceLimits)
    min_posts_per_genre: int = 50
    max_genres: int = 300
    valid_share: float = 0.05
    """Share of songs in the validation split."""
    test_share: float = 0.05
    max_repeats: int = 5
    """Occurrences up to which the first copy of a sentence is kept; a more frequent sentence is boilerplate, and all
    its copies are dropped."""
    max_openings: int = 20
    """Number of sentences with the same first four words that are kept: the first ones."""
    min_english_post: float = 0.25
    """Minimum probability that a post is English."""
    min_english_sentence: float = 0.1
    """Minimum probability that a sentence is English; low, since sentences are short and their post is English."""
    min_near_posts: float = 0.8
    """Share of common word pairs from which a later post is a near duplicate of an earlier one."""
    min_near_sentences: float = 0.7
    """Share of common word pairs from which a later sentence is a near duplicate of an earlier one."""
    min_word_posts: int = 3
    """Posts that must hold a word that the dictionary lacks, unless its spelling can be corrected."""

    def __post_init__(self) -> None:
        counts = ("min_posts_per_genre", "max_genres", "max_repeats", "max_openings", "min_word_posts")
        if min(getattr(self, name) for name in counts) < 1:
            raise ValueError(f"{', '.join(counts[:-1])} and {counts[-1]} must be at least 1")
        if not (0 <= self.valid_share < 1 and 0 <= self.test_share < 1 and self.valid_share + self.test_share < 1):
            raise ValueError(f"shares must leave songs to train on, got {self.valid_share} and {self.test_share}")
        shares = (self.min_english_post, self.min_english_sentence, self.min_near_posts, self.min_near_sentences)
        if not all(0 <= share <= 1 for share in shares):
            raise ValueError(f"min_english_* and min_near_* must be from 0 to 1, got {shares}")

    def for_chunks(self) -> ChunkSettings:
        """Return the settings that cleaning a chunk depends on."""
        return ChunkSettings(
            limits=self.limits,
            valid_share=self.valid_share,
            test_share=self.test_share,
            min_english_post=self.min_english_post,
            min_english_sentence=self.min_english_sentence,
        )

    def for_judging(self) -> JudgeSettings:
        """Return the settings that judging all chunks together depends on."""
        return JudgeSettings(
            min_near_posts=self.min_near_posts,
            min_near_sentences=self.min_near_sentences,
            max_repeats=self.max_repeats,
            max_openings=self.max_openings,
            min_word_posts=self.min_word_posts,
        )


DEFAULT_SETTINGS: Final = CorpusSettings()


def build_corpus(
    post_files: Sequence[Path],
    out: Path,
    *,
    settings: CorpusSettings = DEFAULT_SETTINGS,
    catalog: Path | None = None,
    reading: Reading = DEFAULT_READING,
    jobs: int = 1,
    engine: Engine | None = None,
    chunk_posts: int = CHUNK_POSTS,
    progress: Progress | None = None,
    begin: Callable[[str], None] | None = None,
) -> Funnel:
    """Build a corpus from files of posts.

    Args:
        post_files: files for `posts.read_posts`; their order decides which of two equal sentences is the first.
        out: folder of the corpus; an existing corpus is replaced once the new one is complete.
        settings: settings of the build.
        catalog: table of artists and genres, for posts without genres.
        reading: column of the text, and encoding of the files.
        jobs: processes that clean chunks; the result does not depend on their number.
        engine: engine that cleans chunks instead of processes, such as a Ray cluster; the result is the same.
        chunk_posts: posts of a chunk; the result does not depend on their number.
        progress: see `Progress`.
        begin: called with the name of each step that follows the cleaning.

    Raises:
        PostsError: a file cannot be used.
        CorpusError: `out` holds something else.
        OutputError: `out` cannot be written.
        NoUsableSentenceError: no sentence is left.
    """
    if not post_files:
        raise CorpusError("no file of posts was given")
    check_place(out)
    known = read_catalog(catalog, encoding=reading.encoding) if catalog else {}
    inputs = tuple(_input(path) for path in (*post_files, *((catalog,) if catalog else ())))
    plan = {
        "settings": asdict(settings.for_chunks()),
        "inputs": [asdict(each) for each in inputs],
        "reading": asdict(reading),
        "chunk_posts": chunk_posts,
        "code": code_hash(),
    }
    with WorkFolder.opened(out.with_name(f".{out.name}.building"), plan) as work:
        try:
            posts = _posts(post_files, known, reading, progress)
            # An empty chunk ends the files.
            clean_chunks(
                iter(lambda: list(islice(posts, chunk_posts)), []),
                work,
                settings.for_chunks(),
                jobs=jobs,
                engine=engine,
            )
            (begin or _silent)("judge sentences")
            judged = judge(work, settings.for_judging())
            (begin or _silent)("write corpus")
            with atomic_directory(out) as folder:
                funnel = write_corpus(
                    work,
                    judged,
                    folder,
                    inputs=inputs,
                    settings=asdict(settings),
                    min_posts_per_genre=settings.min_posts_per_genre,
                    max_genres=settings.max_genres,
                )
        except (PostsError, NoUsableSentenceError):
            # Corrected posts are other posts, so these chunks are useless; those of an interrupted build are kept.
            work.remove()
            raise
        work.remove()
    return funnel


def _silent(step: str) -> None:
    del step


def _posts(
    files: Sequence[Path], catalog: Catalog, reading: Reading, progress: Progress | None
) -> Iterator[Post | None]:
    total = sum(path.stat().st_size for path in files)
    done = 0

    def advance(count: int) -> None:
        nonlocal done
        done += count
        if progress:
            progress(done, total)

    for path in files:
        yield from read_posts(path, catalog=catalog, advance=advance, reading=reading)


def _input(path: Path) -> Input:
    try:
        return Input(name=path.name, num_bytes=path.stat().st_size, sha256=file_sha256(path))
    except OSError as cause:
        raise PostsError(f"{path} cannot be read: {cause.strerror or cause}") from cause


def check_place(out: Path) -> None:
    """Refuse to replace anything but a corpus or an empty folder.

    Raises:
        CorpusError: `out` is something else, or cannot be accessed.
    """
    try:
        replaceable = not out.exists() or (out.is_dir() and ((out / FUNNEL_FILE).is_file() or not any(out.iterdir())))
    except OSError as cause:
        raise CorpusError(f"{out} cannot be written: {cause.strerror or cause}") from cause
    if not replaceable:
        raise CorpusError(f"{out} exists and is not a corpus; choose another folder or remove it")
