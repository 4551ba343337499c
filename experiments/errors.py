"""Errors of experiments."""


class ExperimentError(Exception):
    """An experiment cannot be started, read, reported or carried out; the message names the way out."""
