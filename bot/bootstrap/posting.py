"""Assembly of posting from the settings: the form of posts and the options of the sender."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

from bot.bootstrap import knowledge
from bot.bootstrap.networks import ADAPTERS
from bot.domain.networks import NETWORKS, X
from bot.domain.outgoing_posts import PostMode
from bot.domain.pace import Pace
from bot.domain.post_form import PostForm
from bot.domain.post_text import Template, Templates
from bot.ports import Screen
from bot.sections import TO_FILE
from bot.services.post_rules import PostRules
from bot.services.post_waits import PostWaits
from bot.services.schedule import Clock
from bot.services.screening import TextScreen
from bot.settings import BotSettings


def post_form(settings: BotSettings) -> PostForm:
    """The form of the posts that a bot with these settings sends. Nothing is opened: credentials may be missing."""
    post = settings.post
    # X has the strictest rules, so it stands in where no network is chosen.
    network = NETWORKS.get(post.to, X)
    if post.max_length is not None:
        network = replace(network, max_length=post.max_length)
    return PostForm(
        network=network,
        to=post.to,
        templates=Templates(
            post=Template(post.template), reply=Template(post.reply_template), named=Template(post.named_template)
        ),
        able=_able(settings),
        mode=post.mode,
        reply_to_mentions=post.reply_to_mentions,
    )


def pace(settings: BotSettings) -> Pace:
    """The pace of the posts that a bot with these settings sends."""
    post = settings.post
    return Pace(
        hold=post.hold,
        min_gap=post.min_gap,
        hours=post.posting_hours,
        per_day=post.per_day,
        same_song=timedelta(days=post.same_song_days),
        answers_mentions=post.reply_to_mentions and PostMode.REPLY in _able(settings),
    )


def not_posting(settings: BotSettings) -> str:
    """Reason why a bot with these settings posts nothing, with the way out; empty if it posts."""
    if not settings.post.to:
        return "posting is off; choose a network with [post] to in the bot's settings"
    if settings.post.dry_run:
        return "posts are only printed; set [post] dry_run = false in the bot's settings"
    return ""


def post_waits(settings: BotSettings) -> PostWaits:
    """Reader of what the accepted posts of a bot with these settings wait for."""
    return PostWaits(
        pace=pace(settings),
        max_age=timedelta(days=settings.post.max_age_days),
        clock=Clock(),
        not_posting=not_posting(settings),
    )


def open_rules(settings: BotSettings, screen: Screen | None = None) -> PostRules:
    """Open the rules for posts.

    Args:
        settings: the bot's settings.
        screen: flags of a text's words; without it, an edited text is not looked for among copies and repeats.

    Raises:
        InputError: the operator's list of words cannot be used.
    """
    words = knowledge.open_words(settings)
    return PostRules(form=post_form(settings), words=words, screen=screen or TextScreen(words=words))


def _able(settings: BotSettings) -> frozenset[PostMode]:
    """Modes in which the output may post."""
    to = settings.post.to
    if to in ADAPTERS:
        return ADAPTERS[to].capabilities(settings.accounts[to])
    return frozenset(PostMode) if to == TO_FILE else frozenset({PostMode.STANDALONE})
