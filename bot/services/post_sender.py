"""Sending of accepted candidates to the network, each exactly once.

A post is marked before the call that sends it. If the call ends without an answer, or the bot is killed during it, the
account's own posts are read before anything is sent again: there is no idempotency key that all networks support.
"""

from __future__ import annotations

import bisect
import threading
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from bot.domain.errors import CredentialsError, DoubtfulError, NetworkError, PostRefusedError
from bot.domain.outgoing_posts import OutgoingPost, OutgoingPostStatus, PostMode
from bot.domain.own_posts import is_same
from bot.domain.pace import DAY, DEFAULT_PACE, Pace, WaitReason, counted
from bot.domain.post_text import Draft
from bot.domain.wait_words import ahead_words, dropped_words, unconfirmed_words, wait_words
from bot.ports import Outbox, Publisher
from bot.services.after_restore import AfterRestore
from bot.services.post_rules import PostRules
from bot.services.refusals import RefusalGuard
from bot.services.schedule import Clock, SettleTimer
from bot.services.summary import Summary

PART = "publisher"
_LOOK_AHEAD = 50
_FORECAST = 200
"""Maximum accepted posts whose time is foretold."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PostSenderOptions:
    """Options of the post sender."""

    dry_run: bool = True
    """Whether posts are reported instead of sent."""
    pace: Pace = DEFAULT_PACE
    """Times at which posts may leave."""
    per_pass: int = 1
    """Maximum posts of one pass; several at once look like a flood."""
    max_age: timedelta = timedelta(days=3)
    """Maximum age of a verdict: a bot that was off for a month does not post last month's songs."""


class PostSender:
    """Sender of accepted posts.

    Args:
        publisher: network to post to.
        outbox: accepted posts and their statuses.
        rules: form of the posts; the final text is checked by them again.
        settle_timer: time until a post in doubt is looked up.
        clock: the time.
        options: limits and modes.
        after_restore: finds what was sent after the backup that the database was restored from.
    """

    def __init__(
        self,
        *,
        publisher: Publisher,
        outbox: Outbox,
        rules: PostRules,
        settle_timer: SettleTimer,
        clock: Clock,
        options: PostSenderOptions,
        after_restore: AfterRestore | None = None,
    ) -> None:
        self._publisher = publisher
        self._outbox = outbox
        self._rules = rules
        self._settle_timer = settle_timer
        self._clock = clock
        self._options = options
        self._after_restore = after_restore
        self._held_back: set[tuple[str, str]] = set()
        self._told: dict[str, str] = {}
        self._guard = RefusalGuard()

    def run(self, summary: Summary, stop: threading.Event, *, verdicts_read: bool = True) -> None:
        """Resolve the posts in doubt, then send accepted posts within the limits.

        Args:
            summary: the pass.
            stop: once set, no further post is sent.
            verdicts_read: whether the verdicts on the board were read in this pass; on a restored database nothing is
                sent before that.

        Raises:
            NetworkError: the network cannot be used now; nothing is lost, and the next pass continues.
        """
        restore = self._after_restore
        if restore is not None and not restore.is_clear(summary, verdicts_read=verdicts_read):
            return
        self._reconcile(summary)
        now = self._clock.now()
        if dropped := self._outbox.cancel_stale(before=now - self._options.max_age):
            summary.notices.append(dropped_words(dropped))
        self._outbox.enqueue_accepted(since=now - self._options.max_age)
        left = self._departures(now, summary)
        self._send_all(now, left, summary, stop)
        if not stop.is_set():
            self._tell_waits(now, left, summary)

    def _send_all(self, now: datetime, left: list[datetime], summary: Summary, stop: threading.Event) -> None:
        """Send what may leave now; times of posts that leave are added to `left`."""
        pace, room, restore = self._options.pace, self._options.per_pass, self._after_restore
        for post, draft in self._guard.order(self._outbox.pending_posts(_LOOK_AHEAD, pace=pace)):
            if room <= 0 or stop.is_set() or pace.next_slot(now, left).until != now:
                return
            if restore is not None and restore.settles(post, draft, summary):
                continue
            if objection := self._objection(post, draft):
                self._refuse(post, objection, summary)
            elif self._options.dry_run:
                room -= self._hold_back(post, draft, summary)
            elif self._send(post, draft, summary):
                room -= 1
                bisect.insort(left, now)

    def _departures(self, now: datetime, summary: Summary) -> list[datetime]:
        """Times of the posts that count for the pace; those of a clock that was ahead are told."""
        left, ahead = counted(self._outbox.departures(since=now - DAY), now)
        if ahead:
            self._tell("ahead", ahead_words(ahead), summary)
        return left

    def _tell_waits(self, now: datetime, left: Sequence[datetime], summary: Summary) -> None:
        """Tell what the next post waits for, and how many wait for a curator."""
        pace = self._options.pace
        posts = self._outbox.accepted_posts(pace, since=now - self._options.max_age, limit=_FORECAST)
        waits = pace.forecast(posts, left, now, max_age=self._options.max_age)
        summary.posts_waiting = len(waits)
        unconfirmed = sum(wait.reason is WaitReason.SONG for wait in waits)
        timed = [wait for wait in waits if wait.reason not in {WaitReason.SONG, WaitReason.AGE}]
        if timed and all(wait.reason is not WaitReason.READY for wait in timed):
            first = min(timed, key=lambda wait: wait.until or now)
            self._tell("next", f"the next accepted post: {wait_words(first, pace, now=now)}", summary)
        if unconfirmed:
            self._tell("songs", unconfirmed_words(unconfirmed), summary)

    def _tell(self, topic: str, notice: str, summary: Summary) -> None:
        """Add a notice unless it is the same as the last one of its topic."""
        if self._told.get(topic) != notice:
            self._told[topic] = notice
            summary.notices.append(notice)

    def _hold_back(self, post: OutgoingPost, draft: Draft, summary: Summary) -> int:
        """Report what would be posted, once per process; return the number of posts reported."""
        text = self._text(post, draft)
        if (post.candidate_id, text) in self._held_back:
            return 0
        self._held_back.add((post.candidate_id, text))
        summary.posts_held_back += 1
        summary.notices.append(f"dry run, not posted to {self._publisher.name}: {text}")
        return 1

    def _text(self, post: OutgoingPost, draft: Draft) -> str:
        """The whole text of a post; that of an earlier attempt stays, so that a look-up or a repeat means the same."""
        is_under_way = post.is_whole and post.network == self._publisher.name
        return post.text if is_under_way else self._rules.form.preview(draft).text

    def _objection(self, post: OutgoingPost, draft: Draft) -> str:
        """Reason why the bot itself refuses an accepted text; empty without one."""
        if objection := self._rules.objection(draft):
            return objection
        return "the same text was posted before" if self._outbox.is_repeat(post.candidate_id, draft.text) else ""

    def _send(self, post: OutgoingPost, draft: Draft, summary: Summary) -> bool:
        """Send a post in one call; return whether it counts towards the limit of the pass."""
        mode = self._rules.form.mode_of(draft.source_post)
        claimed = self._outbox.claim(
            post.candidate_id,
            text=self._text(post, draft),
            network=self._publisher.name,
            mode=mode,
            in_reply_to=None if mode is PostMode.STANDALONE else draft.source_post.id,
            made_of=draft.text,
        )
        if claimed is None:
            return False  # another bot was faster, or a curator took the verdict back or changed the text
        self._settle_timer.begin(claimed.candidate_id)
        try:
            external_id = self._publisher.publish(claimed)
        except PostRefusedError as error:
            self._refused(claimed, error, summary)
            return False
        except DoubtfulError as error:
            self._outbox.set_post(claimed.candidate_id, OutgoingPostStatus.UNKNOWN, reason=str(error))
            summary.posts_doubtful += 1
            raise
        except NetworkError as error:
            self._outbox.set_post(claimed.candidate_id, OutgoingPostStatus.PENDING, reason=str(error))
            self._guard.failed(claimed.candidate_id)
            raise
        self._outbox.set_post(claimed.candidate_id, OutgoingPostStatus.SENT, external_id=external_id)
        self._guard.sent(claimed.candidate_id)
        summary.posts_sent += 1
        return True

    def _refused(self, post: OutgoingPost, error: PostRefusedError, summary: Summary) -> None:
        """Record the network's refusal of a post.

        Raises:
            CredentialsError: the network refused the post before this one with the same words; both stay pending.
        """
        both = self._guard.refused(post.candidate_id, str(error))
        if not both:
            self._refuse(post, str(error), summary)
            return
        for candidate_id in both:
            self._outbox.set_post(candidate_id, OutgoingPostStatus.PENDING, reason=str(error))
        raise CredentialsError(
            f"{error}; {self._publisher.name} refused two posts in a row with these words, so they may be about the"
            " account: look at it; both posts stay pending"
        ) from error

    def _refuse(self, post: OutgoingPost, reason: str, summary: Summary) -> None:
        self._outbox.set_post(post.candidate_id, OutgoingPostStatus.REFUSED, reason=reason)
        summary.posts_refused += 1
        summary.notices.append(f"{post.candidate_id} was not posted: {reason}")

    def _reconcile(self, summary: Summary) -> None:
        """Look up whether the posts in doubt were sent."""
        for post in self._outbox.doubtful_posts():
            if post.network != self._publisher.name:
                notice = (
                    f"{post.candidate_id} may have been posted to {post.network}, which the bot no longer posts to, and"
                    f" is not sent again; [post] to = {post.network!r} for one pass lets the bot look it up"
                )
                self._tell(f"former {post.candidate_id}", notice, summary)
            elif self._settle_timer.is_settled(post.candidate_id, post.attempted_at):
                self._look_up(post, summary)
            else:
                summary.posts_doubtful += 1

    def _look_up(self, post: OutgoingPost, summary: Summary) -> None:
        recent = self._publisher.recent(post.after_id)
        if recent:
            self._outbox.count_looked_up(self._publisher.name, len(recent))
        known = self._outbox.external_ids([own.id for own in recent])
        new = [own for own in recent if own.id not in known]
        found = next((own for own in new if not own.is_unread and is_same(post, own)), None)
        if found is None and any(own.is_unread for own in new):
            # One of the account's posts cannot be read and may be this one: sending it again could double it.
            summary.posts_doubtful += 1
            summary.notices.append(
                f"{post.candidate_id} stays in doubt: {self._publisher.name} shows a post of the account in a form that"
                " cannot be read, which may be this one"
            )
            return
        if found is None:
            self._outbox.set_post(
                post.candidate_id, OutgoingPostStatus.PENDING, reason="was not found when it was looked up"
            )
            return
        self._outbox.set_post(post.candidate_id, OutgoingPostStatus.SENT, external_id=found.id)
        summary.posts_found += 1
