"""After a restore nothing is sent twice, and what is out is known again."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from bot.adapters.files.publisher import FilePublisher
from bot.domain.candidates import Decision, Verdict
from bot.domain.errors import NetworkUnavailableError
from bot.domain.outgoing_posts import OwnPost, PostMode
from bot.domain.pace import Pace
from bot.domain.post_form import PostForm
from bot.domain.post_text import Template, Templates
from bot.services.post_sender import PostSenderOptions
from tests.bot.helpers.posting import LIVE
from tests.bot.helpers.restoring import Account, Scene

TEXTS = ("A lamp that takes its time.", "The sea is made of tin tonight.", "Salt in every gear of it.")


@pytest.fixture
def scene(tmp_path: Path) -> Scene:
    return Scene(tmp_path)


def three(scene: Scene) -> list[str]:
    return [
        name for song, text in enumerate(TEXTS, 1) for name in scene.add(song, text, f"Another one, number {song}.")
    ]


def firsts(names: list[str]) -> list[str]:
    return names[::2]


def test_accepted_posts_that_went_out_after_the_backup_are_known_again_and_not_sent(scene: Scene) -> None:
    names = three(scene)
    scene.accept(*firsts(names))
    scene.back_up()
    assert scene.send().posts_sent == 3
    before = scene.account.texts
    scene.restore()
    summary = scene.send()
    assert (summary.posts_found, summary.posts_sent) == (3, 0)
    assert scene.account.texts == before
    assert scene.posts() == {"sent": 3}
    with scene.store() as store:
        assert {row["external_id"] for row in store._read("SELECT external_id FROM post")} == {
            own.id for own in scene.account.own
        }
        assert store.state().usage == {"bluesky post": 3, "bluesky read": 3}


def test_verdicts_that_were_given_after_the_backup_are_found_by_their_posts(scene: Scene) -> None:
    names = three(scene)
    with scene.store() as store:
        store.decide([Verdict(candidate_id=names[2], decision=Decision.REJECT, who="bo")])
    scene.back_up()
    scene.accept(*firsts(names))
    scene.send()
    scene.restore()
    assert scene.statuses() == {"waiting": 5, "rejected": 1}
    assert scene.send().posts_found == 3
    assert scene.statuses() == {"waiting": 3, "accepted": 3}
    assert scene.posts() == {"sent": 3}
    assert len(scene.account.own) == 3


def test_candidates_that_are_written_again_after_the_restore_are_compared_too(scene: Scene) -> None:
    scene.add(1, TEXTS[0])
    scene.back_up()
    scene.accept(*scene.add(2, TEXTS[1]))
    scene.send()
    scene.restore()
    assert scene.send().posts_found == 0
    (name,) = scene.add(2, TEXTS[1])
    scene.accept(name)
    assert scene.send().posts_found == 1
    assert len(scene.account.own) == 1


def test_an_edited_text_is_compared_as_it_was_sent(scene: Scene) -> None:
    (name,) = scene.add(1, TEXTS[0])
    scene.accept(name, text="A lamp in somebody's own words.")
    scene.back_up()
    scene.send()
    scene.restore()
    assert scene.send().posts_found == 1
    assert len(scene.account.own) == 1


def test_a_template_that_was_changed_since_hides_nothing(scene: Scene) -> None:
    scene.accept(*firsts(three(scene)))
    scene.back_up()
    scene.send()
    scene.restore()
    scene.form = PostForm(to="bluesky", templates=Templates(post=Template("{text} ({title}, {artist})")))
    assert scene.send().posts_found == 3
    assert len(scene.account.own) == 3


def test_an_edit_that_was_lost_stops_the_candidate_until_it_is_accepted_again(scene: Scene) -> None:
    (name,) = scene.add(1, TEXTS[0])
    scene.accept(name)
    scene.back_up()
    scene.accept(name, text="Words that only the network remembers.")
    scene.send()
    scene.restore()
    summary = scene.send()
    assert (summary.posts_refused, summary.posts_sent) == (1, 0)
    assert "bluesky shows a post on this song, bluesky-0001" in summary.notices[-1]
    assert scene.send().posts_sent == 0
    scene.accept(name)
    assert scene.send().posts_sent == 1
    assert len(scene.account.own) == 2


def test_of_two_texts_of_a_song_the_longer_one_that_is_shown_is_out_and_the_other_is_sent(scene: Scene) -> None:
    short, long = scene.add(1, "A lamp that takes its time", "A lamp that takes its time and glows.")
    scene.accept(short, long)
    scene.back_up()
    with scene.store() as store:
        store.decide([Verdict(candidate_id=short, decision=Decision.UNDO, who="ana")])
    scene.send()
    scene.restore()
    summary = scene.send()
    assert (summary.posts_found, summary.posts_sent) == (1, 1)
    assert len(set(scene.account.texts)) == 2


def test_posts_of_other_people_at_the_same_account_mark_nothing(scene: Scene) -> None:
    names = three(scene)
    scene.back_up()
    scene.account.show("Good morning, here is the week's programme.")
    scene.restore()
    scene.accept(names[0])
    assert scene.send().posts_sent == 1
    assert scene.posts() == {"sent": 1}


def test_nothing_is_sent_while_the_account_cannot_be_read(scene: Scene) -> None:
    scene.accept(*firsts(three(scene)))
    scene.back_up()
    scene.restore()
    scene.account.fault = NetworkUnavailableError("502")
    with pytest.raises(NetworkUnavailableError):
        scene.send()
    assert scene.account.own == []
    scene.account.fault = None
    assert scene.send().posts_sent == 3
    looks = scene.account.looks
    scene.send()
    assert scene.account.looks == looks  # own posts are read once


def test_a_person_can_end_the_wait(scene: Scene) -> None:
    scene.accept(*firsts(three(scene)))
    scene.back_up()
    scene.restore()
    scene.account.fault = NetworkUnavailableError("the account is gone")
    with scene.store() as store:
        store.trust()
    assert scene.send().posts_sent == 3


def test_an_own_post_that_cannot_be_read_may_be_any_of_them(scene: Scene) -> None:
    names = three(scene)
    scene.accept(*firsts(names))
    scene.back_up()
    scene.account.show("", is_unread=True)
    scene.restore()
    summary = scene.send()
    assert summary.posts_sent == 0
    assert "1 of the account's posts since the backup cannot be read" in summary.notices[-1]
    with scene.store() as store:
        store.trust()
    assert scene.send().posts_sent == 3


def test_nothing_is_sent_before_the_board_was_read_once(scene: Scene) -> None:
    scene.accept(*firsts(three(scene)))
    scene.back_up()
    scene.restore()
    summary = scene.send(verdicts_read=False)
    assert summary.posts_sent == 0
    assert "the verdicts on the board have not been read" in summary.notices[-1]
    assert scene.send().posts_sent == 3


def test_a_post_in_doubt_when_the_backup_was_made_is_found(scene: Scene) -> None:
    (name,) = scene.add(1, TEXTS[0])
    scene.accept(name)
    with scene.store() as store:
        store.enqueue_accepted(since=scene.clock.now() - timedelta(days=1))
        text = f"Ona Vell – Slow Lamp: {TEXTS[0]}"
        assert store.claim(name, text=text, network="bluesky", mode=PostMode.STANDALONE, in_reply_to=None)
    scene.back_up()
    scene.account.show(text)
    scene.restore()
    assert scene.send().posts_found == 1
    assert len(scene.account.own) == 1


def test_posts_on_a_network_that_was_posted_to_before_are_looked_up_there(scene: Scene) -> None:
    names = firsts(three(scene))
    scene.accept(*names)
    scene.send(options=PostSenderOptions(dry_run=False, pace=Pace(per_day=1)))
    scene.back_up()
    scene.send()
    scene.restore()
    former, scene.account = scene.account, Account(scene.clock, "mastodon")
    scene.form = PostForm(to="mastodon")
    with scene.store() as store:
        assert store.networks_posted_to() == {"bluesky"}
    summary = scene.send(former)
    assert (summary.posts_found, summary.posts_sent) == (2, 0)
    assert scene.account.own == []


def test_what_was_posted_today_counts_against_the_days_limit(scene: Scene) -> None:
    names = firsts(three(scene))
    scene.accept(*names[:2])
    scene.back_up()
    scene.send()
    scene.restore()
    scene.accept(names[2])
    assert scene.send(options=PostSenderOptions(dry_run=False, pace=Pace(per_day=2))).posts_sent == 0
    scene.clock.pass_by(25 * 3600)
    assert scene.send(options=PostSenderOptions(dry_run=False, pace=Pace(per_day=2))).posts_sent == 1


def test_a_second_restore_looks_again(scene: Scene) -> None:
    names = firsts(three(scene))
    scene.accept(*names)
    scene.back_up()
    scene.restore()
    scene.send(options=PostSenderOptions(dry_run=False, pace=Pace(per_day=1)))
    scene.restore()
    summary = scene.send()
    assert (summary.posts_found, summary.posts_sent) == (1, 2)
    assert len(scene.account.own) == 3


def test_a_backup_of_a_restored_database_that_never_looked_hides_no_post(scene: Scene) -> None:
    (name,) = scene.add(1, TEXTS[0])
    scene.accept(name)
    scene.back_up()
    scene.clock.pass_by(3600)
    assert scene.send().posts_sent == 1
    scene.restore()
    for _ in range(2):
        scene.clock.pass_by(3 * 86_400)
        scene.back_up()
        scene.restore()
    summary = scene.send(options=replace(LIVE, max_age=timedelta(days=30)))
    assert (summary.posts_found, summary.posts_sent) == (1, 0)


def test_a_second_restore_keeps_the_posts_that_the_first_one_found(scene: Scene) -> None:
    scene.add(2, TEXTS[1])
    scene.back_up()
    scene.accept(*scene.add(1, TEXTS[0]))
    scene.clock.pass_by(3600)
    scene.send()
    scene.restore()
    scene.send()
    scene.clock.pass_by(3 * 86_400)
    scene.back_up()
    scene.restore()
    scene.send()
    # The source shows the post again only now.
    scene.accept(*scene.add(1, TEXTS[0]))
    assert scene.send().posts_sent == 0
    assert len(scene.account.own) == 1


def test_a_clock_that_was_ahead_when_the_backup_was_made_hides_no_post(scene: Scene) -> None:
    names = firsts(three(scene))
    scene.accept(names[0])
    scene.send()
    scene.clock.time += timedelta(days=400)
    scene.accept(*names[1:])
    scene.back_up()
    scene.clock.time -= timedelta(days=400)
    scene.send()
    scene.restore()
    options = PostSenderOptions(dry_run=False, pace=Pace(per_day=100), per_pass=100, max_age=timedelta(days=900))
    assert scene.send(options=options).posts_sent == 0
    assert len(scene.account.own) == 3


def test_a_file_is_looked_through_by_the_candidates_in_it(scene: Scene, tmp_path: Path) -> None:
    names = firsts(three(scene))
    scene.accept(*names[:2])
    path = tmp_path / "posts.jsonl"
    scene.account = FilePublisher(path)  # type: ignore[assignment] # another publisher
    scene.form = PostForm(to="file")
    scene.send(options=PostSenderOptions(dry_run=False, pace=Pace(per_day=1)))
    scene.back_up()
    scene.accept(names[2])
    scene.send()
    scene.restore()
    summary = scene.send()
    assert (summary.posts_found, summary.posts_sent) == (2, 0)
    assert len(path.read_text().splitlines()) == 3
    scene.restore()
    path.unlink()
    with pytest.raises(NetworkUnavailableError, match="put the file back"):
        scene.send()


def test_a_post_without_a_time_is_never_known_to_be_old() -> None:
    late = datetime(2100, 1, 1, tzinfo=UTC)
    for time in ("", "soon", "2026-13-01"):
        assert not OwnPost(id="1", text="", created_at=time).is_before(late)
    assert OwnPost(id="1", text="", created_at="2026-05-01T10:00:00.123Z").is_before(late)
    assert OwnPost(id="1", text="", created_at="2026-05-01T10:00:00").is_before(late)
