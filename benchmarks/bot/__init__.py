"""Measurements of the bot: each command ends its standard output with one line of JSON."""
