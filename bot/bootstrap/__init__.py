"""The composition root: objects of the bot, wired from its settings."""
