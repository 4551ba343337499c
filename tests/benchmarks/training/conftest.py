"""Fixtures of the training benchmarks' tests, which are those of training."""

from tests.training.conftest import _one_thread, sample_corpus

__all__ = ["_one_thread", "sample_corpus"]
