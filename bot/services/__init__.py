"""The bot's work: reading tweets, writing candidates, keeping the curators' board, sending posts."""
