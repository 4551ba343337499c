"""Tweets about songs of the invented world, in the phrasings that people and labels use."""

from __future__ import annotations

import html
from collections.abc import Collection, Sequence
from datetime import UTC, datetime, timedelta
from random import Random
from typing import Final

from training.sample.world import Artist, Row

_SONG_PHRASES: Final = (
    '{artist} – "{title}" {url}',
    '"{title}" by {artist} {url}',
    'Listen to {artist}\'s "{title}" {url}',
    'Listen to {artist}\'s "{title}" ft. {other} {url}',
    "{artist} - {title} [official video] {url}",
    "Now playing: {artist} – {title} 🎶",
    'NEW: {artist} shares "{title}" from the upcoming album {url}',
    '🔥 "{title}" by {artist} feat. {other} is out now 🔥 {url}',
    "{artist} — “{title}” (premiere) {url}",
    'Watch {artist}\'s new video for "{title}" {url}',
    'can\'t stop listening to "{title}" by {artist} 😭😭',
    "#NowPlaying {title} by {artist} {url}",
)
_NO_SONG: Final = (
    "Good morning! What is everybody listening to today? ☕",
    "Our vinyl sale ends tonight &amp; everything must go {url}",
    "Thank you all for coming out last night, we love you ❤️",
)
_START: Final = datetime(2018, 3, 5, 9, 0, tzinfo=UTC)
_AUTHORS: Final = ("tidepool_desk", "driftglass_rec", "lowtidetapes", "nightlistener", "secondkettle")
_NUM_SONG_TWEETS: Final = 20


def make_feed(artists: Sequence[Artist], *, strangers: Collection[str], random: Random) -> tuple[Row, ...]:
    """Make 24 tweets: 20 with one song, one with two, three without.

    Args:
        artists: artists of the world.
        strangers: names of artists that the catalog lacks; two tweets are about them.
        random: generator of everything else.
    """
    known = [artist for artist in artists if artist.name not in strangers]
    unknown = [artist for artist in artists if artist.name in strangers]
    picked = random.sample(known, k=_NUM_SONG_TWEETS - len(unknown)) + unknown
    random.shuffle(picked)
    phrases = [_SONG_PHRASES[number % len(_SONG_PHRASES)] for number in range(len(picked))]
    texts = [
        _song_tweet(phrase, artist, random.choice(known), random)
        for phrase, artist in zip(phrases, picked, strict=True)
    ]
    one, two = random.sample(known, k=2)
    double = f'Two new ones: {one.name} – "{one.titles[0]}" and {two.name} – "{two.titles[0]}" {_url(random)}'
    texts += [html.escape(double, quote=False), *(text.format(url=_url(random)) for text in _NO_SONG)]
    random.shuffle(texts)
    return tuple(
        {
            "id": str(970_000_000_000_000_000 + number * 137),
            "text": text,
            "author": random.choice(_AUTHORS),
            "created_at": (_START + timedelta(minutes=7 * number)).isoformat().replace("+00:00", "Z"),
        }
        for number, text in enumerate(texts)
    )


def _song_tweet(phrase: str, artist: Artist, other: Artist, random: Random) -> str:
    text = phrase.format(artist=artist.name, title=random.choice(artist.titles), other=other.name, url=_url(random))
    # Tweets arrive with &, < and > escaped, quotes as they are.
    return html.escape(text, quote=False)


def _url(random: Random) -> str:
    letters = "abcdefghijkmnpqrstuvwxyzABCDEFGHJKLMNPQRSTUVWXYZ23456789"
    return "https://t.co/" + "".join(random.choices(letters, k=10))
