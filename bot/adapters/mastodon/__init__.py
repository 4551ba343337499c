"""Mastodon: client, source of statuses, publisher."""
