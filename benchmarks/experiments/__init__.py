"""Simulations of the statistics of experiments: false decisions, verdicts needed, faults found, harm stopped."""
