"""Client libraries that speak to the sandbox as its account."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

import gspread
import requests
import spotipy
import tweepy
from google.auth.transport.requests import AuthorizedSession, Request
from google.oauth2.service_account import Credentials
from gspread.utils import InsertDataOption, ValueInputOption
from spotipy.cache_handler import MemoryCacheHandler
from spotipy.oauth2 import SpotifyClientCredentials

from bot.adapters.http.session import NetworkSession
from bot.adapters.x.client import XKeys
from bot.sandbox.server import SandboxServer


class SwappedSession(requests.Session):
    """Session that replaces X's address, which is built into tweepy."""

    def __init__(self, url: str) -> None:
        super().__init__()
        self._url = url

    def request(self, method: str, url: str, **kwargs: Any) -> requests.Response:  # type: ignore[override]
        return super().request(method, url.replace("https://api.twitter.com", self._url), timeout=5, **kwargs)


def x_keys(sandbox: SandboxServer, **changes: str) -> XKeys:
    account = sandbox.settings.x
    keys = {
        "consumer_key": account.consumer_key,
        "consumer_secret": account.consumer_secret,
        "access_token": account.access_token,
        "access_token_secret": account.access_token_secret,
    }
    return XKeys(**(keys | changes))


def open_x(sandbox: SandboxServer, **changes: str) -> tweepy.Client:
    client = tweepy.Client(**asdict(x_keys(sandbox, **changes)))
    client.session = SwappedSession(sandbox.settings.url)
    return client


def open_spotify(sandbox: SandboxServer, secret: str | None = None) -> spotipy.Spotify:
    section = sandbox.settings.lookups["spotify"]
    auth = SpotifyClientCredentials(
        section["client_id"], secret or section["client_secret"], cache_handler=MemoryCacheHandler()
    )
    auth.OAUTH_TOKEN_URL = section["token_url"]
    # Without its own repetitions every status comes through as it was answered.
    client = spotipy.Spotify(auth_manager=auth, retries=0, status_retries=0)
    client.prefix = section["base_url"]
    return client


def open_book(sandbox: SandboxServer, **changes: str) -> gspread.Spreadsheet:
    url = sandbox.settings.url
    swaps = {f"https://{name}.googleapis.com": url for name in ("sheets", "iamcredentials")}

    class Swapped(gspread.HTTPClient):
        def request(self, method: str, endpoint: str, *args: Any, **kwargs: Any) -> requests.Response:
            return super().request(method, endpoint.replace("https://sheets.googleapis.com", url), *args, **kwargs)

    credentials = Credentials.from_service_account_info(
        sandbox.settings.google.service_account | changes, scopes=gspread.auth.DEFAULT_SCOPES
    )
    session = AuthorizedSession(credentials, auth_request=Request(NetworkSession(swaps=swaps)))
    client = gspread.Client(auth=credentials, session=session, http_client=Swapped)
    return client.open_by_key(sandbox.settings.google.spreadsheet_id)


def append(sheet: gspread.Worksheet, *rows: list[str]) -> None:
    sheet.append_rows(
        list(rows),
        value_input_option=ValueInputOption.raw,
        insert_data_option=InsertDataOption.insert_rows,
        table_range="A1",
    )
