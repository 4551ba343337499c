"""Constraints on single sequences: grammar, word repeats, n-grams, banned words."""
