"""Benchmarks of every package, each beside what it is compared with. Nothing imports this package."""
