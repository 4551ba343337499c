"""The composition root: the bot's objects, built from its settings."""
