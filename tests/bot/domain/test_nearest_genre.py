"""The nearest genre that a model knows, and the files that tell."""

from __future__ import annotations

import json
import zipfile
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from typer.testing import CliRunner

from benchmarks.bot.cli import app_bench
from bot.adapters.lookups.genre_files import read_labels, read_map
from bot.domain.errors import InputError
from bot.domain.nearest_genre import NearestGenre, Way
from bot.ports import CommentaryService, SongSamples
from bot.services.known_genres import KnownGenres
from handlers.contract import CommentaryRequest
from handlers.model.genres import GenreTable

LABELS = ("indie pop", "pop", "tin noise", "salt folk")
ARTISTS = [
    *[("harsh", "tin noise", "pop"), ("harsh", "Tin  Noise"), ("harsh", "pop"), ("harsh", "tin noise"), ("odd",)],
    *[("harbour", "pop")] * 9,
    *[("quay", "tin noise")] * 2,
    *[("quay",)] * 18,
]
PLACES = {
    "salt folk": (0.0, 0.0),
    "tin noise": (1.0, 1.0),
    "reed song": (0.05, 0.02),
    "drone": (0.97, 0.97),
    "far away": (0.4, 0.6),
}


def nearest() -> NearestGenre:
    return NearestGenre(LABELS, artists=ARTISTS, places=PLACES)


@pytest.mark.parametrize(
    ("genre", "label", "way"),
    [
        ("Indie  POP", "indie pop", Way.ITSELF),
        ("harsh", "tin noise", Way.COMPANY),
        ("canadian indie pop", "indie pop", Way.WORDS),
        ("pop punk", "pop", Way.WORDS),
        ("k-pop", "pop", Way.WORDS),
        ("dutch tin-noise", "tin noise", Way.WORDS),
        ("reed song", "salt folk", Way.PLACE),
        ("Drone", "tin noise", Way.PLACE),
    ],
)
def test_the_surest_way_is_taken(genre: str, label: str, way: Way) -> None:
    near = nearest().find(genre)
    assert near is not None
    assert (near.label, near.way) == (label, way)


@pytest.mark.parametrize("genre", ["odd", "opera", "far away", "", " ", "x " * 1000])
def test_some_genres_have_no_neighbour(genre: str) -> None:
    assert nearest().find(genre) is None


def test_genres_stay_as_they_are_where_the_model_knows_one_of_them() -> None:
    assert nearest().replace(["harsh", "salt folk", "opera"]) == ("harsh", "salt folk", "opera")
    assert nearest().replace(["harsh", "drone"]) == ("tin noise",)
    assert nearest().replace([]) == ()


@pytest.mark.parametrize(
    ("artists", "label"),
    [
        ([("reggae", "funk")] * 2 + [("opera",)] * 50, None),  # two artists
        ([("reggae", "funk")] * 3 + [("opera",)] * 50, "funk"),
        ([("reggae", "funk")] * 3 + [("reggae",)] * 28 + [("opera",)] * 500, None),  # 3 of 31
        ([("reggae", "funk")] * 3 + [("reggae",)] * 27 + [("opera",)] * 500, "funk"),
        ([("reggae", "pop")] * 6 + [("reggae",)] * 4 + [("opera", "pop")] * 50 + [("opera",)] * 50, None),  # common
    ],
)
def test_a_label_needs_support(artists: list[tuple[str, ...]], label: str | None) -> None:
    near = NearestGenre(["funk", "pop"], artists=artists).find("reggae")
    assert (near.label if near else None) == label


def test_the_most_marked_label_wins_over_the_commonest() -> None:
    artists = [("drill", "rap", "pop")] * 5 + [("drill", "pop")] * 3 + [("opera", "pop")] * 15 + [("opera",)] * 60
    near = NearestGenre(["pop", "rap"], artists=artists).find("drill")
    assert near is not None
    assert near.label == "rap"


def test_one_genre_of_many_does_not_speak_for_the_artist() -> None:
    assert nearest().replace(["harsh", "opera", "odd", "tin", "x"]) == ("harsh", "opera", "odd", "tin", "x")
    assert nearest().replace(["harsh", "opera"]) == ("tin noise",)


_GENRES = st.lists(st.text("ab ", max_size=6), max_size=6)


@given(
    _GENRES.map(lambda labels: sorted({" ".join(label.split()) for label in labels} - {""})), st.text("ab ", max_size=9)
)
def test_by_words_it_is_what_the_model_server_does_itself(labels: list[str], genre: str) -> None:
    near = NearestGenre(labels).find(genre)
    assert (near.label if near else None) == GenreTable(labels=tuple(labels)).back_off(genre)


class Echo(CommentaryService):
    """Keeps what it is asked."""

    def __init__(self) -> None:
        self.asked: list[CommentaryRequest] = []
        self.closed = False

    def generate(self, request: CommentaryRequest) -> SongSamples:
        self.asked.append(request)
        raise LookupError

    def is_reachable(self) -> bool:
        return True

    def close(self) -> None:
        self.closed = True


def test_requests_are_made_in_the_genres_that_the_model_knows() -> None:
    echo = Echo()
    service = KnownGenres(echo, nearest())
    with pytest.raises(LookupError):
        service.generate(CommentaryRequest(genres=("drone", "opera"), artist="Ona Vell", seed=7))
    assert echo.asked == [CommentaryRequest(genres=("tin noise",), artist="Ona Vell", seed=7)]
    assert service.is_reachable()
    service.close()
    assert echo.closed


def test_labels_come_from_a_corpus_or_from_an_archive(tmp_path: Path) -> None:
    plain = tmp_path / "genres.json"
    plain.write_text(json.dumps(LABELS), encoding="utf-8")
    with zipfile.ZipFile(tmp_path / "lcgan_1.mar", "w") as archive:
        archive.write(plain, "genres.json")
    assert read_labels(plain) == read_labels(tmp_path / "lcgan_1.mar") == LABELS


@pytest.mark.parametrize("content", ["", "{}", "[]", "[3]", '"pop"', "PK\x03\x04", "[" * 100_000])
def test_labels_of_another_kind_are_refused(tmp_path: Path, content: str) -> None:
    path = tmp_path / "genres.json"
    path.write_text(content, encoding="utf-8")
    with pytest.raises(InputError, match=r"genres\.json"):
        read_labels(path)
    with zipfile.ZipFile(tmp_path / "other.zip", "w") as archive:
        archive.writestr("else", "")
    for missing in (tmp_path / "nowhere", tmp_path / "other.zip", tmp_path):
        with pytest.raises(InputError, match="cannot be read"):
            read_labels(missing)


def test_places_are_brought_to_one_scale(tmp_path: Path) -> None:
    path = tmp_path / "map.csv"
    path.write_text(
        "genre,x,y,hex_colour\ntin noise,100,0,#ff0000\nsalt folk,300,9000,#0000ff\n,1,1,#000000\n", encoding="utf-8"
    )
    places = read_map(path)
    assert places == {"tin noise": (0.5, 0.0, 1.0, 0.0, 0.0), "salt folk": (1.5, 1.0, 0.0, 0.0, 1.0)}


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("", "lacks the column genre, x, y"),
        ("genre,x\na,1\n", "lacks the column y"),
        ("genre,x,y\n", "is empty"),
        ("genre,x,y\na,1,high\n", "line 2: could not convert"),
        ("genre,x,y\na,1\n", "line 2"),
        ("genre,x,y\na,nan,2\n", "must be finite"),
        ("genre,x,y,hex_colour\na,1,2,blue\n", "got 'blue'"),
        ("genre,x,y,hex_colour\na,1,2,#12345z\n", "line 2"),
    ],
)
def test_maps_of_another_kind_are_refused_by_line(tmp_path: Path, content: str, message: str) -> None:
    path = tmp_path / "map.csv"
    path.write_text(content, encoding="utf-8")
    with pytest.raises(InputError, match=message):
        read_map(path)


def test_missing_maps_are_named(tmp_path: Path) -> None:
    for path in (tmp_path / "nowhere.csv", tmp_path):
        with pytest.raises(InputError, match="cannot be read"):
            read_map(path)


def test_the_command_judges_each_way_on_artists_that_were_not_counted(tmp_path: Path) -> None:
    labels = tmp_path / "genres.json"
    labels.write_text(json.dumps(["tin noise", "salt folk"]), encoding="utf-8")
    catalog = tmp_path / "catalog.jsonl"
    rows = [
        {"artist": f"Artist {n}", "genres": ["harsh", "tin noise"] if n % 4 else ["harsh", "salt folk"]}
        for n in range(80)
    ]
    rows += [{"artist": f"Other {n}", "genres": [f"odd {n}"]} for n in range(200)]
    catalog.write_text("\n".join(map(json.dumps, rows)), encoding="utf-8")
    places = tmp_path / "map.csv"
    places.write_text("genre,x,y\ntin noise,0,0\nsalt folk,9,9\nharsh,8.8,8.8\n", encoding="utf-8")
    done = CliRunner().invoke(
        app_bench, ["genres", "--labels", str(labels), "--catalog", str(catalog), "--map", str(places), "--quick"]
    )
    assert done.exit_code == 0, done.output
    figures = json.loads(done.stdout.splitlines()[-1])["figures"]
    assert (figures["genres"], figures["artists"]) == (1, 280)
    assert figures["company"]["share"] == pytest.approx(0.75, abs=0.2)
    assert figures["place"]["share"] == pytest.approx(1 - figures["company"]["share"])
    assert figures["words"] == {"share": None, "says_something": 0}
    assert figures["best_possible"]["share"] == figures["company"]["share"] == figures["all"]["share"]


def test_the_command_shows_what_would_be_asked_for_an_artist(tmp_path: Path) -> None:
    labels, catalog = tmp_path / "genres.json", tmp_path / "catalog.jsonl"
    labels.write_text(json.dumps(["pop"]), encoding="utf-8")
    catalog.write_text('{"artist": "Ona Vell", "genres": ["k-pop"]}\n{"artist": "Tor", "genres": ["opera"]}\n')
    options = ["nearest", "--labels", str(labels), "--catalog", str(catalog)]
    done = CliRunner().invoke(app_bench, [*options, "--artist", "ona vell", "--artist", "Tor", "--artist", "Nobody"])
    assert done.exit_code == 0, done.output
    rows = json.loads(done.stdout.splitlines()[-1])["figures"]["artists"]
    assert [(row["known"], row["asked"], row["namesakes"]) for row in rows] == [
        (["k-pop"], ["pop"], False),
        (["opera"], [], False),
        (None, [], False),
    ]
