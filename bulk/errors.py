"""Errors of `bulk`, all of which the user can act on.

BulkError
├── SongsError      a file of songs cannot be read
├── ModelError      a model cannot be used
├── FolderError     a folder holds another run, or something else
└── PartError       a part of the songs cannot be answered
"""

from __future__ import annotations


class BulkError(Exception):
    """Base of the package's errors; the message names the value at fault and the way out."""


class SongsError(BulkError):
    """A file of songs cannot be read, is empty, or lacks a column."""


class ModelError(BulkError):
    """A model cannot be used: it is neither a version, an archive nor a bundle, or is not trusted."""


class FolderError(BulkError):
    """A folder holds a run with other settings, or something else, or is in use."""


class PartError(BulkError):
    """A part of the songs ends its process again and again, or was computed on a machine of another kind."""
