"""The chain of lookups: who is asked, what is believed and for how long, what one that fails costs."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from bot.adapters.sqlite.memory import SqliteMemory
from bot.adapters.sqlite.store import SqliteStore
from bot.domain.errors import CredentialsError, NetworkError, NetworkUnavailableError, RateLimitedError
from bot.domain.namesakes import Namesakes
from bot.domain.songs.song import Song
from bot.ports import ArtistEntry, GenreLookup, SongHit, SongLookup
from bot.services.genres import ChainOptions, ChainResolver
from bot.services.schedule import Clock

START = datetime(2026, 11, 22, 12, tzinfo=UTC)


class Watch(Clock):
    """A clock that a test sets."""

    def __init__(self) -> None:
        self.time = START

    def now(self) -> datetime:
        return self.time

    def monotonic(self) -> float:
        return (self.time - START).total_seconds()


class Lookup(GenreLookup):
    """Knows a few artists, and counts who asks."""

    def __init__(self, origin: str, **genres: str) -> None:
        self.origin = origin
        self.entries = {name.replace("_", " ").casefold(): each for name, each in genres.items()}
        self.asked: list[str] = []
        self.error: NetworkError | None = None
        self.answers_as = ""

    def find(self, artist: str) -> ArtistEntry | None:
        self.asked.append(artist)
        if self.error is not None:
            raise self.error
        known = self.entries.get(artist.casefold())
        if known is None:
            return None
        return ArtistEntry(
            name=self.answers_as or artist, genres=tuple(filter(None, known.split(","))), origin=self.origin
        )


class Songs(SongLookup):
    """Answers with one hit, whatever is asked."""

    def __init__(self, hit: SongHit | None) -> None:
        self.hit = hit
        self.error: NetworkError | None = None
        self.asked = 0

    def find_song(self, song: Song) -> SongHit | None:
        del song
        self.asked += 1
        if self.error is not None:
            raise self.error
        return self.hit


def song(*artists: str, title: str = "Moss", featured: tuple[str, ...] = (), cover_of: str | None = None) -> Song:
    return Song(artists=artists, title=title, featured=featured, cover_of=cover_of, confidence=1)


@pytest.fixture
def memory(tmp_path: Path, watch: Watch) -> SqliteMemory:
    SqliteStore(tmp_path / "bot.db").close()
    return SqliteMemory(tmp_path / "bot.db", now=watch.now)


@pytest.fixture
def watch() -> Watch:
    return Watch()


def test_the_first_that_knows_genres_is_believed() -> None:
    first, second, third = (
        Lookup("spotify", ona=""),
        Lookup("last.fm", ona="tin pop,noise"),
        Lookup("musicbrainz", ona="x"),
    )
    table = Lookup("table", ona="y")
    facts = ChainResolver(lookups=(first, second, third), table=table).resolve(song("Ona"))
    assert (facts.artist, facts.genres, facts.origin) == ("Ona", ("tin pop", "noise"), "last.fm")
    assert third.asked == table.asked == []


def test_what_nobody_knows_is_looked_up_in_the_table_and_else_unknown() -> None:
    chain = ChainResolver(lookups=(Lookup("spotify"),), table=Lookup("table", ona="tin pop"))
    assert chain.resolve(song("Ona")).origin == "table"
    assert chain.resolve(song("Tor")).genres == ()
    assert chain.resolve(song("Tor")).origin == ""


def test_genres_of_several_artists_come_together() -> None:
    table = Lookup("table", ona="a,b", tor="b,c")
    assert ChainResolver(table=table).resolve(song("Ona", "Tor", "Mica")).genres == ("a", "b", "c")


def test_a_guest_or_the_one_who_is_covered_stands_in_where_the_artists_are_unknown() -> None:
    table = Lookup("table", tor="a", mica="b")
    assert ChainResolver(table=table).resolve(song("Ona", featured=("Tor",))).genres == ("a",)
    assert ChainResolver(table=table).resolve(song("Ona", cover_of="Mica")).genres == ("b",)
    assert ChainResolver(table=table).resolve(song("Tor", featured=("Mica",))).genres == ("a",)


def test_an_answer_for_another_artist_does_not_count() -> None:
    other = Lookup("spotify", ona_vell="opera")
    other.answers_as = "Ona Vell Tribute Band"
    facts = ChainResolver(lookups=(other,), table=Lookup("table", ona_vell="tin pop")).resolve(song("Ona Vell"))
    assert facts.genres == ("tin pop",)


def test_the_hit_says_how_artists_are_spelled_and_where_the_song_is_heard() -> None:
    hit = SongHit(
        artists=("ÓNA VELL", "Somebody"), title="Moss - Live", genres=("tin pop",), url="https://song.example/1"
    )
    lookup = Lookup("last.fm", onavell="x")
    facts = ChainResolver(songs=Songs(hit), lookups=(lookup,), table=Lookup("table")).resolve(song("@onavell", "Tor"))
    assert (facts.artist, facts.genres, facts.origin) == ("ÓNA VELL & Tor", ("tin pop",), "spotify")
    assert facts.url == "https://song.example/1"
    assert lookup.asked == []


def test_a_hit_without_genres_leaves_them_to_the_lookups() -> None:
    hit = SongHit(artists=("Ona Vell",), title="Moss", url="https://song.example/1")
    lookup = Lookup("last.fm", **{"ona vell": "tin pop"})
    facts = ChainResolver(songs=Songs(hit), lookups=(lookup,), table=Lookup("table")).resolve(song("Ona Vell"))
    assert (facts.genres, facts.origin, facts.url) == (("tin pop",), "last.fm", "https://song.example/1")


@pytest.mark.parametrize("hit", [None, SongHit(artists=("Ona Vell",), title="Tin Sea", genres=("x",), url="u")])
def test_a_hit_for_another_song_is_none(hit: SongHit | None) -> None:
    facts = ChainResolver(songs=Songs(hit), table=Lookup("table")).resolve(song("Ona Vell"))
    assert (facts.artist, facts.genres, facts.url) == ("Ona Vell", (), "")


def test_what_was_said_is_kept_over_restarts_and_asked_again_when_it_is_old(memory: SqliteMemory, watch: Watch) -> None:
    lookup = Lookup("spotify", ona="tin pop")
    options = ChainOptions(known_for=timedelta(days=30), unknown_for=timedelta(days=3))

    def resolve(artist: str) -> tuple[str, ...]:
        chain = ChainResolver(lookups=(lookup,), table=Lookup("table"), cache=memory, clock=watch, options=options)
        return chain.resolve(song(artist)).genres

    for _ in range(3):
        assert (resolve("Ona"), resolve("ONA!"), resolve("Tor")) == (("tin pop",), ("tin pop",), ())
    assert lookup.asked == ["Ona", "Tor"]
    watch.time += timedelta(days=4)
    assert (resolve("Ona"), resolve("Tor")) == (("tin pop",), ())
    assert lookup.asked == ["Ona", "Tor", "Tor"]
    watch.time += timedelta(days=30)
    assert resolve("Ona") == ("tin pop",)
    assert lookup.asked == ["Ona", "Tor", "Tor", "Ona"]


def test_one_that_fails_stops_nobody_and_is_left_alone_for_a_while(memory: SqliteMemory, watch: Watch) -> None:
    first, second = Lookup("spotify", ona="a", tor="a"), Lookup("last.fm", ona="b")
    songs = Songs(None)
    first.error = songs.error = NetworkUnavailableError("spotify is away")
    notices: list[str] = []
    chain = ChainResolver(
        songs=songs, lookups=(first, second), table=Lookup("table"), cache=memory, clock=watch, notice=notices.append
    )
    assert chain.resolve(song("Ona")).genres == ("b",)
    assert chain.resolve(song("Tor")).genres == ()
    assert (len(first.asked), songs.asked, len(notices)) == (1, 1, 2)
    assert "spotify is away" in notices[0]
    first.error = songs.error = None
    watch.time += timedelta(seconds=61)
    # That nobody knew Tor was not kept, because not everybody was asked; what the second said of Ona was.
    assert chain.resolve(song("Tor")).genres == ("a",)
    assert chain.resolve(song("Ona")).genres == ("b",)
    watch.time += timedelta(days=4)
    assert chain.resolve(song("Ona")).genres == ("a",)


@pytest.mark.parametrize(
    ("error", "rest_s"),
    [
        (RateLimitedError("slow down", retry_at=START + timedelta(seconds=200)), 200),
        (RateLimitedError("in a week", retry_at=START + timedelta(days=7)), 3600),
        (RateLimitedError("a clock that jumped", retry_at=START - timedelta(days=7)), 0),
        (CredentialsError("a person has to act"), 3600),
    ],
)
def test_how_long_a_lookup_is_left_alone(error: NetworkError, rest_s: int, watch: Watch) -> None:
    lookup = Lookup("spotify", ona="a")
    lookup.error = error
    chain = ChainResolver(lookups=(lookup,), table=Lookup("table"), clock=watch)
    chain.resolve(song("Ona"))
    if rest_s:
        watch.time += timedelta(seconds=rest_s - 1)
        chain.resolve(song("Ona"))
        assert len(lookup.asked) == 1
        watch.time += timedelta(seconds=1)
    chain.resolve(song("Ona"))
    assert len(lookup.asked) == 2


def test_the_parser_asks_the_table_alone() -> None:
    lookup, table = Lookup("spotify", tor="a"), Lookup("table", ona="")
    chain = ChainResolver(lookups=(lookup,), table=table)
    assert chain.is_artist("Ona")
    assert not chain.is_artist("Tor")
    assert lookup.asked == []


def test_a_name_that_others_have_is_marked_unless_the_song_itself_was_found() -> None:
    names = Namesakes(lambda: [("Ferry", ["pop"]), ("Pale Ferry", ["pop"]), ("Onavell", ["pop"]), ("Mica", ["rye"])])
    table = Lookup("table", Ferry="pop", Onavell="pop")
    by_name = ChainResolver(table=table, namesakes=names)
    assert [by_name.resolve(song(name)).namesakes for name in ("Ferry", "Onavell", "Nobody")] == [True, False, False]
    hit = SongHit(artists=("Ferry",), title="Moss", genres=("folk",))
    assert not ChainResolver(table=table, songs=Songs(hit), namesakes=names).resolve(song("Ferry")).namesakes
