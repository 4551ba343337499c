"""The form of posts: network, template and mode; and the preview of a post, which is exactly what will be sent."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, field

from bot.domain.candidates import Flag
from bot.domain.hidden import hidden_characters, name_of
from bot.domain.keys import text_key
from bot.domain.length import links
from bot.domain.networks import Network, X
from bot.domain.outgoing_posts import PostMode
from bot.domain.post_text import Draft, Templates
from bot.domain.source_posts import Kind, SourcePost

# Also `{title}`, which a curator may take for a field of the template.
_PLACEHOLDER = re.compile(r"<[A-Za-z_]\w*(?: \w+){0,2}>|<\s+[A-Za-z_]\w+\s+>|\{\s*[A-Za-z_]\w*\s*\}")
_MENTION = re.compile(r"(?<![\w@＠/.])[@＠]\w")
_HASHTAG = re.compile(r"(?<![\w&/])[#＃](?=\w*[^\W\d_])\w+")
# The whole run of a word, since "la la la" is a chorus.
_REPEATED = re.compile(r"(?<![\w'’-])([^\W\d_]+)(?:\s+\1(?![\w'’-]))+", re.IGNORECASE)
_TWICE = 2


@dataclass(frozen=True, slots=True, kw_only=True)
class Preview:
    """A post as it will be sent."""

    text: str
    network: Network
    """Network whose rules hold; X, which has the strictest, where no network is chosen."""
    mode: PostMode = PostMode.STANDALONE
    flags: tuple[Flag, ...] = ()
    """Properties of the whole post that a curator should see: those of its form, not those of its words."""
    problems: tuple[str, ...] = ()
    """Reasons why the text cannot be accepted as it is, each with the way out."""

    @property
    def length(self) -> int:
        """Length by the network's own counting."""
        return self.network.length(self.text)

    @property
    def max_length(self) -> int:
        """Longest post of the network, in the units of `length`."""
        return self.network.max_length


@dataclass(frozen=True, slots=True, kw_only=True)
class PostForm:
    """Form of the posts that a bot sends."""

    network: Network = X
    """Network that is posted to; where none is chosen, the one whose rules hold in the meantime."""
    to: str = ""
    """`Publisher.name` of the output: a network, a file, or nothing."""
    templates: Templates = field(default_factory=Templates)
    able: frozenset[PostMode] = frozenset({PostMode.STANDALONE})
    """Modes that the account may use."""
    mode: PostMode = PostMode.STANDALONE
    """Relation of posts to timeline posts; standalone if the account lacks the permission."""
    reply_to_mentions: bool = False
    """Whether mentions are answered by a reply, if the account has the permission."""

    def mode_of(self, source_post: SourcePost) -> PostMode:
        """Mode of a post about a source post, which can be referred to only on its own network."""
        able = self.able if source_post.network == self.to else frozenset[PostMode]()
        if source_post.kind is Kind.MENTION and self.reply_to_mentions and PostMode.REPLY in able:
            return PostMode.REPLY
        return self.mode if self.mode in able else PostMode.STANDALONE

    def preview(self, draft: Draft) -> Preview:
        """The post of a draft, exactly as it will be sent, with what a curator should know of it.

        This is the one rule for the length and the characters of a post: the studio, the terminal, the sheet and the
        sender ask it.
        """
        mode = self.mode_of(draft.source_post)
        text = self.templates.render(draft, is_reply=mode is PostMode.REPLY)
        found = set(_flags(text, draft))
        excess = self.network.excess(text)
        hidden = hidden_characters(text)
        problems = [
            *(["the text is empty: write one, or reject the candidate"] if not draft.text.strip() else []),
            *([f"the post is too long, {excess} of {self.network.label}: edit it first"] if excess else []),
            *([_hidden_problem(text, hidden)] if hidden else []),
        ]
        found |= {Flag.TOO_LONG} if excess else set()
        found |= {Flag.HIDDEN} if hidden else set()
        return Preview(
            text=text,
            network=self.network,
            mode=mode,
            flags=tuple(flag for flag in Flag if flag in found),
            problems=tuple(problems),
        )


def _flags(text: str, draft: Draft) -> Iterator[Flag]:
    if links(text):
        yield Flag.LINK
    if _MENTION.search(text):
        yield Flag.MENTION
    if _HASHTAG.search(text):
        yield Flag.HASHTAG
    if _PLACEHOLDER.search(text):
        yield Flag.PLACEHOLDER
    names = text_key(f"{draft.report.artist} {draft.report.song.title}")
    repeated = (match[0] for match in _REPEATED.finditer(draft.text))
    if any(len(words.split()) == _TWICE and text_key(words) not in names for words in repeated):
        yield Flag.DOUBLED


def _hidden_problem(text: str, hidden: list[tuple[int, str]]) -> str:
    place, character = hidden[0]
    before = text[max(0, place - 20) : place].rsplit("\n", maxsplit=1)[-1]
    others = f" and {len(hidden) - 1} more" if len(hidden) > 1 else ""
    where = f" behind {before!r}" if before.strip() else " at its beginning"
    return f"the text has the hidden character {name_of(character)}{where}{others}: take it out first"
