"""The one rule for what may be posted: studio, terminal, sheet and sender ask it."""

from __future__ import annotations

from bot.domain.candidates import Flag
from bot.domain.post_form import PostForm, Preview
from bot.domain.post_text import Draft
from bot.ports import QueueRow, Screen, WordList

_OF_THE_SONG = frozenset({Flag.NAMESAKES})
"""Flags that no change of the text takes away."""
_KEPT = frozenset({Flag.COPY, Flag.REPEAT}) | _OF_THE_SONG
"""Flags that are kept as they were when a sample came; template, network and word lists may have changed since."""


class PostRules:
    """Rules for posts: their form, and the words that are never posted.

    Args:
        form: network, template and mode.
        words: lists of bad words.
        screen: flags of a text's words.
    """

    def __init__(self, *, form: PostForm, words: WordList, screen: Screen) -> None:
        self.form = form
        self._words = words
        self._screen = screen

    def preview(self, row: QueueRow, text: str | None = None) -> Preview:
        """The post of a candidate, exactly as it will be sent.

        Args:
            row: the candidate.
            text: a curator's text instead of the one that would be posted.
        """
        return self.form.preview(draft_of(row, text))

    def flags(self, row: QueueRow, text: str | None = None) -> tuple[Flag, ...]:
        """Flags of a candidate's post, in the order of `Flag`."""
        draft = draft_of(row, text)
        if draft.text != row.candidate.sample.text:
            kept = set(row.candidate.flags) & _OF_THE_SONG
            return self._all_flags(draft, kept.union(self._screen.flags(draft.text)))
        # Of a sample that was looked at when it came, only a look at the training text would take long.
        return self._all_flags(draft, {*(set(row.candidate.flags) & _KEPT), *self._words.flags(draft.text)})

    def flags_of(self, draft: Draft) -> tuple[Flag, ...]:
        """Flags of a draft's post, in the order of `Flag`."""
        return self._all_flags(draft, set(self._screen.flags(draft.text)))

    def _all_flags(self, draft: Draft, of_words: set[Flag]) -> tuple[Flag, ...]:
        found = of_words.union(self.form.preview(draft).flags) - {Flag.BLOCKED}
        if self._words.blocked(draft.text):
            found.add(Flag.BLOCKED if self._blocked(draft) else Flag.PROFANITY)
        return tuple(flag for flag in Flag if flag in found)

    def objection(self, draft: Draft) -> str:
        """Reasons why a text may not be accepted or sent as it is, each with the way out; empty without one."""
        return "; ".join([*self.form.preview(draft).problems, *self._blocked(draft)])

    def objection_to(self, row: QueueRow, text: str | None = None) -> str:
        """The same for a candidate, or a curator's text instead of the one that would be posted."""
        return self.objection(draft_of(row, text))

    def _blocked(self, draft: Draft) -> list[str]:
        """Problem of a text with words that are never posted, unless they are the song's own name.

        A name is not a slur, and the curator who accepts the post has seen its flag.
        """
        name = f"{draft.report.artist} {draft.report.song.title}".casefold()
        words = [word for word in self._words.blocked(draft.text) if word.casefold() not in name]
        named = ", ".join(map(repr, words))
        return [f"the text contains {named}, which is never posted: edit it first"] if words else []


def draft_of(row: QueueRow, text: str | None = None) -> Draft:
    """The draft of a candidate, with a curator's text instead of the one that would be posted if there is one."""
    return Draft(text=row.text if text is None else text, report=row.candidate.report, source_post=row.source_post)
