"""Plain files: feed, posts, exports, word lists, training text."""
