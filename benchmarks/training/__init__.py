"""Measurements of the training side, each beside what it is compared with."""
