"""Errors of `training`, all of which the user can act on.

TrainingError
├── SettingError                a preset, setting or option does not exist or does not fit
├── PostsError                  a file of posts or a catalog cannot be used
├── CorpusError                 a corpus cannot be built, or a folder is not a corpus
│   └── NoUsableSentenceError   nothing is left after cleaning
├── RatingsError                a sheet for readers, its key or ratings cannot be used
├── VerdictsError               a file of verdicts cannot be used, or holds too few
├── OutputError                 a file cannot be written
├── CheckpointError             files of an earlier training cannot be read
├── NotLearnedError             a stage does not outperform a constant
├── RankLostError               another process of a data-parallel training has ended
├── TerminatedError             the process was terminated (SIGTERM)
├── TrackingError               MLflow cannot be reached or opened
└── ArchiveBuildError           torch-model-archiver failed, or its archive is not valid
"""

from __future__ import annotations


class TrainingError(Exception):
    """Base of the package's errors; the message names the value at fault and the remedy."""


class SettingError(TrainingError):
    """A preset, setting or option does not exist or does not fit."""


class PostsError(TrainingError):
    """A file of posts or a catalog cannot be read, is empty, or lacks a column."""


class CorpusError(TrainingError):
    """A corpus cannot be written, or a folder is not a corpus."""


class NoUsableSentenceError(CorpusError):
    """The posts were read, but cleaning left no sentence; the message lists what was dropped."""


class RatingsError(TrainingError):
    """A sheet for blind readers, its key or a file of ratings cannot be used."""


class VerdictsError(TrainingError):
    """A file of verdicts cannot be read, or its verdicts are too few or all alike."""


class TrackingError(TrainingError):
    """MLflow cannot be reached or opened."""


class OutputError(TrainingError):
    """A file cannot be written; nothing half-written is left."""


class CheckpointError(TrainingError):
    """Files of an earlier training cannot be read."""


class NotLearnedError(TrainingError):
    """A stage does not outperform a constant, so later stages would have nothing to build on."""


class RankLostError(TrainingError):
    """Another process of a data-parallel training has ended, so this one cannot continue."""


class TerminatedError(TrainingError):
    """The process was terminated (SIGTERM), by an operator, a container runtime or torchrun."""


class ArchiveBuildError(TrainingError):
    """torch-model-archiver failed, or its archive is not valid."""
