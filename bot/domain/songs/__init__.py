"""The song parser: the songs that a text names."""
