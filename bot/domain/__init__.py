"""The bot's domain: source posts, the songs they name, candidates, verdicts, outgoing posts; no files, no network."""
