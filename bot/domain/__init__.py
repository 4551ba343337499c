"""What the bot knows by itself: posts of a feed, the songs they name, candidates, verdicts. No file, no network."""
