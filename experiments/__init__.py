"""Experiments: versions compared by the curators' verdicts, their reports and decisions, and what is learned from them.

It reads the gateway's exposures, the bot's store and the registry. Nothing below imports it.
"""
