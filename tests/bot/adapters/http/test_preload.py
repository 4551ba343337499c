"""A library is imported without what the bot has no use for, and whole where it needs that after all."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from bot.adapters.http.preload import preload

PROGRAM = """
import sys
from bot.settings import *
from bot.bootstrap import networks
networks.open_lookups(BotSettings(spotify=SpotifySettings(client_id="a", client_secret="b")))
networks.open_sources(BotSettings(bluesky=BlueskySettings(handle="a.test", app_password="b")))
print("redis" in sys.modules, "atproto_client.namespaces.async_ns" in sys.modules, "spotipy" in sys.modules)
"""


@pytest.fixture
def library(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """A library that takes a name from a heavy module."""
    monkeypatch.syspath_prepend(tmp_path)
    (tmp_path / "lib_heavy.py").write_text("class HeavyError(Exception): pass\nextra = 7\n")
    return "lib_light"


def write(folder: Path, text: str) -> None:
    (folder / "lib_light.py").write_text(text)


def forget() -> None:
    for name in ("lib_light", "lib_heavy"):
        sys.modules.pop(name, None)


def test_a_module_of_which_a_name_is_taken_is_left_out_and_can_be_imported_later(library: str, tmp_path: Path) -> None:
    write(tmp_path, "from lib_heavy import HeavyError\ntry: pass\nexcept HeavyError: pass\n")
    preload(library, without={"lib_heavy": ("HeavyError",)})
    assert (library in sys.modules, "lib_heavy" in sys.modules) == (True, False)
    assert __import__("lib_heavy").extra == 7
    forget()


def test_a_library_that_needs_more_than_was_thought_is_imported_whole_when_it_is_wanted(
    library: str, tmp_path: Path
) -> None:
    write(tmp_path, "from lib_heavy import HeavyError, extra\n")
    preload(library, without={"lib_heavy": ("HeavyError",)})
    assert library not in sys.modules
    assert __import__(library).extra == 7
    assert sys.modules["lib_heavy"].extra == 7
    forget()


def test_spotify_comes_without_redis_and_bluesky_without_its_asynchronous_half() -> None:
    done = subprocess.run([sys.executable, "-c", PROGRAM], check=True, capture_output=True, text=True)
    assert done.stdout.split() == ["False", "False", "True"]
