"""The local table of artists."""

from __future__ import annotations

import gzip
import json
from pathlib import Path

import pytest

from bot.adapters.lookups.catalog import EmptyCatalog, FileCatalog
from bot.domain.errors import CatalogError

ROWS = [
    {"artist": "The Öna Vells", "genres": ["dream pop", "slowcore"]},
    {"artist": "Tor/Brisk", "genres": ["techno"]},
    {"artist": "M.O.T.", "genres": ["grime"]},
    {"artist": "Moss!", "genres": ["noise"]},
    {"artist": "Moss", "genres": ["folk"]},
    {"artist": "tor/brisk", "genres": ["techno", "house"]},
    {"artist": "!!!!", "genres": ["dance-punk"]},
]


@pytest.fixture(params=["artists.jsonl", "artists.jsonl.gz"])
def catalog(request: pytest.FixtureRequest, tmp_path: Path) -> FileCatalog:
    path = tmp_path / str(request.param)
    data = "".join(json.dumps(row) + "\n" for row in ROWS).encode()
    path.write_bytes(gzip.compress(data) if path.suffix == ".gz" else data)
    return FileCatalog(path)


@pytest.mark.parametrize(
    "name", ["The Öna Vells", "öna vells", "ONA  VELLS", "the ona vells", "@OnaVells", "@theonavells"]
)
def test_case_accents_the_and_handles_make_no_difference(catalog: FileCatalog, name: str) -> None:
    entry = catalog.find(name)
    assert entry is not None
    assert (entry.name, entry.genres) == ("The Öna Vells", ("dream pop", "slowcore"))


@pytest.mark.parametrize(
    ("name", "genres"),
    [
        ("tor brisk", ("techno", "house")),  # rows of one artist are joined
        ("MOT", ("grime",)),
        ("moss", ("folk",)),
        ("moss!", ("noise",)),
        ("!!!!", ("dance-punk",)),
    ],
)
def test_punctuation_matters_only_where_it_tells_two_artists_apart(
    catalog: FileCatalog, name: str, genres: tuple[str, ...]
) -> None:
    entry = catalog.find(name)
    assert entry is not None
    assert entry.genres == genres


@pytest.mark.parametrize("name", ["", "@", "the", "nobody", "mo ss?", "-"])
def test_an_unknown_artist_has_no_entry(catalog: FileCatalog, name: str) -> None:
    assert catalog.find(name) is None
    assert EmptyCatalog().find(name) is None


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "is empty"),
        (b"{}\n", "line 1: needs .* found none"),
        (b'\n{"name": "Ona", "genres": []}\n', "line 2: .*found 'name', 'genres'"),
        (b'{"artist": "Ona", "genres": "pop"}\n', "line 1: needs"),
        (b"[1]\n", "line 1: must be a JSON object, got list"),
        (b'{"artist": "O\n', "line 1: not valid JSON"),
        (b"\xff\xfe\n", "line 1: not valid JSON"),
    ],
)
def test_a_file_of_another_kind_is_refused_by_line_and_keys(tmp_path: Path, content: bytes, message: str) -> None:
    path = tmp_path / "artists.jsonl"
    path.write_bytes(content)
    with pytest.raises(CatalogError, match=message):
        FileCatalog(path)


def test_a_missing_or_broken_archive_is_named(tmp_path: Path) -> None:
    with pytest.raises(CatalogError, match=r"does not exist; .*--catalog"):
        FileCatalog(tmp_path / "none.jsonl.gz")
    for broken in (b"no gzip", gzip.compress(b'{"artist": "Ona", "genres": []}\n' * 999)[:-20]):
        path = tmp_path / "broken.jsonl.gz"
        path.write_bytes(broken)
        with pytest.raises(CatalogError, match="cannot be read"):
            FileCatalog(path)
