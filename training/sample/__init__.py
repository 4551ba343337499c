"""Bundled sample: posts, a catalog and a feed about artists that do not exist, written by a seeded generator.

    world = make_sample(seed=1)
    write_sample(world, directory)        # posts.jsonl.gz, catalog.jsonl.gz, feed.jsonl

The true kind of every sentence is known (`world.kinds`), which tests of topics and of steering need. The sentences are
of the sort that a corpus keeps: they name at most one person or place besides the song's own, and open in many ways.
"""

from training.sample.generate import (
    CATALOG_FILE,
    DEFAULT_NUM_POSTS,
    FEED_FILE,
    POSTS_FILE,
    SampleWorld,
    make_sample,
    write_sample,
)
from training.sample.world import Kind

__all__ = [
    "CATALOG_FILE",
    "DEFAULT_NUM_POSTS",
    "FEED_FILE",
    "POSTS_FILE",
    "Kind",
    "SampleWorld",
    "make_sample",
    "write_sample",
]
