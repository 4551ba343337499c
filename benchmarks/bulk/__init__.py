"""Benchmark of samples for files of songs, beside the gateway's."""
