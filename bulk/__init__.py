"""Samples for files of songs, by the engine of a worker and without a server."""
