"""Benchmarks of training and decoding, each with its baselines."""
