"""Invented world: artists with their facts, posts, and the true kind of each sentence."""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from functools import cache
from importlib import resources
from random import Random
from typing import Any, Final

from training.sample.dirt import add_dirt
from training.sample.grammar import Expander, Words

Row = dict[str, Any]


class Kind(StrEnum):
    """Subject of a sentence of the sample."""

    SOUND = "sound"
    BIOGRAPHY = "biography"
    NEWS = "news"
    TALK = "talk"


_PER_ARTIST: Final = 12
"""Approximate number of posts per artist: a blog returns to artists that it likes."""
_DRAWS: Final = 4
"""Attempts at a sentence that has not been written yet; some are written twice, as on any blog."""
_JOINTS: Final = ("In short, ", "Still, ", "And yet ", "Here, ", "Once again, ", "For now, ", "As ever, ")
"""Openers of sentences of any kind, so that the first word does not reveal the kind."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Artist:
    """Artist with the facts that its posts agree on."""

    name: str
    family: str
    genres: tuple[str, ...]
    titles: tuple[str, ...]
    facts: Words


@dataclass(frozen=True, slots=True, kw_only=True)
class Vocabulary:
    """Word lists and templates of the package's TOML files."""

    families: Mapping[str, Mapping[str, Any]]
    shared: Words
    names: Words
    templates: Mapping[str, tuple[str, ...]]


@cache
def vocabulary() -> Vocabulary:
    """Read the word lists and templates."""
    folder = resources.files("training.sample")
    words = tomllib.loads(folder.joinpath("words.toml").read_text(encoding="utf-8"))
    templates = tomllib.loads(folder.joinpath("templates.toml").read_text(encoding="utf-8"))
    return Vocabulary(
        families=words["families"],
        shared=words["shared"],
        names=words["names"],
        templates={kind: tuple(entries) for kind, entries in templates.items()},
    )


class Namer:
    """Generator of names and titles without repetition."""

    def __init__(self, random: Random) -> None:
        self._random = random
        self._names = vocabulary().names
        self._taken: set[str] = set()

    def word(self) -> str:
        """Make an invented word with a capital: a syllable and an ending."""
        pick = self._random.choice
        syllable = pick(self._names["onset"]) + pick(self._names["nucleus"]) + pick(self._names["coda"])
        return (syllable + pick(self._names["ending"])).capitalize()

    def person(self, *, unlike: str = "") -> str:
        """Make a first name and an invented surname that share no word with the name `unlike`."""
        while True:
            person = f"{self._random.choice(self._names['first'])} {self.word()}"
            if not _overlap(person, unlike):
                return person

    def artist(self) -> str:
        """Make a stage name with an invented word, so that it is not the name of a real artist."""
        pick = self._random.choice
        form = self._random.choice(("person", "word", "the", "adjective", "plural", "pair", "accent"))
        names = {
            "person": self.person,
            "word": self.word,
            "the": lambda: f"The {self.word()}s",
            "adjective": lambda: f"{pick(self._names['adjective'])} {self.word()}",
            "plural": lambda: f"{self.word()} {pick(self._names['plural'])}",
            "pair": lambda: f"{self.word()} & {self.word()}",
            "accent": lambda: f"{self.word()} Ø{self.word().casefold()}",
        }
        return self._fresh(names[form])

    def title(self) -> str:
        """Make the title of a song or record."""
        return self._fresh(self._title)

    def _title(self) -> str:
        pick, names = self._random.choice, self._names
        form = self._random.randrange(5)
        if form == 0:
            return f"{pick(names['title_adjective'])} {pick(names['title_noun'])}"
        if form == 1:
            return f"{pick(names['title_noun'])} {pick(names['title_place'])}"
        if form == 2:
            return f"{pick(names['title_adjective'])} {pick(names['title_noun'])} {pick(names['title_place'])}"
        if form == 3:
            return f"{pick(names['title_noun'])} for {self.word()}"
        return (
            pick(names["title_phrase"]) if self._random.random() < 0.3 else f"{self.word()} {pick(names['title_noun'])}"
        )

    def _fresh(self, make: Any) -> str:
        for _ in range(50):
            name: str = make()
            if name not in self._taken:
                break
        self._taken.add(name)
        return name


def make_artists(random: Random, *, num_artists: int) -> tuple[Artist, ...]:
    """Draw artists; families take turns, so that even a small world has each of them."""
    namer = Namer(random)
    families = vocabulary().families
    order = [name for _ in range(-(-num_artists // len(families))) for name in families][:num_artists]
    names = [namer.artist() for _ in order]
    return tuple(
        _make_artist(random, namer, name=name, family=family, others=names)
        for name, family in zip(names, order, strict=True)
    )


def _make_artist(random: Random, namer: Namer, *, name: str, family: str, others: list[str]) -> Artist:
    lists = vocabulary().families[family]
    genres = [lists["broad"]] if random.random() < 0.6 else []
    genres += random.sample(lists["labels"], k=random.choice((1, 1, 2)))
    genres += [random.choice(lists["fine"])] if random.random() < 0.35 else []
    pick = random.choice
    facts: dict[str, list[str]] = {
        "member": [namer.person(unlike=name)],
        "member2": [namer.person(unlike=name)],
        "hometown": [namer.word() + pick(vocabulary().names["city_end"])],
        "label": [pick(vocabulary().names["label"])],
        "act": [pick(vocabulary().shared["act"])],
        "other": [other for other in random.sample(others, k=min(6, len(others))) if not _overlap(other, name)],
    }
    facts["other"] = facts["other"] or ["an old friend"]
    titles = tuple(namer.title() for _ in range(random.choice((1, 2, 3, 4, 5))))
    return Artist(name=name, family=family, genres=tuple(sorted(genres)), titles=titles, facts=facts)


def _overlap(one: str, other: str) -> bool:
    return not set(one.split()).isdisjoint(other.split())


@dataclass(slots=True)
class Writer:
    """Writer of a world's posts, which records the kind of every sentence."""

    random: Random
    kinds: dict[str, Kind]
    _seen: dict[str, Words]

    @classmethod
    def new(cls, random: Random) -> Writer:
        """Make a writer without sentences."""
        return cls(random, {}, {})

    def post(self, artist: Artist, title: str, *, number: int) -> Row:
        """Write a post of three to seven sentences about a song."""
        kinds = self._plan()
        sentences = [self._sentence(kind, artist) for kind in kinds]
        shown = [sentence.replace("<artist>", artist.name).replace("<title>", title) for sentence in sentences]
        return {
            "id": f"post-{number:05d}",
            "artist": artist.name,
            "title": title,
            "genres": list(artist.genres),
            "text": add_dirt(shown, title=title, random=self.random),
        }

    def _plan(self) -> list[Kind]:
        """Draw the kinds of a post's sentences; most posts lean to one kind."""
        lead = self.random.choice(tuple(Kind))
        count = self.random.randint(3, 7)
        return [lead if self.random.random() < 0.4 else self.random.choice(tuple(Kind)) for _ in range(count)]

    def _sentence(self, kind: Kind, artist: Artist) -> str:
        words, templates = self._words(artist), vocabulary().templates[kind]
        for _ in range(_DRAWS):
            sentence = Expander(self.random).sentence(self.random.choice(templates), words)
            if self.random.random() < 0.08:
                sentence = self._open(sentence)
            if sentence not in self.kinds:
                break
        self.kinds[sentence] = kind
        return sentence

    def _open(self, sentence: str) -> str:
        # "I" and names keep their capital; only words that have one because they come first lose it.
        first = sentence.split(maxsplit=1)[0]
        lowered = first.casefold()
        known = {"the", "a", "an", "there", "every", "it", "you", "on", "over", "between", "before", "as", "tickets"}
        return self.random.choice(_JOINTS) + lowered + sentence[len(first) :] if lowered in known else sentence

    def _words(self, artist: Artist) -> Words:
        if artist.name not in self._seen:
            lists = vocabulary().families[artist.family]
            self._seen[artist.name] = {**vocabulary().shared, **lists, **artist.facts}
        return self._seen[artist.name]
