"""X: client, source of posts, publisher."""
