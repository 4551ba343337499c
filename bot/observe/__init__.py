"""Observability of the bot: log, metrics, health."""
