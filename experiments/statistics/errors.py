"""Error of the statistics."""


class StatisticsError(ValueError):
    """An argument is out of range. The message names the value and the range."""
