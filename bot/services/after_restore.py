"""Posts after a restore: what went out after the backup was made is found on the networks and not sent again.

Nothing is sent until the account's own posts since then have been read, and the verdicts on the board. An own post that
shows the text of a candidate is the candidate's, whatever its status here: it was accepted, and the verdict was lost.
Candidates that are written again later, and texts that are edited later, are compared as well.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta

from bot.domain.keys import text_key
from bot.domain.outgoing_posts import OutgoingPost, OutgoingPostStatus
from bot.domain.own_posts import likeness, names_song
from bot.domain.post_text import Draft
from bot.ports import FoundPost, Outbox, Publisher, Restored, RestoreRecord, UnsentText
from bot.services.summary import Summary

TRUST = "`deephypebot bot restore --trust`"
"""Command by which a person ends the wait."""
_MARGIN = timedelta(days=1)
"""Time before the last change of the backup from which own posts are read: clocks differ."""
_CERTAIN = 3
"""Likeness of an own post that has the candidate's id."""


class AfterRestore:
    """Guard of the post sender on a restored database; on any other one it does nothing.

    Args:
        publishers: the output that is posted to, and others that were.
        record: record of the restore.
        outbox: accepted posts and their statuses.
    """

    def __init__(self, *, publishers: Sequence[Publisher], record: RestoreRecord, outbox: Outbox) -> None:
        self._publishers = tuple(publishers)
        self._record = record
        self._outbox = outbox

    def is_clear(self, summary: Summary, *, verdicts_read: bool) -> bool:
        """Whether posts may be sent; if not, the summary says why.

        Args:
            summary: the pass.
            verdicts_read: whether the board was read in this pass, or there is none.

        Raises:
            NetworkError: own posts cannot be read now; nothing may be sent.
        """
        restored = self._record.restored()
        if restored is None:
            return True
        if verdicts_read and not restored.board_read:
            self._record.set_board_read()
        if not restored.trusted:
            for publisher in self._publishers:
                self._look(publisher, restored)
        self._compare(summary)
        reason = "" if restored.trusted else self._obstacle()
        if reason:
            summary.notices.append(reason)
        elif not restored.settled:
            self._record.set_settled()
        return not reason

    def settles(self, post: OutgoingPost, draft: Draft, summary: Summary) -> bool:
        """Whether a pending post must not be sent: it is out, or an own post may be the same one in other words."""
        if self._record.restored() is None or not (found := self._record.found_posts()):
            return False
        unsent = UnsentText(
            place=0,
            candidate_id=post.candidate_id,
            text=draft.text,
            artist=draft.report.artist,
            title=draft.report.song.title,
            is_accepted=True,
        )
        best = max(found, key=lambda one: _likeness(one, unsent))
        if _likeness(best, unsent):
            self._set_found(post.candidate_id, best, summary)
            return True
        return self._refuse_of_song(unsent, found, summary)

    def _look(self, publisher: Publisher, restored: Restored) -> None:
        """Read and keep the own posts of an output, once."""
        if publisher.name in restored.looked:
            return
        own = list(publisher.back_to(self._record.newest_sent(publisher.name), restored.since - _MARGIN))
        if own:
            self._outbox.count_looked_up(publisher.name, len(own))
        self._record.keep_own_posts(publisher.name, own)

    def _obstacle(self) -> str:
        restored = self._record.restored()
        if restored is None or restored.settled:
            return ""
        if not restored.board_read:
            return "nothing is sent yet: the database was restored, and the verdicts on the board have not been read"
        if restored.unread:
            return (
                f"nothing is sent: the database was restored, and {restored.unread} of the account's posts since the"
                f" backup cannot be read; look at the account, then use {TRUST}"
            )
        return ""

    def _compare(self, summary: Summary) -> None:
        """Give own posts to the candidates that they show, the surest first."""
        restored, found = self._record.restored(), self._record.found_posts()
        if restored is None or not found:
            return
        place = restored.compared
        shown = "\n".join(text_key(one.own.text) for one in found)
        ids = {one.own.candidate_id for one in found}
        hits: list[tuple[tuple[int, int, bool], FoundPost, UnsentText]] = []
        for unsent in self._record.unsent_texts(after=place):
            place = unsent.place
            key = text_key(unsent.text)
            if key in shown or unsent.candidate_id in ids:
                hits += [
                    ((like, len(key), unsent.is_accepted), one, unsent)
                    for one in found
                    if (like := _likeness(one, unsent))
                ]
        hits.sort(key=lambda hit: hit[0], reverse=True)
        done: set[str] = set()
        for _, one, unsent in hits:
            if not done & {one.own.id, unsent.candidate_id}:
                done |= {one.own.id, unsent.candidate_id}
                self._set_found(unsent.candidate_id, one, summary)
        if place != restored.compared:
            self._record.set_compared(place)

    def _set_found(self, candidate_id: str, found: FoundPost, summary: Summary) -> None:
        if self._record.set_found(candidate_id, found):
            summary.posts_found += 1
            summary.notices.append(f"{candidate_id} is on {found.network} already, as {found.own.id}")

    def _refuse_of_song(self, unsent: UnsentText, found: Sequence[FoundPost], summary: Summary) -> bool:
        """Refuse a candidate, once, whose song an own post names in words that are not on record: maybe an edit."""
        restored = self._record.restored()
        artist, title = text_key(unsent.artist), text_key(unsent.title)
        about = next(
            (one for one in found if not one.about and names_song(text_key(one.own.text), artist=artist, title=title)),
            None,
        )
        if about is None or (restored is not None and restored.trusted):
            return False
        self._record.set_about(unsent.candidate_id, about)
        reason = (
            f"{about.network} shows a post on this song, {about.own.id}, that the restored database does not know;"
            " accept it again if it should be posted too"
        )
        self._outbox.set_post(unsent.candidate_id, OutgoingPostStatus.REFUSED, reason=reason)
        summary.posts_refused += 1
        summary.notices.append(f"{unsent.candidate_id} was not posted: {reason}")
        return True


def _likeness(found: FoundPost, unsent: UnsentText) -> int:
    if found.own.candidate_id:
        return _CERTAIN if found.own.candidate_id == unsent.candidate_id else 0
    return likeness(
        text_key(found.own.text),
        text=text_key(unsent.text),
        artist=text_key(unsent.artist),
        title=text_key(unsent.title),
    )
