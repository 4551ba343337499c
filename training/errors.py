"""The errors of `training`, all of them the user's to act on.

TrainingError
├── SettingError                a preset, setting or option does not exist or does not fit
├── PostsError                  a file of posts or a catalog cannot be used
├── CorpusError                 a corpus cannot be built or is none
│   └── NoUsableSentenceError   nothing is left after cleaning
├── OutputError                 a file cannot be written
├── CheckpointError             what an interrupted training left cannot be read
├── NotLearnedError             a stage is no better than a constant
├── RankLostError               another process of a training that several share has ended
├── TerminatedError             somebody asked the process to end (SIGTERM)
├── TrackingError               MLflow cannot be reached or opened
└── ArchiveBuildError           torch-model-archiver failed, or what it built does not hold
"""

from __future__ import annotations


class TrainingError(Exception):
    """Base of the package's errors; the message names the value at fault and the way out."""


class SettingError(TrainingError):
    """A preset, setting or option does not exist or does not fit."""


class PostsError(TrainingError):
    """A file of posts or a catalog cannot be read, is empty, or lacks a column."""


class CorpusError(TrainingError):
    """A corpus cannot be written where it should go, or a folder is no corpus."""


class NoUsableSentenceError(CorpusError):
    """The posts were read, but cleaning left no sentence; the message lists what was dropped."""


class TrackingError(TrainingError):
    """MLflow cannot be reached or opened."""


class OutputError(TrainingError):
    """A file cannot be written; nothing half-written is left."""


class CheckpointError(TrainingError):
    """What an interrupted training left cannot be read."""


class NotLearnedError(TrainingError):
    """A stage is no better than a constant, so going on would build on nothing."""


class RankLostError(TrainingError):
    """Another process of a training that several share has ended, so that this one cannot go on."""


class TerminatedError(TrainingError):
    """Somebody asked the process to end (SIGTERM): an operator, a container's host, torchrun."""


class ArchiveBuildError(TrainingError):
    """torch-model-archiver failed, or what it built does not hold."""
