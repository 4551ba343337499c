"""How the bot is watched from outside: its log, its metrics, its health."""
