"""Kill a backup, a restore and the pass after it at every moment, repeat what was killed, and print what is out.

Run as a program: `python -m tests.bot.helpers.killed_restore FOLDER STRIDE`. The recipe: six accepted candidates, two
of them posted, a backup, the other four posted, the backup restored, two more passes. A fork of this process does it,
and is killed with SIGKILL at its n-th step: a statement to SQLite, a change of a file's name, a call of a network. The
networks take turns. One JSON line is printed per moment; the last one of each network is of a run that ended before it
was to be killed.
"""

from __future__ import annotations

import json
import os
import signal
import sqlite3
import sys
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any

import httpx
import requests

from bot.adapters.bluesky import publisher as bluesky_publisher
from bot.adapters.mastodon import publisher as mastodon_publisher
from bot.adapters.sqlite.backup import back_up
from bot.adapters.sqlite.restore import restore
from bot.adapters.sqlite.store import SqliteStore
from bot.adapters.x import publisher as x_publisher
from bot.bootstrap import build as bootstrap
from bot.domain.candidates import Candidate, Decision, Verdict
from bot.domain.songs.song import Song, SongReport
from bot.domain.source_posts import SourcePost, SourcePostStatus
from bot.ports import FeedPage
from bot.sandbox.account import SandboxSettings
from bot.sandbox.client import SandboxControl
from bot.settings import BotSettings
from handlers.contract import Sample
from tests.bot.helpers.killed_bot import Countdown, CountedCommentary
from tests.bot.helpers.killed_sandbox import ToldCountdown, open_sandbox
from tests.bot.helpers.networked import bot_settings, with_all_accounts
from tests.bot.helpers.steps import count_names, count_statements

IMPORTED = (bluesky_publisher, mastodon_publisher, x_publisher)
"""Modules that are imported here rather than in every fork."""
NETWORKS = ("bluesky", "x", "mastodon")
SONGS = (
    ("Ona Vell", "Slow Lamp", "A lamp that takes its time tonight."),
    ("Tor Brisk", "Tin Sea", "The sea is made of tin & thunder."),
    ("Mica Dunes", "Salt Clock", "“Salt” in every gear of this one…"),
    ("Pia Morn", "Rye", "It grows at the speed of bread."),
    ("Jun Aldo", "Fern", "Green, then greener, then a chorus."),
    ("Esa Kip", "Moss", "Soft underfoot 🌱 and louder than it looks."),
)


def settings_of(network: str, folder: Path, sandbox: SandboxSettings) -> BotSettings:
    settings = bot_settings(folder, sandbox)
    if network != "x":
        settings = with_all_accounts(settings, sandbox)
    feed = folder / "feed.jsonl"
    feed.touch()
    others = {name: type(part)() for name, part in settings.accounts.items() if name != network}
    post = settings.post.model_copy(update={"to": network})
    return settings.model_copy(update={**others, "feed": feed, "post": post})


def fill(settings: BotSettings) -> None:
    """Add the accepted candidates; one has another text than the sample."""
    with SqliteStore(settings.database) as store:
        for number, (artist, title, text) in enumerate(SONGS, 1):
            post = SourcePost(id=f"s{number}", text=f"“{title}” by {artist}")
            song = Song(artists=(artist,), title=title, confidence=1.0)
            report = SongReport(source_post_id=post.id, number=1, song=song, artist=artist, genres=())
            sample = Sample(text=text, token_count=3, log_prob=-1.0, topics=(1.0,), seed=number)
            candidate = Candidate(
                report=report, number=1, sample=sample, model="m", model_version="1", archive_sha256=""
            )
            store.add_page("studio", FeedPage(source_posts=(post,), cursor="c", more=False))
            store.finish(post.id, SourcePostStatus.DONE, candidates=[candidate])
            edited = f"{text} Edited by hand." if number == len(SONGS) else None
            store.decide([Verdict(candidate_id=candidate.id, decision=Decision.ACCEPT, who="ana", edited_text=edited)])


def one_pass(settings: BotSettings, *, per_pass: int = 50) -> None:
    settings = settings.model_copy(update={"post": settings.post.model_copy(update={"per_pass": per_pass})})
    with bootstrap.build(settings, commentary=CountedCommentary(Countdown(0))) as bot:
        summary = bot.tick()
    if summary.problems:
        raise SystemExit(f"the pass has problems: {summary.problems}")


def two_passes(settings: BotSettings) -> None:
    for _ in range(2):
        one_pass(settings)


def count_steps(countdown: Countdown, folder: Path, counting: Callable[[], bool]) -> None:
    """Make statements, changes of names and calls of networks in this process steps of the countdown."""

    def tick(what: str) -> None:
        if counting():
            countdown.tick(what)

    def counted(send: Callable[..., Any]) -> Callable[..., Any]:
        def sent(self: Any, request: Any, *arguments: Any, **options: Any) -> Any:
            tick(f"before a call of {request.url}")
            answer = send(self, request, *arguments, **options)
            tick(f"after a call of {request.url}")
            return answer

        return sent

    count_statements(tick)
    count_names(tick, folder)
    for kind, name in ((requests.adapters.HTTPAdapter, "send"), (httpx.HTTPTransport, "handle_request")):
        setattr(kind, name, counted(getattr(kind, name)))


def work(settings: BotSettings, step: int, first: int) -> tuple[int, str]:
    """Run the recipe from a stage on in a process of its own; its last stage, and the moment of its kill if it was."""
    told, done = settings.workspace / "killed", settings.workspace / "stage"
    copy = settings.workspace / "copy" / "bot.db"
    copy.parent.mkdir(exist_ok=True)
    stages: tuple[Callable[[], object], ...] = (
        lambda: back_up(settings.database, copy, overwrite=True),
        lambda: one_pass(settings),
        lambda: restore(copy, settings.database),
        lambda: two_passes(settings),
    )
    child = os.fork()
    if child == 0:
        stage = first
        if step:
            # Kills of a bot that posts are in `killed_networks`.
            count_steps(ToldCountdown(step, told), settings.workspace, lambda: stage != 1)
        for stage in range(first, len(stages)):
            done.write_text(str(stage))
            stages[stage]()
        os._exit(0)
    _, status = os.waitpid(child, 0)
    if os.WIFEXITED(status) and os.WEXITSTATUS(status):
        raise SystemExit(f"the recipe failed at step {step}")
    return int(done.read_text()), told.read_text() if os.WIFSIGNALED(status) else ""


def contents(settings: BotSettings, control: SandboxControl) -> dict[str, Any]:
    network = settings.post.to
    with closing(sqlite3.connect(settings.database)) as connection:
        posts = connection.execute("SELECT candidate_id, network, status, external_id FROM post ORDER BY 1").fetchall()
        posted = "SELECT SUM(count) FROM usage WHERE item LIKE '%post%'"
        counted = connection.execute(posted).fetchone()[0]
        verdicts = connection.execute("SELECT candidate_id, decision, who FROM verdict ORDER BY 1").fetchall()
    shown = {one["id"]: one["text"] for one in control.posted(network)}
    return {
        "texts": sorted(shown.values()),
        "posts": [[name, at, status, shown.get(key, "")] for name, at, status, key in posts],
        "counted": counted,
        "verdicts": verdicts,
    }


def one_moment(network: str, folder: Path, step: int) -> dict[str, object]:
    child, sandbox = open_sandbox()
    try:
        settings, control = settings_of(network, folder, sandbox), SandboxControl(sandbox.url)
        fill(settings)
        one_pass(settings, per_pass=2)
        stage, killed = work(settings, step, 0)
        if killed:
            work(settings, 0, stage)
        return {"network": network, "step": step, "killed": killed, "after": contents(settings, control)}
    finally:
        os.kill(child, signal.SIGKILL)
        os.waitpid(child, 0)


def main(folder: Path, stride: int) -> None:
    for place, network in enumerate(NETWORKS):
        step, killed = place * stride + 1, True
        while killed:
            run = one_moment(network, folder / f"{network}-{step}", step)
            sys.stdout.write(json.dumps(run) + "\n")
            sys.stdout.flush()
            killed = bool(run["killed"])
            step += stride * len(NETWORKS)


if __name__ == "__main__":
    main(Path(sys.argv[1]), int(sys.argv[2]))
