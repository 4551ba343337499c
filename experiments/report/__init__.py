"""Report of an experiment: figures, the sentence that recommends, and its page."""
