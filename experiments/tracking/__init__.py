"""Verdicts in MLflow, exactly once: a trace for each song and version, with the curators' feedback on its samples.

`VerdictSync` brings MLflow to the state of the bot's store. Only `mlflow_store` imports MLflow, and only when it is
used: the import takes seconds.
"""

from experiments.tracking.songs import SongRecord, read_songs
from experiments.tracking.sync import SyncResult, VerdictSync

__all__ = ["SongRecord", "SyncResult", "VerdictSync", "read_songs"]
