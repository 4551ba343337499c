"""Funnel of a corpus: its input, what each step dropped and why, and what is left."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any, Final, Literal

from rich.table import Table

from training.corpus.chunks import NAMED
from training.corpus.cleaning import CHANGES
from training.corpus.sentences import REASONS

Unit = Literal["rows", "posts", "sentences"]
Effect = Literal["in", "dropped", "changed", "kept"]

STEPS: Final[tuple[tuple[str, Unit, Effect], ...]] = (
    ("rows read", "rows", "in"),
    ("unreadable", "rows", "dropped"),
    ("without text", "posts", "dropped"),
    ("round-up", "posts", "dropped"),
    ("nothing left of the text", "posts", "dropped"),
    ("not English", "posts", "dropped"),
    ("same text as an earlier post", "posts", "dropped"),
    ("nearly the same as an earlier post", "posts", "dropped"),
    ("posts kept", "posts", "kept"),
    *((change, "posts", "changed") for change in (*CHANGES, *NAMED)),
    ("sentences found", "sentences", "in"),
    *((reason, "sentences", "dropped") for reason in REASONS),
    ("in another language", "sentences", "dropped"),
    ("same as an earlier sentence", "sentences", "dropped"),
    ("nearly the same as an earlier sentence", "sentences", "dropped"),
    ("repeated in many posts", "sentences", "dropped"),
    ("opens like many others", "sentences", "dropped"),
    ("unknown word", "sentences", "dropped"),
    ("spelling corrected", "sentences", "changed"),
    ("sentences kept", "sentences", "kept"),
)
"""Name, unit and effect of each step, in order."""


_MANY_UNREADABLE: Final = 0.05
"""Share of unreadable rows above which a file is probably read in a wrong way."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Step:
    """Line of the funnel."""

    name: str
    unit: Unit
    effect: Effect
    count: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Input:
    """Input file of a build."""

    name: str
    num_bytes: int
    sha256: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Funnel:
    """Counts of a build, with its inputs and settings."""

    steps: tuple[Step, ...]
    inputs: tuple[Input, ...]
    settings: Mapping[str, Any]
    splits: Mapping[str, int]
    """Sentences in train, valid and test."""
    genres: Mapping[str, int]
    """Number of `labels` in the genre table, of `posts without genre` once genres are mapped to labels, and of `posts
    of the most frequent` genre, which funnels of earlier versions lack."""

    def __getitem__(self, name: str) -> int:
        """Return the count of the step of that name."""
        for step in self.steps:
            if step.name == name:
                return step.count
        raise KeyError(name)

    @classmethod
    def from_counts(cls, counts: Mapping[str, int], **fields: Any) -> Funnel:
        """Make a funnel of all `STEPS` from counts by name; the default count is 0."""
        steps = tuple(
            Step(name=name, unit=unit, effect=effect, count=counts.get(name, 0)) for name, unit, effect in STEPS
        )
        return cls(steps=steps, **fields)

    def to_json(self) -> str:
        """Return the document of `funnel.json`."""
        return json.dumps(asdict(self), ensure_ascii=False, indent=2) + "\n"

    @classmethod
    def from_json(cls, text: str) -> Funnel:
        """Read the document of `funnel.json`."""
        document = json.loads(text)
        document["steps"] = tuple(Step(**step) for step in document["steps"])
        document["inputs"] = tuple(Input(**entry) for entry in document["inputs"])
        return cls(**document)

    def table(self) -> Table:
        """Return the funnel as a table for the terminal."""
        table = Table(title="Corpus funnel")
        table.add_column("step")
        table.add_column("rows", justify="right")
        table.add_column("posts", justify="right")
        table.add_column("sentences", justify="right")
        for step in self.steps:
            inner = step.effect in {"dropped", "changed"}
            if inner and not step.count:
                continue
            name = f"  {'-' if step.effect == 'dropped' else '~'} {step.name}" if inner else step.name
            cells = [f"{step.count:,}" if step.unit == unit else "" for unit in ("rows", "posts", "sentences")]
            table.add_row(name, *cells, style=None if inner else "bold")
        return table

    def warnings(self) -> list[str]:
        """Return what would make a model of the corpus poor or impossible, each with a way out."""
        found = []
        needed, most = self.settings.get("min_posts_per_genre", 0), self.genres.get("posts of the most frequent", 0)
        if not self.genres["labels"] and most:
            found.append(
                f"no genre has the {needed} posts that a label needs, so a model would know none; the most frequent "
                f"has {most}: build with --min-posts-per-genre {most} or less"
            )
        elif not self.genres["labels"]:
            found.append(
                "no post has a genre, so a model would know none: give the posts a column `genres`, or artists' genres "
                "with --catalog"
            )
        if empty := [name for name in ("train", "valid") if not self.splits.get(name)]:
            found.append(
                f"the {' and '.join(empty)} split is empty, and training needs both: posts on more songs fill it, "
                "since every split takes whole songs"
            )
        if unreadable := self["unreadable"]:
            share = unreadable / max(1, self["rows read"])
            if share > _MANY_UNREADABLE:
                found.append(
                    f"{unreadable:,} of {self['rows read']:,} rows cannot be read ({share:.0%}): check quotes and "
                    "delimiters of the file, or give --encoding"
                )
        return found

    def dropped(self) -> str:
        """Describe the steps that dropped something in one line, largest first."""
        losses = Counter({f"{step.name} ({step.unit})": step.count for step in self.steps if step.effect == "dropped"})
        return ", ".join(f"{name}: {count:,}" for name, count in losses.most_common() if count) or "nothing"
