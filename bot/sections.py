"""Sections of a bot's settings: one for each network, lookup and board, and those for genres, flags and posts."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path
from typing import Annotated, ClassVar, Final, Self

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, SecretStr, field_validator, model_validator

from bot.domain.durations import parse_duration, short_duration
from bot.domain.errors import SettingsError
from bot.domain.networks import BLUESKY, MASTODON, NETWORKS, X
from bot.domain.outgoing_posts import PostMode
from bot.domain.pace import DAY
from bot.domain.post_text import TEMPLATE, TEXT_ALONE, Template
from bot.domain.posting_hours import PostingHours
from bot.environment import env_name

TO_FILE: Final = "file"
"""Value of `PostSettings.to` that writes posts to a file instead of a network."""
Duration = Annotated[timedelta, BeforeValidator(parse_duration)]
"""Span of time: a number of seconds, or a number with a unit."""


class Section(BaseModel):
    """Table of the settings. An unknown name in it is an error, because a misspelt setting would have no effect."""

    model_config = ConfigDict(extra="forbid", frozen=True, hide_input_in_errors=True)
    part: ClassVar[str] = ""
    """The section's own name in `BotSettings`; empty for sections that need no account."""
    needed: ClassVar[tuple[str, ...]] = ()
    """Settings without which the section is off."""

    @property
    def missing(self) -> tuple[str, ...]:
        """Names of needed settings that are not given."""
        return tuple(name for name in self.needed if not getattr(self, name))

    @property
    def is_on(self) -> bool:
        """Whether all needed settings are given."""
        return not self.missing

    @property
    def is_begun(self) -> bool:
        """Whether at least one needed setting is given, so that the section was probably meant to be on."""
        return len(self.missing) < len(self.needed)

    def given(self, name: str) -> str:
        """A setting in plain text.

        Raises:
            SettingsError: it is not given.
        """
        value = getattr(self, name)
        if value is None:
            place = f"{self.part}.{name}"
            raise SettingsError(f"{place} is missing; set it in the settings or as {env_name(place)}")
        return value.get_secret_value() if isinstance(value, SecretStr) else str(value)


class XSettings(Section):
    """Credentials of an app and a user on X, with the names of the developer portal."""

    part = X.name
    needed = ("consumer_key", "consumer_secret", "access_token", "access_token_secret")

    consumer_key: SecretStr | None = None
    consumer_secret: SecretStr | None = None
    access_token: SecretStr | None = None
    access_token_secret: SecretStr | None = None
    handle: str | None = None
    """The account's name, which the parser takes for no part of a song; without it, it is learned from mentions."""
    base_url: str = "https://api.twitter.com"
    timeline: bool = True
    """Whether the home timeline is read."""
    mentions: bool = True
    """Whether posts that mention the account are read."""
    replies: bool = False
    """Whether the account may reply; X allows replies only to users who mentioned the account."""
    quotes: bool = False
    """Whether the account may quote; X requires an enterprise plan for that."""
    timeout_s: float = Field(default=4.5, gt=0, le=60)
    """Seconds without a byte after which a call fails; below five, so that the bot stops within five."""


class BlueskySettings(Section):
    """An account on Bluesky."""

    part = BLUESKY.name
    needed = ("handle", "app_password")

    handle: str | None = None
    app_password: SecretStr | None = None
    base_url: str = "https://bsky.social"
    timeline: bool = True
    mentions: bool = True


class MastodonSettings(Section):
    """An account on a Mastodon server."""

    part = MASTODON.name
    needed = ("base_url", "access_token")

    base_url: str | None = None
    access_token: SecretStr | None = None
    timeline: bool = True
    mentions: bool = True


class SpotifySettings(Section):
    """An app of Spotify's dashboard."""

    part = "spotify"
    needed = ("client_id", "client_secret")

    client_id: str | None = None
    client_secret: SecretStr | None = None
    base_url: str = "https://api.spotify.com/v1/"
    token_url: str = "https://accounts.spotify.com/api/token"  # noqa: S105 -- an address


class LastfmSettings(Section):
    """An account of Last.fm's API."""

    part = "lastfm"
    needed = ("api_key",)

    api_key: SecretStr | None = None
    base_url: str = "https://ws.audioscrobbler.com"


class MusicbrainzSettings(Section):
    """MusicBrainz, which needs no account but a way to contact the operator."""

    part = "musicbrainz"
    needed = ("contact",)

    contact: str | None = None
    """Address or web page that is sent with each call."""
    base_url: str = "https://musicbrainz.org"


class SheetSettings(Section):
    """A Google Sheet as the curators' board."""

    part = "sheet"
    needed = ("credentials", "spreadsheet")

    credentials: Path | None = None
    """Key file of the service account, JSON."""
    spreadsheet: str | None = None
    """The part of the sheet's address between /d/ and /edit."""
    worksheet: str = "queue"
    base_url: str = "https://sheets.googleapis.com"
    timeout_s: float = Field(default=4.5, gt=0, le=60)


class GenreSettings(Section):
    """Lookup of genres."""

    cache_days: float = Field(default=30, gt=0)
    """Days for which the genres that a lookup returned are kept."""
    unknown_days: float = Field(default=3, gt=0)
    """Days for which an artist that no lookup knows is not looked up again."""
    labels: Path | None = None
    """Genres that the model knows: a corpus's genres.json, or an archive. Any other is replaced by the nearest."""
    map: Path | None = None
    """Table of genres with coordinates, CSV; without it shared artists and words alone say which genre is near."""


class ScreenSettings(Section):
    """Checks of a text, shown to curators as flags."""

    sentences: Path | None = None
    """Training text, a sentence a line, .gz or not; long runs of its words are flagged as copies."""
    slurs: Path | None = None
    """Words that are never posted, one a line, in addition to the built-in ones."""


class PostSettings(Section):
    """Posting: the network, the text, its mode and the limits."""

    to: str = Field(default="", pattern=f"^(|{TO_FILE}|{'|'.join(NETWORKS)})$")
    """Network, or "file", that accepted candidates are posted to; empty posts nothing."""
    dry_run: bool = True
    """Whether posts are only printed."""
    file: Path = Path("posts.jsonl")
    """File for `to = "file"`, relative to the workspace unless the path is absolute."""
    template: str = TEMPLATE
    """Text of a post, with the fields {artist}, {title}, {text}, {genres}, {link} (to listen to the song) and {source}
    (the post that named it). A field without a value takes the space beside it away."""
    reply_template: str = TEXT_ALONE
    """Text of a reply, which stands below the post that names the song."""
    named_template: str = TEXT_ALONE
    """Text of a post whose own text names artist and title."""
    max_length: int | None = Field(default=None, ge=1, le=100_000)
    """Longest post, in the network's own counting; without it 280 on X, 300 on Bluesky, 500 on Mastodon. Set it where a
    Mastodon server or an account allows more. For a file, and where no network is chosen, the rules of X hold."""
    hold: Duration = timedelta(minutes=2)
    """Time after a verdict within which nothing is sent, so that it can be taken back; a number of seconds, or a text
    such as "90 s", "2 min", "1 h"."""
    min_gap: Duration = timedelta(minutes=30)
    """Minimum time between two posts, written like `hold`."""
    hours: str = ""
    """Hours of the day at which posts leave, with their time zone, such as "9:00-22:00 Europe/Berlin"; a window that
    ends before it begins goes over midnight. Empty: always."""
    per_day: int = Field(default=10, ge=0, le=500)
    """Maximum posts within any 24 hours."""
    per_pass: int = Field(default=1, ge=1, le=100)
    """Maximum posts of a pass."""
    same_song_days: float = Field(default=365, ge=0, le=36_500)
    """Days within which a second post about a song waits until a curator confirms it; 0: it does not wait."""
    max_age_days: float = Field(default=3, gt=0, le=36_500)
    """Age in days beyond which a verdict, or the confirmation of its post, is not acted on."""
    mode: PostMode = PostMode.STANDALONE
    reply_to_mentions: bool = False
    settle_s: float = Field(default=60, ge=0, le=3600)
    """Seconds that a write without an answer rests before the bot looks for it."""

    @property
    def posting_hours(self) -> PostingHours | None:
        """The window of `hours`; None for always."""
        return PostingHours.parse(self.hours) if self.hours.strip() else None

    @field_validator("hours")
    @classmethod
    def _is_window(cls, value: str) -> str:
        if value.strip():
            PostingHours.parse(value)
        return value

    @field_validator("hold", "min_gap")
    @classmethod
    def _is_within_a_day(cls, value: timedelta) -> timedelta:
        if value > DAY:
            raise ValueError(f"at most 1 d is possible, got {short_duration(value)}")
        return value

    @model_validator(mode="after")
    def _is_held_while_it_is_new(self) -> Self:
        if self.hold >= timedelta(days=self.max_age_days):
            raise ValueError(
                f"hold, {short_duration(self.hold)}, must be shorter than max_age_days, {self.max_age_days:g}, after"
                " which a verdict is not acted on"
            )
        return self

    @field_validator("template", "reply_template", "named_template")
    @classmethod
    def _is_template(cls, value: str) -> str:
        Template(value)
        return value
