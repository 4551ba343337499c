"""The decode as machine code: everything of a step but its products, row by row, by numba where it is installed."""
