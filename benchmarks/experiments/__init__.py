"""Simulations of experiments: false decisions, verdicts needed, faults found, harm stopped; the sync of verdicts."""
