"""Numbers of verdicts by model version, without candidates whose version is not shown, in SQLite."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from bot.adapters.sqlite.file import Values
from bot.ports import VersionTally

# A count that rises with a verdict would tell the version of the candidate. Of songs that wait, which are few and have
# an index of their own, the counts of triggers are therefore taken back; a version that has nothing else is left out.
_TALLIES = """
SELECT model, model_version, SUM(count * (status = 'waiting')) AS waiting,
       SUM(count * (status = 'accepted')) AS accepted, SUM(count * (status = 'rejected')) AS rejected
FROM (
    SELECT model, model_version, status, count, experiment = '' AS is_shown FROM candidate_tally
    WHERE withdrawn = '' AND NOT (experiment <> '' AND status = 'waiting')
    UNION ALL
    SELECT own.model, own.model_version, own.status, -1, 0 FROM (
        SELECT DISTINCT tweet_place, song_number, experiment FROM candidate INDEXED BY candidate_blind
        WHERE experiment <> '' AND status = 'waiting'
    ) AS open_song
    CROSS JOIN candidate AS own ON own.tweet_place = open_song.tweet_place
    WHERE own.song_number = open_song.song_number AND own.experiment = open_song.experiment
    AND own.status <> 'waiting' AND own.withdrawn = ''
)
GROUP BY model, model_version HAVING MAX(is_shown) OR SUM(count) > 0 ORDER BY model, model_version
"""


def version_tallies(read: Callable[[str, Values], Sequence[Any]]) -> list[VersionTally]:
    """Return the verdicts on each model version's candidates, by model and version.

    Args:
        read: runs a statement with its values.
    """
    return [VersionTally(**dict(row)) for row in read(_TALLIES, ())]
