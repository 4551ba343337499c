"""The bot's command line and its foreground process."""
