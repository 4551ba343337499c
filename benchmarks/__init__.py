"""Benchmarks of every package, each with its baselines. No other package imports this one."""
