"""The command line of the bot, and what runs in the foreground."""
