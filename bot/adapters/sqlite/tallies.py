"""Numbers of verdicts by model version, without candidates whose version is not shown, in SQLite."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from bot.adapters.sqlite.file import Values
from bot.ports import VersionTally

# Blind candidates are left out: a count that rises with a verdict would tell the version of the candidate. So is a
# version of which nothing else is left, as after an undo.
_TALLIES = """
SELECT model, model_version, SUM(told * (status = 'waiting')) AS waiting,
       SUM(told * (status = 'accepted')) AS accepted, SUM(told * (status = 'rejected')) AS rejected
FROM (SELECT *, count * (NOT blind) AS told FROM candidate_tally WHERE withdrawn = '')
GROUP BY model, model_version HAVING SUM(told) > 0 OR SUM(count) = 0 ORDER BY model, model_version
"""


def version_tallies(read: Callable[[str, Values], Sequence[Any]]) -> list[VersionTally]:
    """Return the verdicts on each model version's candidates, by model and version.

    Args:
        read: runs a statement with its values.
    """
    return [VersionTally(**dict(row)) for row in read(_TALLIES, ())]
