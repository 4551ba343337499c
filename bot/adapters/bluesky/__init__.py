"""Bluesky: client, source of posts, publisher."""
